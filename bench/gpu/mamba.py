"""mamba_ssm's CUDA kernels, built from its source package without installing it.

    MAMBA_SKIP_CUDA_BUILD=TRUE pip download --no-deps --no-build-isolation \
        --no-binary :all: mamba-ssm
    python -m bench.gpu --mamba-ssm mamba_ssm-2.3.2.post1.tar.gz

Of its extension only the selective scan in bfloat16 with a real A is compiled, with the options of
its setup.py, by torch.utils.cpp_extension; calls with other dtypes end in an error that says so.
The folder given is only read; what is built goes to a folder beside torch's own extensions.
"""

import hashlib
import importlib.util
import json
import os
import sys
import tarfile
import types
from pathlib import Path

from bench.gpu.outcomes import NotAvailable

NAME = "selective_scan_cuda"
SOURCES = ("selective_scan.cpp", "selective_scan_fwd_bf16.cu", "selective_scan_bwd_bf16_real.cu")
FOLDER = "csrc/selective_scan"
COMPILER = ("-O3",)
NVCC = (
    "-O3",
    "-U__CUDA_NO_HALF_OPERATORS__",
    "-U__CUDA_NO_HALF_CONVERSIONS__",
    "-U__CUDA_NO_BFLOAT16_OPERATORS__",
    "-U__CUDA_NO_BFLOAT16_CONVERSIONS__",
    "-U__CUDA_NO_BFLOAT162_OPERATORS__",
    "-U__CUDA_NO_BFLOAT162_CONVERSIONS__",
    "--expt-relaxed-constexpr",
    "--expt-extended-lambda",
    "--use_fast_math",
)
# The instances that selective_scan.cpp calls and SOURCES do not define.
OTHERS = r"""
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>
#include <c10/util/complex.h>
#include <cuda_runtime_api.h>
#include "selective_scan.h"

template <typename input_t, typename weight_t>
void selective_scan_fwd_cuda(SSMParamsBase&, cudaStream_t) {
  TORCH_CHECK(false, "this build has only bfloat16 with a real A");
}
template <typename input_t, typename weight_t>
void selective_scan_bwd_cuda(SSMParamsBwd&, cudaStream_t) {
  TORCH_CHECK(false, "this build has only bfloat16 with a real A");
}
using complex_t = c10::complex<float>;
template void selective_scan_fwd_cuda<float, float>(SSMParamsBase&, cudaStream_t);
template void selective_scan_fwd_cuda<float, complex_t>(SSMParamsBase&, cudaStream_t);
template void selective_scan_fwd_cuda<c10::Half, float>(SSMParamsBase&, cudaStream_t);
template void selective_scan_fwd_cuda<c10::Half, complex_t>(SSMParamsBase&, cudaStream_t);
template void selective_scan_bwd_cuda<float, float>(SSMParamsBwd&, cudaStream_t);
template void selective_scan_bwd_cuda<float, complex_t>(SSMParamsBwd&, cudaStream_t);
template void selective_scan_bwd_cuda<c10::Half, float>(SSMParamsBwd&, cudaStream_t);
template void selective_scan_bwd_cuda<c10::Half, complex_t>(SSMParamsBwd&, cudaStream_t);
template void selective_scan_bwd_cuda<c10::BFloat16, complex_t>(SSMParamsBwd&, cudaStream_t);
"""


def unpacked(path, into):
    """The folder of the package, from itself or from a .tar.gz."""
    path = Path(path).resolve()
    if path.is_file():
        with tarfile.open(path) as archive:
            archive.extractall(into, filter="data")
        [path] = Path(into).iterdir()
    if not (path / FOLDER).is_dir():
        raise NotAvailable(f"{path} has no {FOLDER}: not the source package of mamba_ssm")
    return path


def build_folder(path):
    """Where its build lies, by the package's name and where it is."""
    from torch.utils.cpp_extension import get_default_build_root

    root = os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root()
    key = hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:8]
    return Path(root) / f"selscan_bench_{key}"


def build(path):
    """Compile; the outcome is a file, as another process waits for it."""
    folder = build_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    outcome = folder / "outcome.json"
    outcome.unlink(missing_ok=True)
    (folder / "lock").unlink(missing_ok=True)  # of a build that was ended
    try:
        library = compile_in(folder, unpacked(path, folder / "source"))
        found = {"library": str(library)}
    except Exception as error:  # other people's code: the reason is a line of the table
        found = {"error": f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]}
        raise
    finally:
        outcome.write_text(json.dumps(found))


def compile_in(folder, package):
    """The path of the extension."""
    import torch
    from torch.utils import cpp_extension

    sources = package / FOLDER
    others = folder / "others.cpp"
    others.write_text(OTHERS)
    major, minor = torch.cuda.get_device_capability()
    target = f"-gencode=arch=compute_{major}{minor},code=sm_{major}{minor}"
    cpp_extension.load(
        name=NAME,
        sources=[str(others), *(str(sources / name) for name in SOURCES)],
        extra_cflags=list(COMPILER),
        extra_cuda_cflags=[*NVCC, target],
        extra_include_paths=[str(sources)],
        build_directory=str(folder),
        verbose=True,
    )
    return folder / f"{NAME}.so"


def library(path):
    """The extension, installed or built by `build`.

    Raises
    ------
    NotAvailable : there is none; why.
    """
    import torch  # noqa: F401, its libraries are loaded before the extension's

    if path is None:
        if importlib.util.find_spec(NAME) is None:
            raise NotAvailable("mamba_ssm is not installed, and --mamba-ssm was not given")
        return importlib.import_module(NAME)
    outcome = build_folder(path) / "outcome.json"
    found = json.loads(outcome.read_text()) if outcome.exists() else {"error": "was not finished"}
    if "error" in found:
        raise NotAvailable(f"the build of mamba_ssm failed: {found['error']}")
    spec = importlib.util.spec_from_file_location(NAME, found["library"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def state_update(path):
    """mamba_ssm's Triton function for one step, without importing the rest of the package."""
    if path is not None:
        folder = build_folder(path) / "source"
        root = Path(path).resolve() if Path(path).is_dir() else next(iter(folder.iterdir()))
        for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton"):
            package = types.ModuleType(name)
            package.__path__ = [str(root / name.replace(".", "/"))]
            sys.modules.setdefault(name, package)
    try:
        from mamba_ssm.ops.triton.selective_state_update import selective_state_update
    except ImportError as error:
        raise NotAvailable(f"mamba_ssm's selective_state_update: {error}") from error
    return selective_state_update


if __name__ == "__main__":
    build(sys.argv[1])
