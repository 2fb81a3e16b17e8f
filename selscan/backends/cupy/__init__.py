"""The CUDA backend through CuPy: kernels in CUDA C++ (csrc/), compiled by NVRTC at the first call.

`instances.py` is the closed list of kernels. `nvrtc.py` makes a function of one of them: `paste.py`
puts its source together, `toolkit.py` finds NVRTC, `compiler.py` calls it, `store.py` keeps machine
code on disk, `gpu.py` loads it; CuPy is imported there, inside functions, and nowhere else.
`launches.py` turns a checked problem into launches: `plan.py` and `plan_backward.py` spread it over
the GPU, `arguments.py` makes the struct that the kernel takes. For maps these are `launches2d.py`,
`plan2d.py`, `plan2d_backward.py`, `plan_moves.py` and `arguments2d.py`.
"""

import functools
from math import prod

from .. import OPERATORS
from . import gpu, launches, launches2d, nvrtc, plan_backward
from .launches import step_plan, sum_plan

__all__ = [
    "MAY_KEEP_NONE",
    "SERVES",
    "backward_parts",
    "backward_plan",
    "backward_scratch",
    "check",
    "detail",
    "forward_plan",
    "forward_scratch",
    "launch",
    "move_plan",
    "orders_plan",
    "states_size",
    "step_plan",
    "sum_plan",
]

SERVES = frozenset(OPERATORS)
MAY_KEEP_NONE = True  # of the states of a forward over maps


def forward_plan(problem, operands):
    """Plan of scan_forward or scan2d_forward; `operands`: name -> (Layout, axes)."""
    if problem.path is None:
        return launches.forward_plan(problem, operands, _device(problem))
    return launches2d.forward_plan(problem, operands, _device(problem), _upload(problem))


def forward_scratch(problem, operands):
    """Elements, all real, of the maps of segments, or of sums of routes that are not in y."""
    if problem.path is None:
        return launches.forward_scratch(problem, operands, _device(problem))
    return launches2d.forward_scratch(problem, operands, _device(problem))


def backward_plan(problem, operands, part_steps):
    """Plans of a backward; `part_steps`: result -> bytes between the parts of two slices."""
    device = _device(problem)
    if problem.path is None:
        return launches.backward_plans(problem, operands, part_steps, device)
    return launches2d.backward_plan(problem, operands, part_steps, device, _upload(problem))


def backward_parts(problem):
    """Parts of the gradients of B and C, and of those that are summed over the batch."""
    if problem.path is not None:
        return launches2d.backward_parts(problem, _device(problem))
    mapping = plan_backward.choose(problem, _device(problem))
    return plan_backward.slices(problem, mapping), problem.batch * mapping.segments


def backward_scratch(problem):
    """Elements, all real, of what scan_carry leaves for scan_backward, or of sums of routes."""
    if problem.path is not None:
        return launches2d.backward_scratch(problem, _device(problem))
    mapping = plan_backward.choose(problem, _device(problem))
    return _elements(problem, plan_backward.carries_shape(problem, mapping))


def states_size(problem):
    """Elements of the states kept for a backward, all real."""
    if problem.path is not None:
        return (2 if problem.is_complex else 1) * launches2d.states_size(problem, _device(problem))
    return _elements(problem, plan_backward.saved_shape(problem))


def move_plan(moved):
    """Plan of a gather or a scatter."""
    return launches2d.move_plan(moved, _device(moved), _upload(moved))


def orders_plan(layout, pixels, device):
    """Plan of the check of orders per sample."""
    return launches2d.orders_plan(layout, pixels, device)


def _elements(problem, shape):
    return prod(shape) * (2 if problem.is_complex else 1)


def _device(problem):
    return gpu.properties(launches.number_of(problem.device))


def _upload(problem):
    return functools.partial(gpu.upload, device=launches.number_of(problem.device))


def launch(plan, addresses, runs_on=None):
    """Start the kernels of a plan on operands at these addresses (by name), on a stream."""
    for one in plan if isinstance(plan, list) else (plan,):
        if one.table is not None:
            gpu.hold(one.table, runs_on)
        one.launch(nvrtc.kernel(one.file, one.name, one.device), addresses, runs_on)


def check():
    """Raise BackendUnavailable, with the reason and what helps, where no kernel could run."""
    nvrtc.check()


def detail():
    """One line for people."""
    return gpu.detail()
