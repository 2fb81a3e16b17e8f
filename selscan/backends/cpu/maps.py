"""Maps: tiles that are read and written along the routes of a path, nothing permuted in memory.

A tile of a map has a row for each step of a route, as any tile; only the copies differ. A block of
channels of the map is copied to or from scratch that has a row of lanes for each pixel; from or to
it chunks copy rows one by one, as a table says. There is room either for the whole map, a *plane*,
or for those parts of it that are in use, a *window* (windows.py). plan_maps.py chooses: a map that
all routes share has one plane for all of them, and they add to it one after the other, in one task,
so that the bits are the same every run. What has few numbers for a pixel is copied one by one.
"""

from . import layout as at
from .blocks import arguments, chunk_start
from .formats import read, write
from .jit import helper, inline, kernel
from .places import (
    begins,
    ends,
    pixel_in_memory,
    pixels_of,
    place_at,
    places_from,
    row_offset,
    table_of,
)
from .simd import call, itemsize, load, load_first, peek, poke, splat, store, width
from .squares import begin_squares, load_squares, prefetch_squares, store_squares
from .tiles import is_native


@helper
def load_plane(real, args, slot, source, row_step, rows, plane, row):
    """The map of `rows` channels; `row` is the bytes of a row of the plane."""
    columns = args[at.MAP_COLUMNS]
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    for i in range(args[at.MAP_FRAMES] * args[at.MAP_ROWS]):
        start, to = source + row_offset(args, slot, i), plane + i * columns * row
        call(args[at.LOAD_TILE], (code, start, row_step, step_t, rows, columns, to, row))


@helper
def store_plane(real, args, slot, plane, row, rows, target, row_step):
    """The inverse of `load_plane`."""
    columns = args[at.MAP_COLUMNS]
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    for i in range(args[at.MAP_FRAMES] * args[at.MAP_ROWS]):
        start, source = target + row_offset(args, slot, i), plane + i * columns * row
        call(args[at.STORE_TILE], (code, source, row, rows, columns, start, row_step, step_t))


# Element by element: few rows, for which a row of lanes for each pixel would be nearly empty.


@helper
def load_pixels(real, args, slot, source, row_step, rows, b, r, t, m, tile, row):
    """Steps t .. t+m-1 of route r."""
    places, code = places_from(args, table_of(args, b), r, t), args[slot + at.DTYPE]
    is_one = rows == 1 and is_native(real, code)
    for i in range(m):
        pixel, to = place_at(places, i), tile + i * row
        start = source + pixel_in_memory(args, slot, pixel)
        if is_one and pixel >= 0:
            store(to, load_first(real, start, 1))
            continue
        store(to, splat(real, 0.0))
        if pixel >= 0:
            for j in range(rows):
                poke(to + j * itemsize(real), read(real, code, start + j * row_step))


@helper
def store_pixels(real, args, slot, target, row_step, rows, b, r, c, tile, row):
    """The inverse; a route comes to a pixel once, so there is nothing to add to."""
    t, m = chunk_start(args, c)
    code = args[slot + at.DTYPE]
    if args[at.PARTIAL] and begins(args, slot, r, c):
        for pixel in range(pixels_of(args)):
            to = target + pixel_in_memory(args, slot, pixel)
            for j in range(rows):
                write(code, to + j * row_step, real)
    places = places_from(args, table_of(args, b), r, t)
    for i in range(m):
        pixel, start = place_at(places, i), tile + i * row
        if pixel >= 0:
            to = target + pixel_in_memory(args, slot, pixel)
            for j in range(rows):
                write(code, to + j * row_step, peek(real, start + j * itemsize(real)))


@inline
def load_sequence(args, slot, source, row_step, rows, t, m, tile, row):
    """Steps t .. t+m-1 of what has an axis of time."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    start = source + t * step_t
    call(args[at.LOAD_TILE], (code, start, row_step, step_t, rows, m, tile, row))


@inline
def store_sequence(args, slot, tile, row, rows, t, m, target, row_step):
    """The inverse of `load_sequence`."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    start = target + t * step_t
    call(args[at.STORE_TILE], (code, tile, row, rows, m, start, row_step, step_t))


@helper
def clear_padding(real, args, b, r, t, m, tile, row):
    """Zeros in the rows that stand for steps without a pixel, w lanes."""
    if args[at.PADDED]:
        places = places_from(args, table_of(args, b), r, t)
        for i in range(m):
            if place_at(places, i) < 0:
                store(tile + i * row, splat(real, 0.0))


@helper
def load_chunk(real, args, scratch, slot, source, row_step, rows, b, r, c, offset, tile, row):
    """Chunk c of route r; its plane or window is `offset` bytes behind the operand's first one."""
    t, m = chunk_start(args, c)
    if args[slot + at.IS_MAP] == at.SEQUENCE:
        load_sequence(args, slot, source, row_step, rows, t, m, tile, row)
        clear_padding(real, args, b, r, t, m, tile, row)
        return
    if args[slot + at.IS_MAP] == at.DIRECT:
        load_pixels(real, args, slot, source, row_step, rows, b, r, t, m, tile, row)
        return
    plane = scratch + args[slot + at.PLANE] + offset
    table = table_of(args, b)
    if args[slot + at.IS_MAP] == at.WINDOW:
        table = args[at.WINDOWS]
        load_squares(real, args, slot, source, row_step, rows, r, c, plane, row)
    elif begins(args, slot, r, c):
        load_plane(real, args, slot, source, row_step, rows, plane, row)
    places = places_from(args, table, r, t)
    for i in range(m):
        place = place_at(places, i)
        value = load(real, plane + place * row) if place >= 0 else splat(real, 0.0)
        store(tile + i * row, value)


@helper
def store_chunk(real, args, scratch, slot, target, row_step, rows, b, r, c, offset, tile, row):
    """The inverse of `load_chunk`; adds to what earlier routes have left."""
    t, m = chunk_start(args, c)
    if args[slot + at.IS_MAP] == at.SEQUENCE:
        clear_padding(real, args, b, r, t, m, tile, row)
        store_sequence(args, slot, tile, row, rows, t, m, target, row_step)
        return
    if args[slot + at.IS_MAP] == at.DIRECT:
        store_pixels(real, args, slot, target, row_step, rows, b, r, c, tile, row)
        return
    plane = scratch + args[slot + at.PLANE] + offset
    table = table_of(args, b)
    if args[slot + at.IS_MAP] == at.WINDOW:
        table = args[at.WINDOWS]
        begin_squares(real, args, slot, target, row_step, rows, r, c, plane, row)
    elif begins(args, slot, r, c):
        for i in range(pixels_of(args)):
            store(plane + i * row, splat(real, 0.0))
    places = places_from(args, table, r, t)
    for i in range(m):
        place = place_at(places, i)
        if place >= 0:
            to = plane + place * row
            store(to, load(real, to) + load(real, tile + i * row))
    if args[slot + at.IS_MAP] == at.WINDOW:
        store_squares(real, args, slot, target, row_step, rows, r, c, plane, row)
    elif ends(args, slot, r, c):
        store_plane(real, args, slot, plane, row, rows, target, row_step)


def compile_load_rows(real):
    """load_chunk as an entry point, as tiles.py has those of tiles."""

    @kernel
    def load_rows_entry(address, scratch, slot, source, row_step, rows, b, r, c, offset, tile, row):
        args = arguments(address)
        if tile == 0:  # what comes next (blocks.prefetch_window)
            prefetch_squares(real, args, slot, source, row_step, rows, r, c)
        else:
            load_chunk(
                real, args, scratch, slot, source, row_step, rows, b, r, c, offset, tile, row
            )

    return load_rows_entry


def compile_store_rows(real):
    """store_chunk as an entry point."""

    @kernel
    def store_rows_entry(
        address, scratch, slot, target, row_step, rows, b, r, c, offset, tile, row
    ):
        args = arguments(address)
        store_chunk(real, args, scratch, slot, target, row_step, rows, b, r, c, offset, tile, row)

    return store_rows_entry


# What kernels call, for sequences as well, which need nothing else of this file.


@helper
def load_rows(real, args, scratch, slot, source, row_step, rows, b, r, c, offset, tile, row):
    """Chunk c of `rows` channels or states of route r, which begin at `source`: (m, w)."""
    if args[at.LOAD_ROWS]:
        own = args[at.OWN_ADDRESS]
        call(
            args[at.LOAD_ROWS],
            (own, scratch, slot, source, row_step, rows, b, r, c, offset, tile, row),
        )
    else:
        t, m = chunk_start(args, c)
        load_sequence(args, slot, source, row_step, rows, t, m, tile, row)


@helper
def store_rows(real, args, scratch, slot, target, row_step, rows, b, r, c, offset, tile, row):
    """The inverse of `load_rows`."""
    if args[at.STORE_ROWS]:
        own = args[at.OWN_ADDRESS]
        call(
            args[at.STORE_ROWS],
            (own, scratch, slot, target, row_step, rows, b, r, c, offset, tile, row),
        )
    else:
        t, m = chunk_start(args, c)
        store_sequence(args, slot, tile, row, rows, t, m, target, row_step)


@inline
def load_steps(real, args, scratch, slot, b, r, d, rows, block, c, tile):
    """Chunk c of route r, `rows` channels from d on, the block-th block of a task: (m, w)."""
    row, step_d = width(real) * itemsize(real), args[slot + at.STEP_D]
    source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
    offset = block * args[slot + at.PLANE_STEP]
    load_rows(real, args, scratch, slot, source, step_d, rows, b, r, c, offset, tile, row)


@inline
def store_steps(real, args, scratch, slot, b, r, d, rows, block, c, tile):
    """The inverse of `load_steps`."""
    row, step_d = width(real) * itemsize(real), args[slot + at.STEP_D]
    target = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
    offset = block * args[slot + at.PLANE_STEP]
    store_rows(real, args, scratch, slot, target, step_d, rows, b, r, c, offset, tile, row)
