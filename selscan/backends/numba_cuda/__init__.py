"""The CUDA backend through Numba: kernels in Python, to be read and changed.

Read equations.py first, then forward.py, backward.py and moves.py: these are the kernels, made by
functions for each dtype of the states (formats.py has what depends on dtypes). shapes.py says how
large blocks are. scans.py and maps.py turn a checked problem into launches (launches.py) on arrays
(views.py). numba.cuda is imported by gpu.py and the kernels, inside functions from here.
"""

from .. import OPERATORS
from . import gpu, maps, scans
from .moving import move_plan
from .scans import sum_plan
from .shapes import slices_of

__all__ = [
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
    "states_size",
    "step_plan",
    "sum_plan",
]

SERVES = frozenset(OPERATORS) - {"orders_per_sample"}


def forward_plan(problem, operands):
    """Plan of a scan, or of scan2d: gather, scan, scatter."""
    return _plans(problem).forward_plan(problem, operands)


def backward_plan(problem, operands, part_steps):
    """Plan of all gradients; `part_steps`: dB and dC, if in parts -> bytes between two parts."""
    return _plans(problem).backward_plan(problem, operands, part_steps)


def states_size(problem):
    """Elements, all real, of the states that a forward keeps: before all tiles but the first."""
    return _plans(problem).states_size(problem)


def _plans(problem):
    return scans if problem.path is None else maps


def step_plan(problem, operands):
    """Plan of one step: a scan of one step that begins and ends with the state."""
    return scans.forward_plan(problem, operands)


def backward_parts(problem):
    """A part of dB and dC for each slice of a group, of other gradients for each batch entry.

    Along a path the parts of dB and dC are in scratch.
    """
    return (slices_of(problem) if problem.path is None else 1), problem.batch


def forward_scratch(problem, operands):
    """Elements, all real, of what scan2d gathers; a scan needs none."""
    return 0 if problem.path is None else maps.forward_scratch(problem)


def backward_scratch(problem):
    """The same of their gradients."""
    return 0 if problem.path is None else maps.backward_scratch(problem)


def launch(plan, addresses, runs_on=None):
    """Start the kernels of a plan on operands at these addresses (by name); `runs_on`: a stream."""
    if isinstance(addresses, list):  # of pairs
        parts = {f"parts {i}": x for i, (x, _) in enumerate(addresses)}
        addresses = parts | {f"result {i}": x for i, (_, x) in enumerate(addresses)}
    plan.start(addresses, runs_on)


def check():
    """Raise BackendUnavailable, with the reason and what helps, where no kernel could run."""
    gpu.check()


def detail():
    """One line for people."""
    return gpu.detail()
