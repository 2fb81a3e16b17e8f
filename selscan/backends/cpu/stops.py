"""Steps whose states are wanted: a scan stops behind each, and goes on.

The table, int32: for each chunk in scan order the number of stops before it, their number, and for
each stop in scan order its row within its chunk, in that order as well. The states lie in the order
of time, on the axis that routes have for other operands.
"""

import numpy as np

from . import layout as at
from .blocks import ZERO
from .formats import INT32, read_integer
from .jit import helper, inline
from .planes import load_planes, parts
from .simd import itemsize, load, store, width

_NUMBER = 4  # bytes


def stops_table(positions, length, chunk, reverse):
    """The table for ascending positions."""
    rows = np.array(positions, np.int64)
    rows = (length - 1 - rows)[::-1] if reverse else rows
    chunks = -(-length // chunk)
    before = np.searchsorted(rows, np.arange(chunks + 1) * chunk)
    return np.concatenate([before, rows % chunk]).astype(np.int32)


def most_stops(table, chunks):
    """Of a chunk."""
    return int(np.diff(table[: chunks + 1]).max())


@inline
def _number(args, i):
    return read_integer(INT32, args[at.STOPS] + i * _NUMBER)


@helper
def stops_of(args, c):
    """The stops of a chunk: the first, and the one behind the last."""
    if args[at.STOPS] == 0:
        return ZERO, ZERO
    return _number(args, c), _number(args, c + 1)


@helper
def stop_row(args, j):
    """The row of a stop within its chunk, in scan order."""
    return _number(args, args[at.CHUNKS] + 1 + j)


@helper
def stop_index(args, j):
    """Which of the wanted states it is."""
    return _number(args, args[at.CHUNKS]) - 1 - j if args[at.REVERSE] else j


@helper
def gradient_size(real, kind_a, args):
    """Bytes of the gradient of one state of a block."""
    return args[at.D_STATE] * width(real) * itemsize(real) * parts(kind_a)


@helper
def load_gradients(real, kind_a, args, b, d, rows, c, tile):
    """The gradients of the states that are wanted within a chunk."""
    if args[at.DSTATES_AT]:
        first, end = stops_of(args, c)
        for j in range(first, end):
            to, k = tile + (j - first) * gradient_size(real, kind_a, args), stop_index(args, j)
            load_planes(real, kind_a, args, at.DSTATES_AT, b, k, d, rows, args[at.D_STATE], to)


@helper
def add_tile(real, target, source, rows):
    row = width(real) * itemsize(real)
    for i in range(rows):
        store(target + i * row, load(real, target + i * row) + load(real, source + i * row))


@helper
def swept_to(args, start, left, alone, first, stop):
    """Where a sweep back over a segment halts, in rows from its start, `left` of which remain.

    Behind the next stop; the first `alone` rows are swept on their own. Stops before `first` are of
    another chunk, those before `start` of another segment.
    """
    low = alone if left > alone else ZERO
    if stop > first:
        return max(low, stop_row(args, stop - 1) - start + 1)
    return low
