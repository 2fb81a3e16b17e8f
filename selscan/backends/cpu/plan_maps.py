"""What the plan of a scan along a path needs beyond that of a scan of sequences (maps.py)."""

import numpy as np
from numba import from_dtype

from . import layout as at
from .simd import lanes_of
from .windows import windows_of

_COEFFICIENTS = ("B", "C", "dB", "dC")
# Numbers of a step that are copied one by one: as lanes most of a row would be empty.
FEW = 4
INT32_SIZE = 4  # bytes
_RESULTS = ("y", "du", "ddelta", "dB", "dC")


def add_path(plan, problem, operands, slots):
    """Steps along routes, the tables of the path, and room for planes and windows."""
    path, args = problem.path, plan.template
    maps = {name: x for name, x in operands.items() if x[1].is_map}
    dense = all(_dense(x, axes, path) for x, axes in maps.values())
    is_known = path.table is not None
    if is_known and dense and _is_by_rows(path):
        return  # maps are sequences
    plan.path = path  # in use as long as the plan is
    lanes, pixels = lanes_of(from_dtype(plan.real.dtype)), path.pixels
    row, columns = lanes * plan.real.itemsize, pixels if dense else path.width
    for slot, value in {
        at.ROUTES: path.routes,
        at.JOINED: path.joined,
        at.TABLE: _address(path.table) if is_known else 0,
        at.TABLE_STEP_B: 0 if is_known else path.routes * path.length * INT32_SIZE,
        at.PADDED: (path.table < 0).any() if is_known else True,
        at.PARTIAL: (path.inverse < 0).any() if is_known else True,
        at.MAP_FRAMES: 1 if dense else path.depth or 1,
        at.MAP_ROWS: 1 if dense else path.height,
        at.MAP_COLUMNS: columns,
    }.items():
        args[slot] = value
    blocks = -(-int(args[at.BLOCKS]) // int(args[at.SLICES]))
    parts = 2 if problem.is_complex else 1
    coefficients = parts * -(-problem.d_state // lanes)  # vectors of a step
    ways = {name: _way(plan, name, x[1], parts * problem.d_state) for name, x in maps.items()}
    if at.WINDOW in ways.values():
        windows = windows_of(path, columns, int(args[at.CHUNK]), lanes)
        _add_windows(plan, windows)
    for name, way in ways.items():
        slot, vectors = slots[name], coefficients if name in _COEFFICIENTS else blocks
        args[slot + at.IS_MAP], args[slot + at.IS_SHARED] = way, maps[name][1].is_shared
        if way != at.DIRECT:
            size = (windows.places if way == at.WINDOW else pixels) * row
            args[slot + at.PLANE_STEP] = size
            plan.add_tile(slot + at.PLANE, vectors * size)
    for name, (layout, axes) in operands.items():
        if path.joined and not axes.is_map and axes.t is not None:
            # the routes follow each other in memory
            args[slots[name] + at.STEP_R] = path.length * layout.steps[axes.t]


def _way(plan, name, axes, numbers):
    """How a map is copied; `numbers` are those that B or C has for a step."""
    is_result = name in _RESULTS
    if name in _COEFFICIENTS and numbers <= FEW and not (is_result and axes.is_shared):
        return at.DIRECT
    if plan.path.table is None:
        return at.PLANES  # what a window would have is not known
    if not axes.is_shared:
        return at.WINDOW
    # Routes that come to a pixel again find it in a plane; where none does, nothing is gained.
    again = plan.path.table.size > plan.path.pixels
    return at.PLANES if is_result or again else at.WINDOW


def _add_windows(plan, windows):
    """The table of windows.py, read from its other end by a backward."""
    plan.windows = windows
    come, go = (windows.first, windows.first_starts), (windows.last, windows.last_starts)
    if plan.kernel == "backward":
        come, go = go, come
    places = (at.COME, at.COME_STARTS), (at.GO, at.GO_STARTS)
    for slots, begins in zip(places, (come, go), strict=True):
        plan.template[slots[0]], plan.template[slots[1]] = begins
    plan.template[at.WINDOWS] = _address(windows.table)


def _address(table):
    return table.__array_interface__["data"][0]


def _dense(layout, axes, path):
    """Whether the rows of a map follow each other in memory, and its frames."""
    column, row = layout.steps[axes.t], layout.steps[axes.h]
    frames_follow = axes.p is None or layout.steps[axes.p] == path.height * row
    return row == path.width * column and frames_follow


def _is_by_rows(path):
    """Whether there is one route, from the first pixel to the last."""
    return path.routes == 1 and np.array_equal(path.table[0], np.arange(path.pixels))
