"""The CPU backend: Numba kernels on explicit SIMD vectors (simd.py), any CPU, any strides.

Read simd.py first, then tiles.py, coefficients.py, forward.py, backward.py. `plan.py` turns a
checked problem into the argument array described in layout.py, `run.py` starts the threads.
"""

from . import plan, run, simd
from .backward import compile_backward
from .forward import compile_forward
from .jit import source_version
from .plan import backward_plan, backward_slices, forward_plan, states_size, step_plan
from .step import compile_step

__all__ = [
    "backward_plan",
    "backward_slices",
    "detail",
    "forward_plan",
    "launch",
    "states_size",
    "step_plan",
]

_COMPILERS = {"forward": compile_forward, "backward": compile_backward, "step": compile_step}


_kernels = {}


def _kernel(name):
    """An entry point: the same one for threads that ask at once, so that it is compiled once."""
    return _kernels.get(name) or _kernels.setdefault(name, _COMPILERS[name](source_version()))


def launch(plan, addresses):
    """Run the kernel of a plan on operands at these addresses (by name)."""
    run.run(_kernel(plan.kernel), plan, addresses)


def detail():
    """One line for people: vector width and threads."""
    name = {512: "AVX-512", 256: "AVX2", 128: "SSE2" if simd.IS_X86 else "128-bit vectors"}
    lanes = simd.lanes_of(plan.types.float32)
    return f"{name[simd.BITS]}, {lanes} float32 lanes, {run.numba.get_num_threads()} threads"
