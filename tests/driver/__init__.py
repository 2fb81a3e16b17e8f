"""The true CuPy without a GPU: a driver of our own, whose kernels run in the emulator.

`install()` loads a library that takes the place of libcuda.so.1 before CuPy asks for that one, and
replaces NVIDIA's runtime in CuPy's wheel. Device memory is host memory; launches that a device
would refuse are refused; work on a stream is done when somebody waits for it (state.cpp).
"""

import ctypes
import functools
import importlib.util
import platform
import sys
from pathlib import Path

import numpy as np
from emulator import compiler

from . import patch

HERE = Path(__file__).parent
DEVICES = 2
_RUN = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_uint),
    ctypes.c_void_p,
    ctypes.c_size_t,
)
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-soname,libcuda.so.1")


def missing():
    """Why there can be no such driver here; empty if it can."""
    if reason := compiler.missing():
        return reason
    if platform.machine() != "x86_64":
        return f"functions are replaced on x86-64; this is {platform.machine()}"
    return "" if importlib.util.find_spec("cupy") else "CuPy is not installed"


@functools.cache
def library():
    """The driver, loaded before CuPy is."""
    return ctypes.CDLL(str(compiler.library(HERE, FLAGS)))


@functools.cache
def install():
    """Let CuPy work on the driver; kernels do nothing until `run_with`."""
    if "cupy" in sys.modules:
        raise RuntimeError("the driver must be installed before CuPy is imported.")
    own = library()
    from cupy_backends.cuda.api import runtime

    def found(name):
        return ctypes.cast(own[name], ctypes.c_void_p).value if hasattr(own, name) else None

    refuse = found("driver_function_is_missing")
    _kept.extend(patch.replace(runtime.__file__, "cuda", found, refuse))
    return own


_kept = []  # what the driver has addresses of


def run_with(kernel):
    """Have kernel(name, device, grid, block, shared, parameter) run kernels; None: they do nothing.

    `parameter` is a void scalar with the bytes that the launch was given. What it raises fails the
    launch and is kept for `faults`.
    """

    def call(name, device, extents, parameter, size):
        try:
            struct = np.frombuffer(ctypes.string_at(parameter, size), np.dtype((np.void, size)))[0]
            grid, block = tuple(extents[0:3]), tuple(extents[3:6])
            kernel(name.decode(), device, grid, block, extents[6], struct)
        except Exception as error:  # of a test's kernel, in a callback
            _raised.append(error)
            return 1
        return 0

    callback = _RUN(call) if kernel else _RUN()
    _kept.append(callback)
    library().driver_run_with(callback)


_raised = []


def faults():
    """What was refused or went wrong since the last call, as lines."""
    lines = [f"{type(error).__name__}: {error}" for error in _raised]
    _raised.clear()
    return lines + _text("driver_faults")


def functions_missing():
    """Functions of CUDA's runtime that were asked for and that the driver does not have."""
    return _text("driver_missing")


def _text(function):
    room = ctypes.create_string_buffer(1 << 16)
    library()[function](room, ctypes.c_size_t(len(room)))
    return room.value.decode().splitlines()
