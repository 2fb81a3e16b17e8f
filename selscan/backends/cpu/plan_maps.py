"""What the plan of a scan along a path needs beyond that of a scan of sequences (maps.py)."""

import numpy as np
from numba import from_dtype

from . import layout as at
from .simd import lanes_of

_COEFFICIENTS = ("B", "C", "dB", "dC")


def add_path(plan, problem, operands, slots):
    """Steps along routes, the table of the path, and room for planes."""
    path, args = problem.path, plan.template
    dense = all(_dense(x, axes, path) for x, axes in operands.values() if axes.is_map)
    if dense and _is_by_rows(path):
        return  # maps are sequences
    plan.path = path  # in use as long as the plan is
    lanes, size = lanes_of(from_dtype(plan.real.dtype)), plan.real.itemsize
    pixels = path.pixels
    for slot, value in {
        at.ROUTES: path.routes,
        at.JOINED: path.joined,
        at.PLANE_SIZE: pixels * lanes * size,
        at.TABLE: path.table.__array_interface__["data"][0],
        at.PADDED: (path.table < 0).any(),
        at.MAP_FRAMES: 1 if dense else path.depth or 1,
        at.MAP_ROWS: 1 if dense else path.height,
        at.MAP_COLUMNS: pixels if dense else path.width,
    }.items():
        args[slot] = value
    blocks = -(-int(args[at.BLOCKS]) // int(args[at.SLICES]))
    parts = 2 if problem.is_complex else 1
    coefficients = parts * -(-problem.d_state // lanes)  # vectors of a step
    for name, (layout, axes) in operands.items():
        if axes.is_map:
            args[slots[name] + at.IS_MAP] = True
            args[slots[name] + at.IS_SHARED] = axes.is_shared
            vectors = coefficients if name in _COEFFICIENTS else blocks
            plan.add_tile(slots[name] + at.PLANE, vectors * pixels * lanes * size)
        elif path.joined and axes.t is not None:  # the routes follow each other in memory
            args[slots[name] + at.STEP_R] = path.length * layout.steps[axes.t]


def _dense(layout, axes, path):
    """Whether the rows of a map follow each other in memory, and its frames."""
    column, row = layout.steps[axes.t], layout.steps[axes.h]
    frames_follow = axes.p is None or layout.steps[axes.p] == path.height * row
    return row == path.width * column and frames_follow


def _is_by_rows(path):
    """Whether there is one route, from the first pixel to the last."""
    return path.routes == 1 and np.array_equal(path.table[0], np.arange(path.pixels))
