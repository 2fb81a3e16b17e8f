"""Where NVRTC and CUDA's headers are: NVIDIA's wheels, else what cuda.pathfinder knows (Linux)."""

import importlib.util
from pathlib import Path
from typing import NamedTuple


class Toolkit(NamedTuple):
    """One installed NVRTC, and the headers of its release (None if they are missing)."""

    library: Path
    include: Path | None


# The wheels share the package `nvidia`: one folder of it for CUDA 13, two for CUDA 12.
_WHEELS = (
    ("cu13/lib/libnvrtc.so.13", "cu13/include"),
    ("cuda_nvrtc/lib/libnvrtc.so.12", "cuda_runtime/include"),
)


def toolkits():
    """All that are found, the newest wheel first."""
    for library, include in _WHEELS:
        if found := in_wheels(library):
            header = in_wheels(f"{include}/cuda_fp16.h")
            yield Toolkit(found, header and header.parent)
    yield from _pathfinder()


def disassembler():
    """nvdisasm, or None; only the checks of compiled code need it."""
    return in_wheels("cu13/bin/nvdisasm")


def in_wheels(path):
    """A file of NVIDIA's wheels, which may lie in several folders; None if it is in none."""
    spec = importlib.util.find_spec("nvidia")
    roots = spec.submodule_search_locations if spec else ()
    return next((file for root in roots if (file := Path(root, path)).is_file()), None)


def _pathfinder():
    """What NVIDIA's own search finds: conda, CUDA_PATH, the system. CuPy requires it."""
    try:
        from cuda import pathfinder

        library = pathfinder.load_nvidia_dynamic_lib("nvrtc").abs_path
        include = pathfinder.find_nvidia_header_directory("cudart")
    except Exception:  # not installed, or nothing found: each has several types of error
        return
    yield Toolkit(Path(library), include and Path(include))


def install(release=None):
    """The command that installs CuPy, NVRTC and headers for a driver of a CUDA release."""
    if release is None:
        return "pip install 'selscan[cuda13]', or 'selscan[cuda12]' for a driver of CUDA 12"
    return f"pip install 'selscan[cuda{13 if release >= 13 else 12}]'"
