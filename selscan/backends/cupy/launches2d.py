"""From a scan along a path, or a move, to its launches, as launches.py has it for sequences.

Pure functions but for `upload`, which puts an array of the host on the device, once for a plan.
"""

from math import prod

from . import arguments2d, instances, plan, plan2d, plan2d_backward, plan_cross, plan_moves
from .launches import Plan, number_of


def forward_mapping(problem, operands, device):
    """The mapping of a forward, one of plan_cross.py where that serves; there may be no y."""
    y = operands["y"][0] if "y" in operands else None
    if y is not None and plan_cross.takes(problem, device):
        mapping = plan_cross.writes(problem, y) and plan_cross.choose(problem, device)
        if mapping:
            return mapping
    return plan2d.choose(problem, element_of(problem, operands), y, device)


def backward_mapping(problem, device):
    """The same of a backward."""
    mapping = None
    if plan_cross.takes(problem, device):
        mapping = plan_cross.choose(problem, device, backward=True)
    return mapping or plan2d_backward.choose(problem, device)


def element_of(problem, operands):
    return plan.element_of(problem, operands["y" if "y" in operands else "u"][0].dtype)


def forward_plan(problem, operands, device, upload, mapping=None):
    """Plan of a forward; `operands`: name -> (Layout, axes). A mapping may be forced."""
    plan.check_sizes("scan2d", problem.length, problem.dim)
    mapping = mapping or forward_mapping(problem, operands, device)
    if isinstance(mapping, plan_cross.Mapping):
        made = arguments2d.cross_forward_arguments(problem, operands, mapping)
        shared = plan_cross.forward_bytes(problem, mapping)
        return _cross_plan(problem, instances.CROSS_FORWARD, mapping, shared, made)
    table, address = uploaded(upload, problem.path.table)
    return Plan(
        number_of(problem.device),
        instances.FORWARD_2D,
        instances.forward2d_name(element_of(problem, operands), problem.state_dtype, mapping.lanes),
        problem.batch * plan2d.channel_blocks(problem, mapping),
        32 * mapping.warps,
        plan2d.shared_bytes(problem, mapping),
        arguments2d.forward_arguments(problem, operands, mapping, address),
        table,
    )


def _cross_plan(problem, file, mapping, shared, arguments):
    """Plan of a kernel for small maps along the cross path."""
    element, shape = plan_cross.element_of(problem), mapping.shape
    return Plan(
        number_of(problem.device),
        file,
        instances.cross_name(file, element, shape.side, shape.whole),
        plan_cross.blocks(problem, mapping),
        mapping.team * mapping.teams,
        shared,
        arguments,
    )


def forward_scratch(problem, operands, device, mapping=None):
    """Numbers of the arithmetic that a forward needs besides."""
    if "y" not in operands:
        return 0
    mapping = mapping or forward_mapping(problem, operands, device)
    if isinstance(mapping, plan_cross.Mapping):
        return 0
    return plan2d.scratch_size(problem, operands["y"][0], mapping.mode)


def states_size(problem, device):
    """Numbers that a forward keeps for the backward."""
    return 0 if plan_cross.takes(problem, device) else prod(plan2d.saved_shape(problem))


def backward_plan(problem, operands, part_steps, device, upload, mapping=None):
    """Plan of a backward; `part_steps`: result -> bytes between two parts."""
    plan.check_sizes("scan2d", problem.length, problem.dim)
    mapping = mapping or backward_mapping(problem, device)
    if isinstance(mapping, plan_cross.Mapping):
        made = arguments2d.cross_backward_arguments(problem, operands, mapping, part_steps)
        shared = plan_cross.backward_bytes(problem, mapping)
        return _cross_plan(problem, instances.CROSS_BACKWARD, mapping, shared, made)
    element = plan.element_of(problem, operands["dy"][0].dtype)
    table, address = uploaded(upload, problem.path.table)
    return Plan(
        number_of(problem.device),
        instances.BACKWARD_2D,
        instances.backward_name(instances.BACKWARD_2D, element, problem.state_dtype),
        plan2d_backward.blocks(problem, mapping),
        32 * mapping.warps,
        plan2d_backward.shared_bytes(problem, mapping),
        arguments2d.backward_arguments(problem, operands, mapping, address, part_steps),
        table,
    )


def backward_parts(problem, device, mapping=None):
    """Parts of the gradients of B and C, and of those that are summed over the batch."""
    mapping = mapping or backward_mapping(problem, device)
    if isinstance(mapping, plan_cross.Mapping):
        return plan_cross.channel_blocks(problem, mapping), problem.batch
    parts = plan2d_backward.slices(problem, mapping) * plan2d_backward.route_parts(problem)
    return parts, problem.batch


def backward_scratch(problem, device, mapping=None):
    """Numbers of the arithmetic that a backward needs besides."""
    mapping = mapping or backward_mapping(problem, device)
    if isinstance(mapping, plan_cross.Mapping):
        return 0
    return sum(plan2d_backward.scratch_sizes(problem))


def uploaded(upload, table):
    """A table on the device, and its address; None where orders per sample come with the call."""
    if table is None:
        return None, None
    found = upload(table)
    return found, found.address


def move_plan(moved, device, upload, mapping=None):
    """Plan of move.cu. A mapping may be forced."""
    function = "gather" if moved.kernel == "gather" else "scatter"
    plan.check_sizes(function, moved.path.length, moved.dim)
    mapping = mapping or plan_moves.choose(moved, device)
    by_order = plan_moves.by_order(moved)
    table, address = uploaded(upload, None if by_order else plan_moves.list_of(moved, mapping))
    size, adds = plan_moves.STORED[moved.dtype], plan_moves.adds(moved)
    return Plan(
        number_of(moved.device),
        instances.MOVE,
        instances.move_name(moved.dtype, size, adds, by_order),
        plan_moves.blocks(moved, mapping),
        plan_moves.THREADS,
        plan_moves.shared_bytes(moved, mapping),
        arguments2d.MoveArguments(moved, mapping, address),
        table,
    )


def orders_plan(layout, pixels, device):
    """Plan of the check of orders per sample on a device."""
    made = arguments2d.OrdersArguments(layout, pixels)
    return Plan(
        number_of(device),
        instances.ORDERS,
        instances.orders_name(layout.dtype),
        min(layout.shape[0] * layout.shape[1], plan.MOST_BLOCKS),
        plan_moves.ORDERS_THREADS,
        0,
        made,
    )
