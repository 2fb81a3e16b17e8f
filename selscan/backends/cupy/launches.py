"""From a problem to a launch: which kernel, on how many blocks, with which argument.

`forward_plan`, `backward_plans`, `sum_plan` and `step_plan` are pure functions of shapes, strides,
dtypes and the device's properties; `Plan.launch` starts the kernel, by a function such as
gpu.Function. launches2d.py has the same for maps.
"""

from math import prod
from typing import Any, NamedTuple

from . import arguments, instances, plan, plan_backward

_STEP_THREADS = 128
_SUM_THREADS = 256
_MOST_LANES = 32


class Plan(NamedTuple):
    """A launch without its addresses and stream."""

    device: int
    file: str
    name: str  # of the instance
    grid: int
    block: int
    shared: int  # bytes
    arguments: arguments.Arguments
    table: Any = None  # on the device: what `upload` gave

    def launch(self, function, addresses, stream=None):
        """Start function(grid, block, args, shared_mem, stream) on operands at these addresses."""
        struct = self.arguments.fill(addresses)
        function((self.grid,), (self.block,), (struct,), self.shared, stream)


def number_of(device):
    """1 of "cuda:1", and 0 of "cpu", where kernels are emulated."""
    return int(device.partition(":")[2] or 0)


def forward_plan(problem, operands, device, mapping=None):
    """Plan of scan_forward; `operands`: name -> (Layout, axes). A mapping may be forced.

    Where time is cut it is a list: the launch that finds the maps of segments comes first.
    """
    plan.check_sizes("scan", problem.length, problem.dim)
    element, mapping = _mapping(problem, operands, device, mapping)
    operands = operands | {"saved": _saved(problem), "carries": _carries(problem, mapping)}
    single = element is not None and problem.d_state == 1
    name = instances.forward_name(element, problem.state_dtype, mapping.lanes, single)
    grid = plan.blocks(problem, mapping)
    launches = [(grid, plan.shared_bytes(problem, mapping), False)]
    if mapping.segments > 1:
        grid = grid // mapping.segments * (mapping.segments - 1)
        launches.insert(0, (grid, plan.map_bytes(problem, mapping), True))
    plans = [
        Plan(
            number_of(problem.device),
            instances.FORWARD,
            name,
            grid,
            32 * mapping.warps,
            shared,
            arguments.forward_arguments(problem, operands, element, mapping, maps),
        )
        for grid, shared, maps in launches
    ]
    return plans if mapping.segments > 1 else plans[0]


def forward_scratch(problem, operands, device, mapping=None):
    """Elements, all real, of the maps of segments that scan_forward leaves for itself."""
    _, mapping = _mapping(problem, operands, device, mapping)
    shape = plan_backward.carries_shape(problem, mapping)
    return prod(shape) * (2 if problem.is_complex else 1)


def _mapping(problem, operands, device, forced):
    """The element, and what is forced or else chosen."""
    element = plan.element_of(problem, operands["y" if "y" in operands else "u"][0].dtype)
    if forced is None:
        return element, plan.choose(problem, element, device)
    return element, plan.without_empty(problem, forced)


def _carries(problem, mapping):
    return plan_backward.kept_operand(problem, plan_backward.carries_shape(problem, mapping))


def _saved(problem):
    return plan_backward.kept_operand(problem, plan_backward.saved_shape(problem))


def step_plan(problem, operands):
    """Plan of scan_step: as many lanes for a row as it has states."""
    plan.check_sizes("scan_step", problem.length, problem.dim)
    lanes = 1
    while lanes < min(problem.d_state, _MOST_LANES):
        lanes *= 2
    blocks = -(-problem.batch * problem.dim * lanes // _STEP_THREADS)
    if blocks > plan.MOST_BLOCKS:
        raise ValueError(
            f"scan_step: b * d must be below 2**31 * {_STEP_THREADS // lanes} on a GPU; got "
            f"{problem.batch * problem.dim}."
        )
    return Plan(
        number_of(problem.device),
        instances.STEP,
        instances.step_name(problem.state_dtype),
        blocks,
        _STEP_THREADS,
        0,
        arguments.step_arguments(problem, operands, lanes),
    )


def backward_plans(problem, operands, part_steps, device, mapping=None):
    """Plans of what a backward launches one after the other: scan_carry if need be, scan_backward.

    `operands`: name -> (Layout, axes); `part_steps`: result -> bytes between the parts of slices.
    """
    plan.check_sizes("scan_backward", problem.length, problem.dim)
    mapping = mapping or plan_backward.choose(problem, device)
    element = plan.element_of(problem, operands["dy"][0].dtype)
    operands = operands | {
        "saved": _saved(problem),
        "carries": _carries(problem, mapping),
    }
    made = arguments.backward_arguments(problem, operands, element, mapping, part_steps)
    number, grid = problem.state_dtype, plan_backward.blocks(problem, mapping)
    launches = [(instances.BACKWARD, grid, plan_backward.shared_bytes(problem, mapping))]
    if mapping.segments > 1:
        blocks = problem.batch * problem.groups * plan_backward.channel_blocks(problem, mapping)
        grid = blocks * (mapping.segments - 1)
        launches.insert(0, (instances.CARRY, grid, plan_backward.carry_bytes(problem, mapping)))
    return [
        Plan(
            number_of(problem.device),
            file,
            instances.backward_name(file, element, number),
            grid,
            32 * mapping.warps,
            shared,
            made,
        )
        for file, grid, shared in launches
    ]


def sum_plan(problem, pairs):
    """Plan of sum_parts for (layout of the parts, layout of the result)."""
    blocks = -(-max(prod(result.shape) for _, result in pairs) // _SUM_THREADS)
    return Plan(
        number_of(problem.device),
        instances.SUMS,
        instances.sums_name(problem.state_dtype),
        len(pairs) * blocks,
        _SUM_THREADS,
        0,
        arguments.SumArguments(pairs),
    )
