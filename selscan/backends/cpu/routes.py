"""A plane of pixels along one route, there and back.

A plane is a map of one channel, its rows one behind the other without gaps; a sequence is what a
scan reads. A path is given twice, and each route is walked in the cheaper way (gather_plan.py):

by groups  runs, which are stretches of constant stride, as loops over neighbours, forward or
           backward; runs side by side, the columns of a map say, as transposed tiles
by table   one pixel after the other; for windows and other orders of short runs

Both go through the sequence in order, so that it is written, or read, from end to end.
"""

import numpy as np

from .elements import get, put, tile_side, turn_tile
from .gather_plan import GROUP_FIELDS
from .jit import helper, inline
from .simd import itemsize

_I32, _I64 = np.int32(0), np.int64(0)


@inline
def field(base, i):
    """The i-th of int64 numbers."""
    return get(_I64, _I64, base, 8 * i)


@inline
def pixel_of(table, t):
    return np.int64(get(_I32, _I32, table, 4 * t))


@inline
def group(groups, g):
    base = groups + 8 * GROUP_FIELDS * g
    return field(base, 0), field(base, 1), field(base, 2), field(base, 3), field(base, 4)


@helper
def clear(element, target, count):
    size = itemsize(element)
    for i in range(count):
        put(element, target, i * size, 0)


@helper
def move(element, source, source_step, target, target_step, count):
    """Copy `count` numbers; the steps are in bytes."""
    size = itemsize(element)
    if source_step == size and target_step == size:
        for i in range(count):
            put(element, target, i * size, get(element, element, source, i * size))
    elif source_step == -size and target_step == size:
        for i in range(count):
            put(element, target, i * size, get(element, element, source, -i * size))
    elif source_step == size and target_step == -size:
        for i in range(count):
            put(element, target, -i * size, get(element, element, source, i * size))
    elif target_step == size:
        for i in range(count):
            put(element, target, i * size, get(element, element, source, i * source_step))
    else:
        for i in range(count):
            put(element, target, i * target_step, get(element, element, source, i * source_step))


@helper
def add(element, total, source, target, target_step, count):
    """Add `count` neighbours to numbers of type `total`, the sums."""
    size, step = itemsize(element), itemsize(total)
    if target_step == step:
        for i in range(count):
            value = get(total, total, target, i * step) + get(total, element, source, i * size)
            put(total, target, i * step, value)
    elif target_step == -step:
        for i in range(count):
            value = get(total, total, target, -i * step) + get(total, element, source, i * size)
            put(total, target, -i * step, value)
    else:
        for i in range(count):
            at = i * target_step
            value = get(total, total, target, at) + get(total, element, source, i * size)
            put(total, target, at, value)


@helper
def turn(element, source, source_step, target, target_step, rows, columns, row_by_row):
    """target[c, r] = source[r, c], neighbours along c in the source, along r in the target.

    Row by row, or else column by column: the way in which the array goes on that is not in a cache.
    """
    size, side = itemsize(element), tile_side(element)
    if rows < side or columns < side:
        for r in range(rows):
            line = source + r * source_step
            move(element, line, size, target + r * size, target_step, columns)
        return
    down, across = -(-rows // side), -(-columns // side)
    inner = across if row_by_row else down
    for i in range(down * across):
        slow, fast = i // inner, i % inner
        # The last tile may overlap the one before it.
        r = min((slow if row_by_row else fast) * side, rows - side)
        c = min((fast if row_by_row else slow) * side, columns - side)
        src, dst = source + r * source_step + c * size, target + c * target_step + r * size
        turn_tile(element, src, source_step, dst, target_step)


@helper
def gather_groups(element, groups, first, last, plane, sequence):
    """sequence = plane along the groups first .. last - 1."""
    size = itemsize(element)
    for g in range(first, last):
        start, stride, count, position, n = group(groups, g)
        source, target, step = plane + start * size, sequence + position * size, count * size
        if start < 0:
            clear(element, target, count)
        elif n == 1:
            move(element, source, stride * size, target, size, count)
        elif n > 0:
            turn(element, source, stride * size, target, step, count, n, False)
        else:  # from the last run to the first
            turn(element, source, stride * size, target - (n + 1) * step, -step, count, -n, False)


@helper
def scatter_groups(element, groups, first, last, sequence, plane):
    """The pixels of the plane that the groups first .. last - 1 visit = sequence."""
    size = itemsize(element)
    for g in range(first, last):
        start, stride, count, position, n = group(groups, g)
        source, target, step = sequence + position * size, plane + start * size, count * size
        if start >= 0:
            if n == 1:
                move(element, source, size, target, stride * size, count)
            elif n > 0:
                turn(element, source, step, target, stride * size, n, count, True)
            else:
                source -= (n + 1) * step
                turn(element, source, -step, target, stride * size, -n, count, True)


@helper
def add_groups(element, total, groups, first, last, sequence, plane, strip):
    """As `scatter_groups`, added to a plane of sums; `strip` has room for one group."""
    size, wide = itemsize(element), itemsize(total)
    for g in range(first, last):
        start, stride, count, position, n = group(groups, g)
        source, target, step = sequence + position * size, plane + start * wide, count * size
        if start >= 0:
            if n == 1:
                add(element, total, source, target, stride * wide, count)
            else:  # turned first, since tiles that overlap cannot be added
                if n < 0:
                    source, step, n = source - (n + 1) * step, -step, -n
                turn(element, source, step, strip, n * size, n, count, True)
                for i in range(count):
                    add(element, total, strip + i * n * size, target + i * stride * wide, wide, n)


@helper
def gather_table(element, table, length, padded, plane, sequence):
    """sequence = plane in the order of the table, zero where that is padding."""
    size = itemsize(element)
    if padded:
        for t in range(length):
            pixel = pixel_of(table, t)
            if pixel >= 0:
                put(element, sequence, t * size, get(element, element, plane, pixel * size))
            else:
                put(element, sequence, t * size, 0)
    else:
        for t in range(length):
            at = pixel_of(table, t) * size
            put(element, sequence, t * size, get(element, element, plane, at))


@helper
def scatter_table(element, table, length, padded, sequence, plane):
    """The pixels of the plane that the table has = sequence."""
    size = itemsize(element)
    if padded:
        for t in range(length):
            pixel = pixel_of(table, t)
            if pixel >= 0:
                put(element, plane, pixel * size, get(element, element, sequence, t * size))
    else:
        for t in range(length):
            at = pixel_of(table, t) * size
            put(element, plane, at, get(element, element, sequence, t * size))


@helper
def add_table(element, total, table, length, padded, sequence, plane):
    """As `scatter_table`, added to a plane of sums."""
    size, wide = itemsize(element), itemsize(total)
    if padded:
        for t in range(length):
            at = pixel_of(table, t) * wide
            if at >= 0:
                value = get(total, total, plane, at) + get(total, element, sequence, t * size)
                put(total, plane, at, value)
    else:
        for t in range(length):
            at = pixel_of(table, t) * wide
            value = get(total, total, plane, at) + get(total, element, sequence, t * size)
            put(total, plane, at, value)
