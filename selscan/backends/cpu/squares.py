"""Squares: what comes into a window of a map and goes from it, with a chunk (windows.py)."""

from . import layout as at
from .formats import INT32, read_integer
from .jit import helper, inline
from .places import NUMBER, row_offset
from .simd import call, itemsize, splat, store, width
from .tiles import is_native, prefetch_tile
from .vector_math import transpose
from .windows import AFTER, BEFORE, COLUMN, FLAGS, NOT_HERE, NOWHERE, PLACE, ROW, SQUARE_FIELDS


@inline
def squares_of(args, starts, r, c):
    """From which square on, and up to which, those of a chunk are in the list of these starts."""
    first = args[at.WINDOWS] + (args[starts] + r * args[at.CHUNKS] + c) * NUMBER
    return read_integer(INT32, first), read_integer(INT32, first + NUMBER)


@helper
def square_at(args, squares, i):
    """Row, column, first place and flags of the i-th square of a list."""
    square = args[at.WINDOWS] + (args[squares] + i * SQUARE_FIELDS) * NUMBER
    line = read_integer(INT32, square + ROW * NUMBER)
    column = read_integer(INT32, square + COLUMN * NUMBER)
    place = read_integer(INT32, square + PLACE * NUMBER)
    return line, column, place, read_integer(INT32, square + FLAGS * NUMBER)


@helper
def square_in_memory(real, args, slot, line, column):
    """Bytes from the first pixel of a map to a square, and the pixels of that."""
    offset = row_offset(args, slot, line) + column * args[slot + at.STEP_T]
    return offset, min(width(real), args[at.MAP_COLUMNS] - column)


@inline
def is_plain(real, args, slot, rows):
    """Whether squares of w pixels are one transpose: a call of a tile takes longer than that."""
    is_row = args[slot + at.STEP_T] == itemsize(real)
    return rows == width(real) and is_row and is_native(real, args[slot + at.DTYPE])


@helper
def load_squares(real, args, slot, source, row_step, rows, r, c, window, row):
    """Squares that come with a chunk."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    plain = is_plain(real, args, slot, rows)
    first, last = squares_of(args, at.COME_STARTS, r, c)
    for i in range(first, last):
        line, column, place, flags = square_at(args, at.COME, i)
        if not flags & NOT_HERE:
            offset, n = square_in_memory(real, args, slot, line, column)
            start, to = source + offset, window + place * row
            if plain and n == rows:
                transpose(real, start, row_step, to, row)
            else:
                call(args[at.LOAD_TILE], (code, start, row_step, step_t, rows, n, to, row))


@helper
def prefetch_squares(real, args, slot, source, row_step, rows, r, c):
    """Ask for the squares that come with a chunk: of a walk along columns, lines far apart."""
    step_t = args[slot + at.STEP_T]
    first, last = squares_of(args, at.COME_STARTS, r, c)
    for i in range(first, last):
        line, column, _, flags = square_at(args, at.COME, i)
        if not flags & NOT_HERE:
            offset, n = square_in_memory(real, args, slot, line, column)
            prefetch_tile(source + offset, row_step, step_t, rows, n)


@inline
def is_written(args, slot, flags):
    """Whether a route writes a square: not where others come and this one does not."""
    return not args[slot + at.IS_SHARED] or not flags & NOT_HERE or flags & NOWHERE


@helper
def begin_squares(real, args, slot, target, row_step, rows, r, c, window, row):
    """Squares of results that come with a chunk: what earlier routes have left, or zeros."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    earlier = AFTER if args[at.DY] and args[at.JOINED] else BEFORE
    first, last = squares_of(args, at.COME_STARTS, r, c)
    for i in range(first, last):
        line, column, place, flags = square_at(args, at.COME, i)
        offset, n = square_in_memory(real, args, slot, line, column)
        to = window + place * row
        if args[slot + at.IS_SHARED] and flags & earlier and not flags & NOT_HERE:
            call(args[at.LOAD_TILE], (code, target + offset, row_step, step_t, rows, n, to, row))
        else:
            for j in range(n):
                store(to + j * row, splat(real, 0.0))


@helper
def store_squares(real, args, slot, target, row_step, rows, r, c, window, row):
    """Squares of results that go with a chunk."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    plain = is_plain(real, args, slot, rows)
    first, last = squares_of(args, at.GO_STARTS, r, c)
    for i in range(first, last):
        line, column, place, flags = square_at(args, at.GO, i)
        if is_written(args, slot, flags):
            offset, n = square_in_memory(real, args, slot, line, column)
            to, tile = target + offset, window + place * row
            if plain and n == rows:
                transpose(real, tile, row, to, row_step)
            else:
                call(args[at.STORE_TILE], (code, tile, row, rows, n, to, row_step, step_t))
