"""What the kernels of the Numba CUDA backend cost: compiled to PTX, and by ptxas, without a GPU.

    python tests/numba_costs.py

writes numba_costs.json, which test_nvrtc_numba.py compares with; commit the difference. It needs
the packages of `pip install -e '.[nvrtc]'`, and a process in which Numba does not simulate. The
file has a hash of the sources, too: as in kernel_costs.py, tests compile one kernel where it is the
one that is kept.
"""

import contextlib
import hashlib
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import kernel_costs
from numba import cuda

from selscan.backends.cupy.toolkit import in_wheels
from selscan.backends.numba_cuda import launches, scans
from selscan.backends.numba_cuda.shapes import SIZES

SNAPSHOT = Path(__file__).with_suffix(".json")
TARGETS, ALWAYS = ((8, 0), (9, 0), (10, 0)), (9, 0)
# Why a kernel has a stack: what is not listed has none, and none has spills.
REASONS = {
    "complex64": "sine and cosine of large angles",
    "complex128": "sine and cosine of large angles",
}
_AXES = {
    **dict.fromkeys(("A", "seq_idx", "dD", "ddelta_bias"), 2),
    **dict.fromkeys(("D", "delta_bias", "pixels"), 1),
    **dict.fromkeys(("B", "C", "saved"), 4),
    **dict.fromkeys(("dB", "dC"), 5),
}


def scan_signature(names, number):
    """Of a scan in float32 sequences are bfloat16; else all has the dtype of the arithmetic."""
    real = "float64" if number in ("float64", "complex128") else "float32"
    element = "uint16" if number == "float32" else real
    dtypes = {
        **dict.fromkeys(("u", "delta", "z", "y", "dy", "du", "ddelta", "dz"), element),
        **dict.fromkeys(("B", "C"), element if number == "float32" else number),
        **dict.fromkeys(("D", "delta_bias", "dD", "ddelta_bias"), real),
        **dict.fromkeys(("seq_idx", "pixels"), "int32"),
    }
    arrays = tuple((dtypes.get(name, number), _AXES.get(name, 3)) for name in names)
    return arrays, ("int64", "boolean")


def kernels():
    """(kernel, number, signature) of all that are compiled here."""
    for number in SIZES:
        yield "scan_forward", number, scan_signature(scans.FORWARD, number)
        yield "scan_backward", number, scan_signature(scans.BACKWARD, number)
        yield "sum_parts", number, (((number, 5), (number, 4)), ())
        yield "scatter", number, (((number, 4), ("int32", 2), (number, 6)), ())
    yield "scatter", "int64", ((("int8", 4), ("int32", 2), ("int8", 6)), ())
    yield "gather", "", ((("uint16", 6), ("int32", 2), ("float32", 4)), ())
    yield "gather", "", ((("int32", 6), ("int32", 2), ("int32", 4)), ())


def name_of(kernel, number, signature, target):
    """A line of the file."""
    first = signature[0][0][0]
    return f"{kernel} {number or '-'} {first} {target[0]}.{target[1]}"


@contextlib.contextmanager
def pretended(target):
    """Device functions are compiled for the current device: there is none."""
    device = SimpleNamespace(compute_capability=target)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=device):
        yield


def ptx_of(kernel, number, signature, target):
    """The PTX of a kernel for a compute capability."""
    function = launches.python_function(kernel, number)
    with pretended(target):
        return cuda.compile_ptx(function, launches.numba_signature(signature), cc=target)[0]


def assemble(ptx, target):
    """What ptxas says of the entry of some PTX."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.ptx")
        file.write_text(ptx)
        command = [in_wheels("cu13/bin/ptxas"), f"-arch=sm_{target[0]}{target[1]}", "-v", file]
        done = subprocess.run(
            [*command, "-o", file.with_suffix(".cubin")], capture_output=True, text=True, check=True
        )
    [entry] = re.findall(r"\.entry (\w+)", ptx)
    return kernel_costs.resources(done.stderr)[entry]


def wanted(kept, target):
    """What to compile for a target: all if sources changed; else, for ALWAYS, what a hash picks."""
    if sources() != kept["sources"]:
        return list(kernels())
    listed = sorted(kernels(), key=lambda one: name_of(*one, target))
    return [kernel_costs.picked(listed, kept["sources"])] if target == ALWAYS else []


def costs_of(target, listed):
    """{name: costs} of kernels for a target; ptxas works beside Numba."""
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(assemble, ptx_of(*one, target), target) for one in listed]
        found = [one.result() for one in waiting]
    lines = {}
    for one, cost in zip(listed, found, strict=True):
        reason = {"reason": REASONS[one[1]]} if cost["stack"] and one[1] in REASONS else {}
        lines[name_of(*one, target)] = cost | reason
    return lines


def compiler():
    """The releases that the costs depend on; None where one is missing."""
    packages = ("numba", "numba-cuda", "nvidia-cuda-nvcc", "nvidia-nvvm")
    with contextlib.suppress(metadata.PackageNotFoundError):
        return ", ".join(f"{name} {metadata.version(name)}" for name in packages)


def sources():
    """A hash of the package, of what is compiled here, and of the compilers."""
    folder = Path(launches.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))]
    parts = texts, [*kernels()], compiler()
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def snapshot():
    """All that is kept."""
    lines = {"compiler": compiler(), "sources": sources()}
    for target in TARGETS:
        lines |= costs_of(target, list(kernels()))
    return lines


if __name__ == "__main__":
    kernel_costs.write(snapshot(), SNAPSHOT)
