"""Tiles: blocks of an array of any strides, copied to and from a layout fit for SIMD.

A tile holds `columns` rows of w lanes, w the vector width: lane r of row c is element (r, c) of the
array, r counting channels (or states) and c time steps. Arrays are converted to and from the type
of the arithmetic here and nowhere else. Steps are in bytes and may be zero or negative.

load_tile and store_tile are entry points of their own, which kernels call by address. As a part of
each function that calls them they would be compiled again with it, and with all functions above.
"""

from .formats import (
    BF16,
    BFLOAT16,
    F16,
    F32,
    F64,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    block,
    load_as,
    read,
    size_of,
    store_as,
    write,
)
from .jit import helper, inline, kernel
from .simd import (
    itemsize,
    load,
    load_first,
    peek,
    poke,
    prefetch,
    splat,
    store,
    store_first,
    width,
)
from .vector_math import transpose, transpose_part

LINE = 64  # bytes of a cache line


@inline
def is_native(real, code):
    """Whether numbers of a format are those of the arithmetic."""
    return code & 3 == (FLOAT32 if itemsize(real) == 4 else FLOAT64)


@helper
def load_tile(real, code, source, row_step, column_step, rows, columns, tile, tile_step):
    """tile[c, r] = array[r, c] for r < rows <= w, zero in the lanes behind.

    `source` is the address of array[0, 0], `tile_step` the bytes between rows of the tile.
    """
    w, size = width(real), itemsize(real)
    if is_native(real, code):
        if rows == 1:
            for c in range(columns):
                store(tile + c * tile_step, load_first(real, source + c * column_step, 1))
            return
        if abs(column_step) == size and rows > 2:
            _load_transposed(real, source, row_step, column_step, rows, columns, tile, tile_step)
            return
        if row_step == size:
            for c in range(columns):
                store(tile + c * tile_step, load_first(real, source + c * column_step, rows))
            return
    elif abs(column_step) == size_of(code) and columns >= w:
        _load_converted(real, code, source, row_step, column_step, rows, columns, tile, tile_step)
        return
    elif row_step == size_of(code) and rows == w:
        widen_rows(real, code, source, column_step, tile, tile_step, columns)
        return
    _gather(real, code, source, row_step, column_step, rows, columns, tile, tile_step)


@helper
def store_tile(real, code, tile, tile_step, rows, columns, target, row_step, column_step):
    """array[r, c] = tile[c, r] for r < rows <= w."""
    w, size = width(real), itemsize(real)
    if is_native(real, code):
        if column_step == size and rows > 2:
            _store_transposed(real, tile, tile_step, rows, columns, target, row_step)
            return
        if row_step == size:
            for c in range(columns):
                store_first(target + c * column_step, load(real, tile + c * tile_step), rows)
            return
    elif column_step == size_of(code) and columns >= w:
        _store_converted(real, code, tile, tile_step, rows, columns, target, row_step)
        return
    elif row_step == size_of(code) and rows == w:
        narrow_rows(real, code, tile, tile_step, target, column_step, columns)
        return
    _scatter(real, code, tile, tile_step, rows, columns, target, row_step, column_step)


@helper
def widen_rows(real, code, source, source_step, target, target_step, count):
    """`count` rows of w neighbours of format `code`, as rows of vectors."""
    part = code & 3
    if part == BFLOAT16:
        for i in range(count):
            store(target + i * target_step, load_as(real, BF16, source + i * source_step))
    elif part == FLOAT16:
        for i in range(count):
            store(target + i * target_step, load_as(real, F16, source + i * source_step))
    elif part == FLOAT32:
        for i in range(count):
            store(target + i * target_step, load_as(real, F32, source + i * source_step))
    else:
        for i in range(count):
            store(target + i * target_step, load_as(real, F64, source + i * source_step))


@helper
def narrow_rows(real, code, source, source_step, target, target_step, count):
    """The inverse of `widen_rows`."""
    part = code & 3
    if part == BFLOAT16:
        for i in range(count):
            store_as(BF16, target + i * target_step, load(real, source + i * source_step))
    elif part == FLOAT16:
        for i in range(count):
            store_as(F16, target + i * target_step, load(real, source + i * source_step))
    elif part == FLOAT32:
        for i in range(count):
            store_as(F32, target + i * target_step, load(real, source + i * source_step))
    else:
        for i in range(count):
            store_as(F64, target + i * target_step, load(real, source + i * source_step))


@helper
def _load_converted(real, code, source, row_step, column_step, rows, columns, tile, tile_step):
    """Columns are neighbours of another format: w x w blocks, converted, then transposed."""
    w, size = width(real), size_of(code)
    row, converted = w * itemsize(real), block(real)
    for r in range(rows, w):
        store(converted + r * row, splat(real, 0.0))
    for first in range(0, columns, w):
        c = min(first, columns - w)  # the last block may overlap the one before it
        src, dst, step = source + c * size, tile + c * tile_step, tile_step
        if column_step < 0:
            src, dst, step = source - (c + w - 1) * size, dst + (w - 1) * tile_step, -tile_step
        widen_rows(real, code, src, row_step, converted, row, rows)
        transpose(real, converted, row, dst, step)


@helper
def _store_converted(real, code, tile, tile_step, rows, columns, target, row_step):
    w, size = width(real), size_of(code)
    row, converted = w * itemsize(real), block(real)
    for first in range(0, columns, w):
        c = min(first, columns - w)
        transpose(real, tile + c * tile_step, tile_step, converted, row)
        narrow_rows(real, code, converted, row, target + c * size, row_step, rows)


@helper
def _load_transposed(real, source, row_step, column_step, rows, columns, tile, tile_step):
    """Columns are neighbours in memory: w x w transposes, in mirror order for a negative step."""
    w, size = width(real), itemsize(real)
    c = 0
    while c < columns:
        n = min(w, columns - c)
        src, dst, step = source + c * size, tile + c * tile_step, tile_step
        if column_step < 0:
            src, dst, step = source - (c + n - 1) * size, dst + (n - 1) * tile_step, -tile_step
        if n == w and rows == w:
            transpose(real, src, row_step, dst, step)
        else:
            transpose_part(real, src, row_step, rows, n, dst, step, 1)
        c += n


@helper
def _store_transposed(real, tile, tile_step, rows, columns, target, row_step):
    w, size = width(real), itemsize(real)
    c = 0
    while c < columns:
        n = min(w, columns - c)
        if n == w and rows == w:
            transpose(real, tile + c * tile_step, tile_step, target + c * size, row_step)
        else:
            src, dst = tile + c * tile_step, target + c * size
            transpose_part(real, src, tile_step, n, rows, dst, row_step, 0)
        c += n


@helper
def _gather(real, code, source, row_step, column_step, rows, columns, tile, tile_step):
    """Any strides, any dtype, one element at a time."""
    size = itemsize(real)
    for c in range(columns):
        src, dst = source + c * column_step, tile + c * tile_step
        store(dst, splat(real, 0.0))
        for r in range(rows):
            poke(dst + r * size, read(real, code, src + r * row_step))


@helper
def _scatter(real, code, tile, tile_step, rows, columns, target, row_step, column_step):
    size = itemsize(real)
    for c in range(columns):
        src, dst = tile + c * tile_step, target + c * column_step
        for r in range(rows):
            write(code, dst + r * row_step, peek(real, src + r * size))


@inline
def prefetch_tile(source, row_step, column_step, rows, columns):
    """Ask for the memory of a tile that is loaded later, if one of its axes is contiguous."""
    if abs(column_step) <= 8:
        low = source + min(0, (columns - 1) * column_step)
        for r in range(rows):
            for o in range(0, columns * abs(column_step), LINE):
                prefetch(low + r * row_step + o)
    elif abs(row_step) <= 8:
        for c in range(columns):
            for o in range(0, rows * abs(row_step), LINE):
                prefetch(source + c * column_step + o)


def compile_load(real):
    """load_tile as an entry point."""

    @kernel
    def load_tile_entry(code, source, row_step, column_step, rows, columns, tile, tile_step):
        load_tile(real, code, source, row_step, column_step, rows, columns, tile, tile_step)

    return load_tile_entry


def compile_store(real):
    """store_tile as an entry point."""

    @kernel
    def store_tile_entry(code, tile, tile_step, rows, columns, target, row_step, column_step):
        store_tile(real, code, tile, tile_step, rows, columns, target, row_step, column_step)

    return store_tile_entry
