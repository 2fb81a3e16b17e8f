"""The CPU backend: Numba kernels on explicit SIMD vectors (simd.py), any CPU, any strides.

Read simd.py first, then tiles.py, coefficients.py, forward.py, backward.py. `plan.py` turns a
checked problem into the argument array described in layout.py, `run.py` starts the threads.
"""

import functools

from . import plan, run, simd
from .backward import compile_backward
from .forward import compile_forward
from .jit import source_version
from .plan import backward_plan, backward_slices, forward_plan, states_size

__all__ = [
    "backward_plan",
    "backward_slices",
    "detail",
    "forward_plan",
    "scan_backward",
    "scan_forward",
    "states_size",
]


@functools.cache
def _kernel(compiler):
    return compiler(source_version())


def scan_forward(plan, addresses):
    """Write y, last_state and states where their addresses are given."""
    run.run(_kernel(compile_forward), plan, addresses)


def scan_backward(plan, addresses):
    """Write every gradient."""
    run.run(_kernel(compile_backward), plan, addresses)


def detail():
    """One line for people: vector width and threads."""
    name = {512: "AVX-512", 256: "AVX2", 128: "SSE2" if simd.IS_X86 else "128-bit vectors"}
    lanes = simd.lanes_of(plan.types.float32)
    return f"{name[simd.BITS]}, {lanes} float32 lanes, {run.numba.get_num_threads()} threads"
