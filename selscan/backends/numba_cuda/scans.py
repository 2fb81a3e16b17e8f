"""Plans of scans: which views the kernels get."""

from math import prod

from . import gpu
from .launches import Launch, Plan, moving
from .shapes import MOST_BLOCKS, THREADS, channels_of, slices_of, tiles_of
from .views import View, absent, dense, of_operand

_SEQUENCES = ("u", "delta", "z", "B", "C", "y", "seq_idx", "dy", "du", "ddelta", "dz", "dB", "dC")


def forward_plan(problem, operands):
    """Plan of a scan, or of one step, which is a scan of length 1."""
    launch = forward_launch(problem, views_of(problem, operands))
    return Plan(gpu.number_of(problem.device), (launch,))


def backward_plan(problem, operands, part_steps):
    """Plan of the gradients; `part_steps`: dB and dC, if in parts -> bytes between two parts."""
    views = views_of(problem, operands)
    for name, constant in (("dB", problem.constant_b), ("dC", problem.constant_c)):
        if constant:
            views[f"{name}_constant"] = of_operand(name, operands, "bdn", b=problem.batch)
            views[name] = absent(5)
        else:
            parts = slices_of(problem) if name in part_steps else 1
            views[f"{name}_constant"] = absent(3)
            views[name] = stacked(views[name], parts, part_steps.get(name, 0))
    launch = backward_launch(problem, views)
    return Plan(gpu.number_of(problem.device), (launch,))


def stacked(view, count, step):
    """A View with an axis of parts in front."""
    return view._replace(shape=(count, *view.shape), steps=(step, *view.steps))


def views_of(problem, operands):
    """Views by the names of the kernels' arguments, turned around for a scan in reverse."""
    b, t, n = problem.batch, problem.length, problem.d_state
    keys = {
        **dict.fromkeys(("u", "delta", "z", "y", "dy", "du", "ddelta", "dz"), "bdt"),
        **dict.fromkeys(("B", "C", "dB", "dC"), "bdnt"),
        **dict.fromkeys(("initial_state", "last_state", "dlast_state", "dinitial_state"), "bdn"),
        "A": "dn",
        "D": "d",
        "delta_bias": "d",
        "seq_idx": "bt",
        "dA": "bdn",
        "dD": "bd",
        "ddelta_bias": "bd",
    }
    views = {name: of_operand(name, operands, key, b=b, t=t) for name, key in keys.items()}
    views["saved"] = kept(problem, (b, tiles_of(problem, t) - 1, n, problem.dim))
    views["pixels"] = absent(1, "int32")
    if problem.reverse:
        views |= {name: views[name].turned() for name in _SEQUENCES}
    return views


def kept(problem, shape):
    """The View of the states that the forward keeps; of none where there is one tile."""
    if 0 in shape:
        return absent(4, problem.state_dtype)
    return dense("states", shape, problem.state_dtype)


FORWARD = (
    "u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "seq_idx", "pixels",
    "y", "last_state", "saved",
)  # fmt: skip
BACKWARD = (
    *FORWARD[:11], "dy", "dlast_state", "saved", "du", "ddelta", "dA", "dB", "dC", "dB_constant",
    "dC_constant", "dD", "dz", "ddelta_bias", "dinitial_state",
)  # fmt: skip


def forward_launch(problem, views):
    """The Launch of scan_forward."""
    return _scan("scan_forward", problem, [views[name] for name in FORWARD])


def backward_launch(problem, views):
    """The Launch of scan_backward."""
    return _scan("scan_backward", problem, [views[name] for name in BACKWARD])


def _scan(kernel, problem, views):
    if problem.d_state > THREADS:
        raise ValueError(
            f"scan: d_state must be at most {THREADS} for the numba_cuda backend, which has a "
            f"thread for each state; got {problem.d_state}."
        )
    grid = problem.batch * problem.groups * slices_of(problem)
    if grid > MOST_BLOCKS:
        raise ValueError(
            f"scan: b * g must be below 2**31 for the numba_cuda backend; got b = {problem.batch}, "
            f"g = {problem.groups}."
        )
    scalars = (problem.groups, "int64"), (problem.softplus, "boolean")
    block = channels_of(problem), problem.d_state
    return Launch(kernel, problem.state_dtype, tuple(views), scalars, grid, block)


def states_size(problem):
    """Elements, all real, of the states that a forward keeps: before all tiles but the first."""
    tiles = tiles_of(problem, problem.length) - 1
    size = problem.batch * tiles * problem.d_state * problem.dim
    return size * (2 if problem.is_complex else 1)


def sum_plan(problem, pairs):
    """Plan of the sums over the first axis, for pairs of Layouts (parts, result)."""
    launches = []
    for i, (parts, result) in enumerate(pairs):
        if prod(result.shape) == 0:
            continue
        missing = 4 - len(result.shape)
        source = View(
            f"parts {i}",
            (parts.shape[0], *(1,) * missing, *parts.shape[1:]),
            (parts.steps[0], *(0,) * missing, *parts.steps[1:]),
            parts.dtype,
        )
        shape, steps = (1,) * missing + result.shape, (0,) * missing + result.steps
        target = View(f"result {i}", shape, steps, result.dtype)
        launches.append(moving("sum_parts", parts.dtype, source, target))
    return Plan(gpu.number_of(problem.device), tuple(launches))
