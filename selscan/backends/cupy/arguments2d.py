"""The structs of the kernels that scan and move maps, as arguments.py has those of sequences."""

import numpy as np

from ...messages import fail
from . import plan2d, plan2d_backward, plan_cross, plan_moves
from .arguments import DTYPES, SIZES

MAP_OPERAND = np.dtype(
    [
        ("data", "u8"),
        *((x, "i8") for x in ("batch", "route", "channel", "state", "step", "row")),
        *((x, "i4") for x in ("dtype", "ordered")),
    ],
    align=True,
)
_COMMON = ("channels", "length", "states", "routes", "pixels", "width", "channel_blocks")


def _struct(operands, wide, integers):
    fields = [*((x, MAP_OPERAND) for x in operands), ("table", "u8"), ("table_batch", "i8")]
    fields += [(x, "i8") for x in wide]
    return np.dtype([*fields, *((x, "i4") for x in (*_COMMON, *integers))], align=True)


FORWARD = _struct(
    ("u", "delta", "B", "C", "y", "sums", "A", "D", "delta_bias", "saved"),
    (),
    ("staged", "state_step", "chunks", "mode", "whole", "softplus", "joined"),
)
BACKWARD = _struct(
    (
        "u", "delta", "B", "C", "dy", "du", "ddelta", "du_sums", "ddelta_sums",
        "A", "D", "delta_bias", "saved", "dA", "dB", "dC", "dD", "ddelta_bias",
    ),
    ("part_b", "part_c"),
    (
        "slices", "walk", "staged", "chunks", "du_mode", "ddelta_mode", "whole", "parts",
        "softplus", "joined",
    ),
)  # fmt: skip

_MAPPED = ("channels", "height", "width", "channel_blocks", "turns", "team")
CROSS_FORWARD = np.dtype(
    [
        *((x, MAP_OPERAND) for x in ("u", "delta", "B", "C", "y", "A", "D", "delta_bias")),
        *((x, "i4") for x in (*_MAPPED, "softplus")),
    ],
    align=True,
)
CROSS_BACKWARD = np.dtype(
    [
        *((x, MAP_OPERAND) for x in (
            "u", "delta", "B", "C", "dy", "du", "ddelta",
            "A", "D", "delta_bias", "dA", "dB", "dC", "dD", "ddelta_bias",
        )),
        ("part_b", "i8"), ("part_c", "i8"),
        *((x, "i4") for x in (*_MAPPED, "dy_in_order", "parts_in_order", "softplus")),
    ],
    align=True,
)  # fmt: skip
MOVE = np.dtype(
    [
        *((x, "u8") for x in ("source", "result", "list")),
        *((x, "i8") for x in ("batch", "route", "channel", "column", "row", "frame", "size")),
        *((x, "i4") for x in (
            "routes", "channels", "width", "height", "chunks", "length", "rows", "channel_blocks",
            "pitch", "shift", "gathers", "steps",
        )),
    ],
    align=True,
)  # fmt: skip
ORDERS = np.dtype(
    [
        *((x, "u8") for x in ("source", "result")),
        *((x, "i8") for x in ("batch", "route", "step", "tasks", "length", "pixels")),
        ("routes", "i4"),
    ],
    align=True,
)


class MapArguments:
    """A struct without its addresses but that of the table; `fill` adds those.

    `operands`: name in the struct -> (name of the address, bytes to add to it, fields).
    """

    def __init__(self, dtype, operands, table, values):
        template = np.zeros((), dtype)
        if table is not None:
            template["table"] = table
        words = []
        for name, (source, offset, fields) in operands.items():
            for field, value in fields.items():
                template[name][field] = value
            words.append((dtype.fields[name][1] // 8, source, offset))
        for name, value in values.items():
            template[name] = value
        self._dtype, self._words = dtype, words
        self._template = np.frombuffer(template.tobytes(), np.int64).copy()

    def fill(self, addresses):
        """The struct with addresses by name; what is not given is null."""
        words = self._template.copy()
        for word, source, offset in self._words:
            address = addresses.get(source)
            if address is not None:
                words[word] = address + offset
        return np.ndarray((), self._dtype, words)[()]  # as in arguments.py


def fields_of(problem, layout, axes, width):
    """The fields of MapOperand for an operand that was checked, and rows of so many pixels."""

    def step(axis):
        return 0 if axis is None or layout.shape[axis] == 1 else layout.steps[axis]

    fields = {
        "batch": step(axes.b),
        "route": step(axes.r),
        "channel": step(axes.d),
        "state": step(axes.n),
        "dtype": DTYPES.index(layout.dtype),
    }
    if axes.is_map:
        return fields | map_steps(problem.path, width, *pixel_steps(layout, axes))
    if axes.t is None:
        return fields
    if problem.path.joined:  # the steps of all routes are one axis
        fields["route"] = problem.length * step(axes.t)
    return fields | {"step": step(axes.t), "ordered": 1}


def pixel_steps(layout, axes):
    """Bytes along frames, rows and columns of a map; 0 where there is one."""
    along = axes.p, axes.h, axes.t
    return [0 if x is None or layout.shape[x] == 1 else layout.steps[x] for x in along]


def row_width(problem, operands):
    """The pixels of a row as a kernel has them, which has one step more behind each row of a map.

    A third step would take registers from the loops of all maps. So a row is one of a map, where
    the frames of all maps follow one another, or else a frame, where the rows of all frames do.
    """
    path = problem.path
    if path.depth is None:
        return path.width
    maps = {name: pixel_steps(*x) for name, x in operands.items() if x[1].is_map}
    frame = path.height * path.width
    others = [x for x, steps in maps.items() if not map_steps(path, path.width, *steps)]
    if not others:
        return path.width
    if not all(map_steps(path, frame, *steps) for steps in maps.values()):
        expected = "of frames that follow one another in memory, or all maps of rows that do"
        got = "{}, {} and {} bytes along frames, rows and columns".format(*maps[others[0]])
        hint = " The CUDA kernels need that; pass contiguous arrays."
        fail("scan3d", others[0], expected, got, hint)
    return frame


def map_steps(path, width, frame, row, column):
    """Steps of pixels and behind rows of `width` pixels; None where there are others."""
    step = column if path.width > 1 else row
    if path.depth and width == path.height * path.width:  # a row is a frame
        fits = path.height == 1 or path.width == 1 or row == path.width * column
        return (
            {"step": step, "row": frame - width * step if path.depth > 1 else 0} if fits else None
        )
    if (path.depth or 1) > 1 and frame != path.height * row:
        return None
    return {"step": step, "row": row - width * step if min(path.height, width) > 1 else 0}


def saved_fields(problem):
    """Of the states that a forward keeps."""
    layout = plan2d.saved(problem)
    names = ("batch", "route", "step", "state", "channel")
    return dict(zip(names, layout.steps, strict=True)) | {"dtype": DTYPES.index(layout.dtype)}


def sums_fields(problem, fields, mode):
    """Of the sums of a result, in the order of memory that it has."""
    if mode == plan2d.IN_PLACE:
        return fields
    size, pixels, dim = SIZES[problem.real], plan2d.pixels_of(problem), problem.dim
    beside = fields["channel"] != 0 and abs(fields["channel"]) < abs(fields["step"])
    channel, step = (1, dim) if beside and mode == plan2d.SCRATCH else (pixels, 1)
    return {"batch": dim * pixels * size, "channel": channel * size, "step": step * size}


def common(problem, channel_blocks, width):
    """Numbers that all structs have."""
    by_order = problem.path.table is None
    return {
        "table_batch": 4 * problem.routes * problem.length if by_order else 0,
        "channels": problem.dim,
        "length": problem.length,
        "states": problem.d_state,
        "routes": problem.routes,
        "pixels": plan2d.pixels_of(problem),
        "width": width,
        "channel_blocks": channel_blocks,
        "chunks": plan2d.chunks_of(problem),
        "whole": plan2d.is_whole(problem.path),
        "softplus": problem.softplus,
        "joined": problem.path.joined,
    }


def given_operands(problem, operands, width):
    """What `MapArguments` takes, with the states that are kept; orders per sample are a table."""
    given = {
        name: (name, 0, fields_of(problem, layout, axes, width))
        for name, (layout, axes) in operands.items()
        if name != "path"
    }
    if "path" in operands:
        given["table"] = "path", 0, {}
    return given | {"saved": ("states", 0, saved_fields(problem))}


def forward_arguments(problem, operands, mapping, table):
    """Arguments of scan2d_forward; `operands`: name -> (Layout, axes)."""
    width = row_width(problem, operands)
    given = given_operands(problem, operands, width)
    if "y" in given:
        sums = sums_fields(problem, given["y"][2], mapping.mode)
        source = {plan2d.IN_PLACE: "y", plan2d.SCRATCH: "carries"}.get(mapping.mode, "nowhere")
        given["sums"] = source, 0, sums
    return MapArguments(
        FORWARD,
        given,
        table,
        common(problem, plan2d.channel_blocks(problem, mapping), width)
        | {
            "staged": mapping.staged,
            "state_step": plan2d.state_step(problem, mapping),
            "mode": mapping.mode,
        },
    )


def backward_arguments(problem, operands, mapping, table, part_steps):
    """Arguments of scan2d_backward; `part_steps`: result -> bytes between two parts."""
    width = row_width(problem, operands)
    given = given_operands(problem, operands, width)
    modes, offset = plan2d_backward.sum_modes(problem), 0
    sizes = plan2d_backward.scratch_sizes(problem)
    for name, mode, size in zip(("du", "ddelta"), modes, sizes, strict=True):
        place = {plan2d.IN_PLACE: (name, 0), plan2d.SCRATCH: ("carries", offset)}
        fields = sums_fields(problem, given[name][2], mode)
        given[f"{name}_sums"] = *place.get(mode, ("nowhere", 0)), fields
        offset += size * SIZES[problem.real]
    return MapArguments(
        BACKWARD,
        given,
        table,
        common(problem, plan2d_backward.channel_blocks(problem, mapping), width)
        | {
            "part_b": part_steps.get("dB", 0),
            "part_c": part_steps.get("dC", 0),
            "slices": plan2d_backward.slices(problem, mapping),
            "walk": mapping.walk,
            "staged": mapping.staged,
            "du_mode": modes[0],
            "ddelta_mode": modes[1],
            "parts": plan2d_backward.route_parts(problem),
        },
    )


def cross_forward_arguments(problem, operands, mapping):
    """Arguments of cross_forward; `operands`: name -> (Layout, axes)."""
    return _cross_arguments(CROSS_FORWARD, problem, operands, mapping, {})


def cross_backward_arguments(problem, operands, mapping, part_steps):
    """Arguments of cross_backward; `part_steps`: result -> bytes between two parts."""
    dy, *parts = (operands[name][0] for name in ("dy", "dB", "dC"))
    return _cross_arguments(
        CROSS_BACKWARD,
        problem,
        operands,
        mapping,
        {
            "part_b": part_steps.get("dB", 0),
            "part_c": part_steps.get("dC", 0),
            "dy_in_order": dy.dtype == problem.layouts["u"].dtype and plan_cross.is_dense(dy),
            "parts_in_order": all(x.dtype == "float32" and plan_cross.is_dense(x) for x in parts),
        },
    )


def _cross_arguments(dtype, problem, operands, mapping, more):
    given = {
        name: (name, 0, fields_of(problem, layout, axes, problem.path.width))
        for name, (layout, axes) in operands.items()
    }
    integers = {
        "channels": problem.dim,
        "height": problem.path.height,
        "width": problem.path.width,
        "channel_blocks": plan_cross.channel_blocks(problem, mapping),
        "turns": mapping.turns,
        "team": mapping.team,
        "softplus": problem.softplus,
    }
    return MapArguments(dtype, given, None, integers | more)


class MoveArguments:
    """The struct of move.cu without the addresses of source and result; with that of the list.

    Orders per sample are in the place of a list.
    """

    def __init__(self, moved, mapping, table):
        batch, route, channel, frame, row, column = moved.steps
        width, height = plan_moves.source_width(moved), moved.path.height
        is_map = moved.kernel == "gather"
        self._template = np.zeros((), MOVE)
        for name, value in {
            "list": table or 0,
            "batch": batch,
            "route": route,
            "channel": channel,
            "column": column,
            "row": row - width * column if is_map else 0,
            "frame": frame - height * row if is_map and moved.path.depth is not None else 0,
            "size": plan_moves.results(moved),
            "routes": moved.path.routes,
            "channels": moved.dim,
            "width": width,
            "height": height,
            "chunks": plan_moves.chunks(moved, mapping),
            "channel_blocks": plan_moves.channel_blocks(moved, mapping),
            "gathers": is_map,
            "steps": moved.path.length,
            **mapping._asdict(),
        }.items():
            self._template[name] = value

    def fill(self, addresses):
        """The struct with the addresses of source and result."""
        struct = self._template.copy()
        struct["source"], struct["result"] = addresses["source"], addresses["result"]
        if "path" in addresses:
            struct["list"] = addresses["path"]
        return struct[()]


class OrdersArguments:
    """The struct of check_orders.cu without its addresses."""

    def __init__(self, layout, pixels):
        batch, routes, length = layout.shape
        steps = dict(zip(("batch", "route", "step"), layout.steps, strict=True))
        sizes = {"tasks": batch * routes, "length": length, "pixels": pixels, "routes": routes}
        self._template = np.zeros((), ORDERS)
        for name, value in (steps | sizes).items():
            self._template[name] = value

    def fill(self, addresses):
        """The struct with the addresses of source and result."""
        struct = self._template.copy()
        for name, address in addresses.items():
            struct[name] = address
        return struct[()]
