"""The CPU backend: Numba kernels on explicit SIMD vectors (simd.py), any CPU, any strides.

docs/kernels-cpu.md has all files in reading order. plan.py turns a checked problem into the
argument array that layout.py describes, run.py calls the kernel, on the threads of threads.py.
"""

import numpy as np
from numba import config

from ...errors import BackendUnavailable
from .. import OPERATORS
from . import plan, run, simd
from .backward import compile_backward
from .coefficients import SHARED
from .forward import compile_forward
from .gather import compile_gather, compile_merge, compile_place
from .gather_plan import RoutesPlan
from .maps import compile_load_rows, compile_store_rows
from .orders import WRONG, OrdersPlan, compile_orders
from .plan import (
    backward_parts,
    backward_plan,
    forward_plan,
    states_size,
    step_plan,
)
from .planes import REAL_STATES
from .step import compile_step
from .tiles import compile_load, compile_store

__all__ = [
    "SERVES",
    "STOPS",
    "backward_parts",
    "backward_plan",
    "backward_scratch",
    "check",
    "detail",
    "forward_plan",
    "forward_scratch",
    "kernel",
    "launch",
    "move_plan",
    "orders_plan",
    "states_size",
    "step_plan",
    "sum_plan",
]

SERVES = frozenset(OPERATORS)
STOPS = True

_COMPILERS = {
    "forward": compile_forward,
    "backward": compile_backward,
    "step": compile_step,
    "gather": compile_gather,
    "place": compile_place,
    "merge": compile_merge,
    "orders": compile_orders,
    "load_tile": compile_load,
    "store_tile": compile_store,
    "load_rows": compile_load_rows,
    "store_rows": compile_store_rows,
}
_kernels = {}
_FLOAT32 = np.float32(0)


def kernel(name, real=_FLOAT32, kinds=(REAL_STATES, SHARED, SHARED)):
    """An entry point: the same one for threads that ask at once, so that it is compiled once."""
    key = name, real.dtype, *(kind.dtype for kind in kinds)
    found = _kernels.get(key)
    if found is None:
        found = _kernels.setdefault(key, _COMPILERS[name](real, *kinds))
    return found


def launch(plan, addresses, runs_on=None):
    """Run the kernel of a plan on operands at these addresses (by name).

    `runs_on` is the number of threads that the library of the arrays takes, if it has one.
    """
    if not plan.linked:
        moves = isinstance(plan, RoutesPlan | OrdersPlan)
        names = () if moves else ("load_tile", "store_tile")
        along = () if moves or plan.path is None else ("load_rows", "store_rows")  # a path
        tiles, rows = ([kernel(x, plan.real, ()) for x in given] for given in (names, along))
        run.link(plan, kernel(plan.kernel, plan.real, plan.kinds), tiles, rows)
    args = run.run(plan, addresses, runs_on)
    return not (isinstance(plan, OrdersPlan) and args[WRONG])


def move_plan(moved):
    """Plan of a gather or a scatter."""
    return RoutesPlan(moved)


def orders_plan(layout, pixels):
    """Plan of the check of orders per sample."""
    return OrdersPlan(layout, pixels)


def forward_scratch(problem, operands):
    """None: run.py has scratch."""
    return 0


def backward_scratch(problem):
    """None either."""
    return 0


def sum_plan(problem, pairs):
    """None: the library of the arrays adds up."""


def check():
    """Raise BackendUnavailable where no kernel can run."""
    if config.DISABLE_JIT:
        raise BackendUnavailable(
            "selscan: NUMBA_DISABLE_JIT is set, and without Numba's compiler there are no kernels; "
            "unset it."
        )


def detail():
    """One line for people: vector width and threads, without starting those."""
    name = {512: "AVX-512", 256: "AVX2", 128: "SSE2" if simd.IS_X86 else "128-bit vectors"}
    lanes = simd.lanes_of(plan.types.float32)
    return f"{name[simd.BITS]}, {lanes} float32 lanes, {config.NUMBA_NUM_THREADS} threads"
