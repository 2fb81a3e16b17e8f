"""Builds stick.cpp, the measuring stick for AVX-512 or AVX2, and calls it on torch tensors."""

import ctypes
import functools
import hashlib
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("stick.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-shared", "-fPIC")
NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias")
CHANNELS = 16  # of a group, a multiple
Pointer, Long = ctypes.c_void_p, ctypes.c_long


class Problem(ctypes.Structure):
    """The struct of the same name in stick.cpp."""

    _fields_ = (
        *((name, Pointer) for name in NAMES),
        *((name, Long) for name in ("batch", "dim", "length", "groups")),
    )


class Grads(ctypes.Structure):
    """The struct of the same name in stick.cpp."""

    _fields_ = tuple((name, Pointer) for name in NAMES)


def missing():
    """Why this machine cannot build or run the stick, or None."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"the stick is AVX-512 or AVX2; this CPU is {platform.machine()}"
    flags = Path("/proc/cpuinfo")
    if not flags.exists() or not {"avx2", "fma"} <= set(flags.read_text().split()):
        return "this CPU has no AVX2"
    if shutil.which("g++") is None:
        return "no g++ on the path"
    return None


def refuses(case):
    """Why the stick cannot run a case, or None."""
    if case.d_state not in (1, 16):
        return "d_state is neither 1 nor 16"
    if case.dim // case.groups % CHANNELS:
        return "channels per group are not a multiple of 16"
    return None


@functools.cache
def library():
    """The compiled library, kept in the temporary directory under a name that hashes its source."""
    text = SOURCE.read_bytes() + SOURCE.with_suffix(".hpp").read_bytes() + cpu_model()
    name = hashlib.sha256(text + " ".join(FLAGS).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"selscan-stick-{name}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            built = Path(folder) / path.name
            subprocess.run(["g++", *FLAGS, str(SOURCE), "-o", str(built)], check=True)
            built.replace(path)
    return ctypes.CDLL(str(path))


def cpu_model():
    """What -march=native depends on, as bytes."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return "".join(sorted({x for x in lines if x.startswith(("model", "flags"))})).encode()


def forward(inputs):
    """Output y and the states at the chunk starts, which `backward` takes."""
    u, A = inputs["u"], inputs["A"]
    chunks, lanes = -(-u.shape[2] // library().chunk()), library().lanes()
    y = torch.empty_like(u)
    states = torch.empty(u.shape[0], u.shape[1] // lanes, chunks, A.shape[1], lanes)
    library().scan_forward(problem(inputs), A.shape[1], pointer(y), pointer(states))
    return y, states


def backward(inputs, states, dy):
    """Gradients of all inputs, by name."""
    grads = {name: torch.empty_like(inputs[name]) for name in NAMES}
    out = Grads(*(x.data_ptr() for x in grads.values()))
    library().scan_backward(
        problem(inputs), inputs["A"].shape[1], pointer(states), pointer(dy), ctypes.byref(out)
    )
    return grads


def problem(inputs):
    """The inputs as the library takes them; they must outlive the call."""
    tensors = [inputs[name] for name in NAMES]
    assert all(x.is_contiguous() and x.dtype == torch.float32 for x in tensors)
    shape = (*inputs["u"].shape, inputs["B"].shape[1])
    return ctypes.byref(Problem(*(x.data_ptr() for x in tensors), *shape))


def pointer(tensor):
    """The address of a tensor as a C argument."""
    return Pointer(tensor.data_ptr())
