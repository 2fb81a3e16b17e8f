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
from .ordered import OrderedPlan, in_order_first, kept, kept_size
from .orders import WRONG, OrdersPlan, compile_orders
from .plan import step_plan
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


def forward_plan(problem, operands):
    """Plan of a scan."""
    if not in_order_first(problem, "forward"):
        return plan.forward_plan(problem, operands)

    def make(part, given, _, apart):
        return plan.forward_plan(part, given, apart)

    return OrderedPlan(problem, operands, make, plan.states_size(problem))


def backward_plan(problem, operands, part_steps):
    """Plan of all gradients."""
    if not in_order_first(problem, "backward"):
        return plan.backward_plan(problem, operands, part_steps)
    return OrderedPlan(problem, operands, plan.backward_plan, plan.states_size(problem))


def backward_parts(problem):
    """Parts of the gradients of B and C, and of those that are summed over the batch."""
    parts = plan.backward_parts(problem)
    return (1, parts[1]) if in_order_first(problem, "backward") else parts


def states_size(problem):
    """Elements of what a forward keeps for the backward."""
    return plan.states_size(problem) + (kept_size(problem) if kept(problem) else 0)


def launch(plan, addresses, runs_on=None):
    """Run the kernel of a plan on operands at these addresses (by name).

    `runs_on` is the number of threads that the library of the arrays takes, if it has one.
    """
    if isinstance(plan, OrderedPlan):
        plan.launch(launch, addresses, runs_on)
        return True
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


def orders_plan(layout, pixels, device):
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


class OneKernel:
    """The backend for programs of XLA, which call one kernel: it walks all maps itself."""

    forward_plan, backward_plan = staticmethod(plan.forward_plan), staticmethod(plan.backward_plan)
    backward_parts, states_size = staticmethod(plan.backward_parts), staticmethod(plan.states_size)
    forward_scratch, backward_scratch, sum_plan = map(
        staticmethod, (forward_scratch, backward_scratch, sum_plan)
    )


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
