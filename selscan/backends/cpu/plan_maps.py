"""What the plan of a scan along a path needs beyond that of a scan of sequences (maps.py)."""

import numpy as np
from numba import from_dtype

from . import layout as at
from .pieces import find_pieces, fresh_routes, panel_chunks
from .simd import lanes_of

_COEFFICIENTS = ("B", "C", "dB", "dC")
# Bytes, of which each thread has up to a few dozen times as many in scratch.
LARGEST_PLANE = 1 << 23


def add_path(plan, problem, operands, slots):
    """Steps along routes, the tables of the path, and panels where they make copies cheaper."""
    path, args = problem.path, plan.template
    lanes, size = lanes_of(from_dtype(plan.real.dtype)), plan.real.itemsize
    chunk = int(args[at.CHUNK])
    chunks = panel_chunks(path, chunk, lanes)
    steps, pixels = min(chunk * chunks, path.length), path.height * path.width
    # One route by rows is a few pieces anyway.
    planes = pixels * lanes * size <= LARGEST_PLANE and (path.routes > 1 or chunks > 1)
    dense = all(_dense(x, axes, path.width) for x, axes in operands.values() if axes.is_map)
    pieces = find_pieces(path, chunk * chunks, dense)
    fresh, _ = fresh_routes(path, plan.kernel == "backward")
    plan.tables = pieces, fresh, path  # in use as long as the plan is
    padded = (path.table < 0).any()
    for slot, value in {
        at.ROUTES: path.routes,
        at.JOINED: path.joined,
        at.PANEL_CHUNKS: chunks,
        at.PANEL_SIZE: max(steps, planes * pixels) * lanes * size,
        at.PIECES: _address(pieces.table),
        at.FIRST_PIECES: _address(pieces.first),
        at.POSITIONS: _address(pieces.positions),
        at.FRESH: _address(fresh),
        at.PIXELS: _address(path.table) if padded else 0,
        at.TABLE: _address(path.table),
        at.MAP_ROWS: 1 if dense else path.height,
        at.MAP_COLUMNS: pixels if dense else path.width,
    }.items():
        args[slot] = value
    plan.add_tile(at.TILE_PIECE, lanes * lanes * size)
    plan.add_tile(at.TILE_MERGE, steps * lanes * size)
    blocks = -(-int(args[at.BLOCKS]) // int(args[at.SLICES]))
    parts = 2 if problem.is_complex else 1
    coefficients = parts * -(-problem.d_state // lanes)  # vectors of a step
    for name, (layout, axes) in operands.items():
        if axes.is_map:
            args[slots[name] + at.IS_MAP] = True
            args[slots[name] + at.IS_SHARED] = axes.is_shared
            args[slots[name] + at.IS_PLANE] = planes
            if planes or chunks > 1:
                vectors = coefficients if name in _COEFFICIENTS else blocks
                plan.add_tile(slots[name] + at.PANEL, vectors * int(args[at.PANEL_SIZE]))
        elif path.joined and axes.t is not None:  # the routes follow each other in memory
            args[slots[name] + at.STEP_R] = path.length * layout.steps[axes.t]


def _dense(layout, axes, width):
    """Whether the rows of a map follow each other in memory."""
    return layout.steps[axes.h] == width * layout.steps[axes.t]


def _address(table):
    assert table.dtype == np.int32
    assert table.flags.c_contiguous
    return table.__array_interface__["data"][0]
