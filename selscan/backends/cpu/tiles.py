"""Tiles: blocks of an array of any strides, copied to and from a layout fit for SIMD.

A tile holds `columns` rows of w lanes, w the vector width: lane r of row c is element (r, c) of the
array, r counting channels (or states) and c time steps. Arrays are converted to and from the type
of the arithmetic here and nowhere else. Steps are in bytes and may be zero or negative.
"""

import numpy as np

from .jit import helper, inline
from .simd import (
    convert,
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

# Codes of the dtypes that arrays may have, as kernels receive them.
FLOAT32, FLOAT64 = 0, 1
LINE = 64  # bytes of a cache line
CODES = {"float32": FLOAT32, "float64": FLOAT64}

_F32, _F64 = np.float32(0), np.float64(0)


@inline
def read(real, code, address):
    """One element of the dtype `code`, as the type of the arithmetic."""
    if code == FLOAT32:
        return convert(real, peek(_F32, address))
    return convert(real, peek(_F64, address))


@inline
def write(code, address, value):
    if code == FLOAT32:
        poke(address, convert(_F32, value))
    else:
        poke(address, convert(_F64, value))


@helper
def load_tile(real, code, source, row_step, column_step, rows, columns, tile, tile_step):
    """tile[c, r] = array[r, c] for r < rows <= w, zero in the lanes behind.

    `source` is the address of array[0, 0], `tile_step` the bytes between rows of the tile.
    """
    size = itemsize(real)
    native = code == (FLOAT32 if size == 4 else FLOAT64)
    if native and abs(column_step) == size and rows > 2:
        _load_transposed(real, source, row_step, column_step, rows, columns, tile, tile_step)
    elif native and row_step == size:
        for c in range(columns):
            store(tile + c * tile_step, load_first(real, source + c * column_step, rows))
    else:
        _gather(real, code, source, row_step, column_step, rows, columns, tile, tile_step)


@helper
def store_tile(real, code, tile, tile_step, rows, columns, target, row_step, column_step):
    """array[r, c] = tile[c, r] for r < rows <= w."""
    size = itemsize(real)
    native = code == (FLOAT32 if size == 4 else FLOAT64)
    if native and column_step == size and rows > 2:
        _store_transposed(real, tile, tile_step, rows, columns, target, row_step)
    elif native and row_step == size:
        for c in range(columns):
            store_first(target + c * column_step, load(real, tile + c * tile_step), rows)
    else:
        _scatter(real, code, tile, tile_step, rows, columns, target, row_step, column_step)


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


@helper
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
