"""Where states begin: a chunk is cut into segments where seq_idx changes, and a state begins anew.

A state begins with its first step, which nothing decays to; padding in front of it is left out. The
table of a chunk, int64: whether a state begins with its first segment, the number of segments, and
in scan order the first step of each and the end of the last. Without seq_idx there is one segment,
or none in a chunk of padding that no pixel comes before.
"""

import numpy as np
from numba import carray

from . import layout as at
from .blocks import chunk_start
from .formats import read_integer
from .jit import helper, inline
from .places import pixel_at
from .simd import as_pointer

(_BEGINS, _COUNT, _FIRST) = range(3)


def table_size(chunk):
    """Bytes of a table."""
    return (_FIRST + chunk + 1) * 8


@inline
def segment_table(args, scratch):
    return carray(as_pointer(scratch + args[at.TILE_SEGMENTS]), args[at.CHUNK] + _FIRST + 1)


@helper
def first_step(args, b, r, c, t, m):
    """Rows of chunk c of route r that are left out, and whether a state begins behind them."""
    if not args[at.PADDED]:
        given = args[at.INITIAL_STATE] != 0 or (args[at.JOINED] != 0 and r > 0)
        return np.int64(0), c == 0 and not given
    start = r * args[at.LENGTH] + t
    p = np.int64(0) if args[at.JOINED] else start - t
    while p < start + m and pixel_at(args, b, 0, p) < 0:
        p += 1
    return max(p - start, 0), p >= start


@helper
def find_segments(args, table, b, r, c):
    """Fill the table for the c-th chunk in scan order of route r."""
    t, m = chunk_start(args, c)
    table[_FIRST], table[_BEGINS] = first_step(args, b, r, c, t, m)
    count = 1 if table[_FIRST] < m else 0
    if args[at.SEQ_IDX]:
        code, step = args[at.SEQ_IDX + at.DTYPE], args[at.SEQ_IDX + at.STEP_T]
        p = args[at.SEQ_IDX] + b * args[at.SEQ_IDX + at.STEP_B] + t * step
        if args[at.REVERSE]:
            p += (m - 1) * step
            step = -step
        else:
            p += args[at.AHEAD] * step
        before = read_integer(code, p if c + args[at.AHEAD] == 0 else p - step)
        for i in range(m):
            own = read_integer(code, p)
            if own != before:
                if i == 0:
                    table[_BEGINS] = 1
                else:
                    table[_FIRST + count] = i
                    count += 1
            before = own
            p += step
    table[_COUNT] = count
    table[_FIRST + count] = m


@inline
def segments_of(table):
    return table[_COUNT]


@inline
def segment(table, i):
    """The i-th segment: its first row in scan order, the one behind, whether a state begins."""
    return table[_FIRST + i], table[_FIRST + i + 1], i > 0 or table[_BEGINS] != 0
