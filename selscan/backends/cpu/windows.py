"""Windows: which parts of a map a kernel has in scratch while it walks a route (maps.py).

A *square* is a stretch of pixels, w at most, w the lanes of a vector: with a block of channels they
are copied as one transpose. A window has a *place*, a row of lanes, for each pixel of the squares
in use: a square comes with the first chunk of a route that visits one of its pixels, and goes with
the last one, and its places are used again. So a walk along columns has a strip of the map in
scratch, one along rows a few squares. A plane would have the whole map there, which no cache holds
where maps are large.

All of this is one table of int32 numbers, made once for a path: the place of each step, and for
each chunk the squares that come and that go. A backward walks the other way: there squares come
where they go in a forward.
"""

from typing import NamedTuple

import numpy as np

from ...paths.keeping import keeping

# A square of a list: row and column of its first pixel, its first place, and flags.
(ROW, COLUMN, PLACE, FLAGS) = range(4)
SQUARE_FIELDS = 4
# A route before this one comes to the square; one behind it does; this one does not, nor does any.
BEFORE, AFTER, NOT_HERE, NOWHERE = 1, 2, 4, 8


class Windows(NamedTuple):
    """The table, and where in it things begin; the places of steps are at its start, (k, l)."""

    table: np.ndarray  # int32
    places: int  # of a window; the last square of them is for zeros
    first: int  # squares by the first chunk that visits them
    first_starts: int  # (k, chunks + 1): from which square on those of a chunk are
    last: int  # the same by the last chunk
    last_starts: int

    @property
    def nbytes(self):
        """Bytes of the table."""
        return self.table.nbytes


@keeping
def windows_of(path, columns, chunk, lanes):
    """The Windows of chunks of so many steps; `columns` is the width, or all pixels as one row."""
    rows, across = path.pixels // columns, -(-columns // lanes)
    visited = np.stack([_visited(x, columns, lanes, rows * across) for x in path.inverse])
    chunks = -(-path.length // chunk)
    steps, lists, places = [], ([], []), 0
    for r, table in enumerate(path.table):
        flags = BEFORE * visited[:r].any(axis=0) + AFTER * visited[r + 1 :].any(axis=0)
        flags += NOT_HERE * ~visited[r] + NOWHERE * ~visited.any(axis=0)
        found = _walk(table, columns, chunk, lanes, chunks, flags)
        steps.append(found[0])
        places = max(places, found[1])
        for squares, more in zip(lists, found[2:], strict=True):
            squares.append(more)
    parts, starts = [np.concatenate(steps)], [0]
    for squares in lists:
        counts = np.concatenate([x[1] for x in squares])
        for part in (np.concatenate([x[0] for x in squares]), np.append(0, np.cumsum(counts))):
            starts.append(starts[-1] + parts[-1].size)
            parts.append(part.ravel())
    return Windows(np.concatenate(parts).astype(np.int32), places, *starts[1:])


def _squares(pixels, columns, lanes):
    """The square of each pixel."""
    return pixels // columns * -(-columns // lanes) + pixels % columns // lanes


def _visited(inverse, columns, lanes, count):
    """Whether a route comes to each square."""
    found = np.zeros(count, bool)
    found[_squares(np.flatnonzero(inverse >= 0), columns, lanes)] = True
    return found


def _walk(table, columns, chunk, lanes, chunks, flags):
    """Of one route: places of steps, those of the window, and two lists of squares and counts."""
    steps = np.flatnonzero(table >= 0)
    pixels = table[steps]
    squares, chunk_of = _squares(pixels, columns, lanes), steps // chunk
    first, last = np.zeros((2, flags.size), np.int64)
    last[squares] = chunk_of  # of several values for a square the last one stays
    first[squares[::-1]] = chunk_of[::-1]
    own, places = _allot(first, last, flags, chunks)
    result = np.full(table.size, -1, np.int64)
    result[steps] = own[squares] * lanes + pixels % columns % lanes
    row, across = np.divmod(np.arange(flags.size), -(-columns // lanes))
    own[flags & NOT_HERE > 0] = places
    listed = np.stack([row, across * lanes, own * lanes, flags], axis=1)
    lists = []
    for when in (first, last):
        order = np.argsort(when, kind="stable")
        lists.append((listed[order], np.bincount(when, minlength=chunks)))
    return result, (places + 1) * lanes, *lists


def _allot(first, last, flags, chunks):
    """A number for each square, of which none is in use twice at a time, and how many there are."""
    here = np.flatnonzero(flags & NOT_HERE == 0)
    comes = np.split(here[np.argsort(first[here], kind="stable")], _ends(first[here], chunks))
    goes = np.split(here[np.argsort(last[here], kind="stable")], _ends(last[here], chunks))
    own, free, count = np.zeros(flags.size, np.int64), np.zeros(0, np.int64), 0
    for new, old in zip(comes, goes, strict=False):
        more = max(0, len(new) - len(free))
        free = np.append(free, np.arange(count, count + more))
        count += more
        own[new], free = free[: len(new)], free[len(new) :]
        free = np.append(own[old], free)  # those that a cache still has come first
    return own, count


def _ends(when, chunks):
    """Where the squares of each chunk end, in their order."""
    return np.cumsum(np.bincount(when, minlength=chunks))[:-1]
