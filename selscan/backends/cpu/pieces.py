"""The pieces of a path: what kernels copy between maps and tiles (maps.py).

A piece is a stretch of pixels within a panel of steps, each as far from the one before on the map;
it may be as far in time as well. A route by rows is a piece for each panel. A route by columns is
one for each row of the map, whose pixels are a column's length apart in time, or a single one with
its steps listed where the panel has the whole map. Pure functions of tables.
"""

import functools
from typing import NamedTuple

import numpy as np

# Steps of the longest panel: more do not fit the second-level cache.
_LONGEST = 4096
# What it costs to copy up to w pixels from one place, in units of a row from tile to tile.
_PLACE = 64


class Pieces(NamedTuple):
    """Pieces of all panels of all routes, read-only, int32."""

    table: np.ndarray  # (pieces, 6), as maps.py has it
    first: np.ndarray  # (routes * panels + 1,): panel i has the pieces first[i] to first[i + 1] - 1
    positions: np.ndarray  # steps within the panel

    def places(self, lanes):
        """How many copies there are: of pixels side by side `lanes` at a time, else one by one."""
        step, count = self.table[:, 2], self.table[:, 3]
        return int(np.where(step == 1, -(-count // lanes), count).sum())


@functools.lru_cache(64)
def find_pieces(path, steps, dense):
    """The Pieces of panels of `steps` steps; where rows are not `dense` none leaves its row."""
    panels = -(-path.length // steps)
    route, position = np.nonzero(path.table >= 0)
    pixel = path.table[route, position]
    panel, position = route * panels + position // steps, position % steps
    order = np.lexsort((pixel, panel))
    panel, pixel, position = panel[order], pixel[order], position[order]
    edge = np.ones(len(pixel), bool)
    edge[1:] = np.diff(panel) != 0
    if not dense:
        edge[1:] |= np.diff(pixel // path.width) != 0
    begins = np.flatnonzero(stretches(np.diff(pixel), edge))
    counts = np.diff(begins, append=len(pixel))
    pixel_steps, steps = (np.append(np.diff(x), 0)[begins] for x in (pixel, position))
    pixel_steps[counts == 1], steps[counts == 1] = 0, 1
    # Constant in time, if no second difference within the piece is other than 0.
    turns = np.concatenate([[0, 0], np.cumsum(np.diff(position, 2) != 0)])
    last = begins + counts - 1
    listed = (counts > 2) & (turns[last] != turns[np.minimum(begins + 1, last)])
    rows, columns = np.divmod(pixel[begins], path.width)
    places = np.where(listed, begins, position[begins])
    table = [rows, columns, pixel_steps, counts, places, np.where(listed, 0, steps)]
    first = np.searchsorted(panel[begins], np.arange(path.routes * panels + 1))
    return Pieces(_frozen(np.stack(table, axis=1)), _frozen(first), _frozen(position))


def stretches(moves, edge):
    """True where a stretch of equal moves begins; at an edge one does in any case.

    Of bends in a row, every second one begins a stretch, as in selscan.paths.runs.
    """
    bend = edge.copy()
    bend[2:] |= moves[1:] != moves[:-1]
    begins = bend.copy()
    begins[1:] &= ~bend[:-1]
    steps = np.arange(len(edge))
    origin = np.maximum.accumulate(np.where(begins | edge, steps, 0))
    return bend & ((steps - origin) % 2 == 0)


@functools.lru_cache(64)
def panel_chunks(path, chunk, lanes):
    """Chunks of a panel: doubled while that saves more places than copies by the chunks cost."""

    def cost(chunks):
        places = find_pieces(path, chunk * chunks, True).places(lanes)
        return _PLACE * places + (2 * path.table.size if chunks > 1 else 0)

    choices = [1]
    while chunk * choices[-1] < path.length and 2 * chunk * choices[-1] <= _LONGEST:
        choices.append(2 * choices[-1])
    return min(choices, key=cost)


@functools.lru_cache(64)
def fresh_routes(path, backward):
    """For each route, whether it visits no pixel that an earlier one does, int32; and whether such
    routes visit every pixel. The routes of a joined path go backward where `backward`.
    """
    order = range(path.routes)[::-1] if backward and path.joined else range(path.routes)
    fresh = np.zeros(path.routes, np.int32)
    written, stored = np.zeros((2, path.height * path.width), bool)
    for r in order:
        visited = path.inverse[r] >= 0
        fresh[r] = not (visited & written).any()
        written |= visited
        stored |= visited & bool(fresh[r])
    return _frozen(fresh), bool(stored.all())


def visits_together(path, backward):
    """Whether fresh routes visit every pixel: nothing need be there before they write."""
    return fresh_routes(path, backward)[1]


@functools.lru_cache(64)
def visits_all(path):
    """Whether every route visits every pixel."""
    return bool((path.inverse >= 0).all())


def _frozen(table):
    table = np.ascontiguousarray(table, np.int32)
    table.setflags(write=False)
    return table
