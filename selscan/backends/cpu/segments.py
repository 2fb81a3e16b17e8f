"""Packed sequences: a chunk is cut into segments where seq_idx changes, and the state restarts.

The table of a chunk, int64: whether its first segment restarts, the number of segments, and in scan
order the first step of each and the end of the last. Without seq_idx a chunk is one segment.
"""

from numba import carray

from . import layout as at
from .blocks import chunk_start
from .formats import read_integer
from .jit import helper, merge
from .simd import as_pointer

(_RESTARTS, _COUNT, _FIRST) = range(3)


def table_size(chunk):
    """Bytes of a table."""
    return (_FIRST + chunk + 1) * 8


@merge
def segment_table(args, scratch):
    return carray(as_pointer(scratch + args[at.TILE_SEGMENTS]), args[at.CHUNK] + _FIRST + 1)


@helper
def find_segments(args, table, b, c):
    """Fill the table for the c-th chunk in scan order."""
    t, m = chunk_start(args, c)
    table[_RESTARTS], table[_FIRST] = 0, 0
    count = 1
    if args[at.SEQ_IDX]:
        code, step = args[at.SEQ_IDX + at.DTYPE], args[at.SEQ_IDX + at.STEP_T]
        p = args[at.SEQ_IDX] + b * args[at.SEQ_IDX + at.STEP_B] + t * step
        if args[at.REVERSE]:
            p += (m - 1) * step
            step = -step
        before = read_integer(code, p if c == 0 else p - step)
        for i in range(m):
            own = read_integer(code, p)
            if own != before:
                if i == 0:
                    table[_RESTARTS] = 1
                else:
                    table[_FIRST + count] = i
                    count += 1
            before = own
            p += step
    table[_COUNT] = count
    table[_FIRST + count] = m


@merge
def segments_of(table):
    return table[_COUNT]


@merge
def segment(args, table, i, m):
    """The i-th segment in scan order: its first row of m, how many it has, and does it restart."""
    begin, end = table[_FIRST + i], table[_FIRST + i + 1]
    first = m - end if args[at.REVERSE] else begin
    return first, end - begin, i > 0 or table[_RESTARTS] != 0
