"""Maps: tiles that are read and written along the routes of a path, nothing permuted in memory.

A tile of a map has a row for each step of a route, as any tile; only the copies differ. The map of
one block of channels is copied as a whole, to or from a *plane* in scratch, which has a row for
each pixel; from or to it chunks copy rows one by one, as the table of the path says. A map that all
routes share has one plane for all of them: they add to it one after the other, in one task, so that
the bits are the same every run.
"""

from . import layout as at
from .blocks import arguments, chunk_start
from .formats import INT32, read_integer
from .jit import helper, kernel, merge
from .simd import call, itemsize, load, splat, store, width

_NUMBER = 4  # bytes of a pixel's number


@merge
def route_at(args, i):
    """The i-th route of a walk: those of a joined path are walked from the last in a backward."""
    return args[at.ROUTES] - 1 - i if args[at.DY] and args[at.JOINED] else i


@helper
def begins(args, slot, r, c):
    """Whether a walk over the routes of a map comes to its first chunk; a backward has dy."""
    first = args[at.CHUNKS] - 1 if args[at.DY] else 0
    return c == first and (not args[slot + at.IS_SHARED] or r == route_at(args, 0))


@helper
def ends(args, slot, r, c):
    """Whether it leaves its last chunk."""
    last = 0 if args[at.DY] else args[at.CHUNKS] - 1
    is_shared = args[slot + at.IS_SHARED]
    return c == last and (not is_shared or r == route_at(args, args[at.ROUTES] - 1))


@merge
def pixel_at(args, r, t):
    """The pixel of step t of route r, below 0 at padding."""
    return read_integer(INT32, args[at.TABLE] + (r * args[at.LENGTH] + t) * _NUMBER)


@merge
def row_offset(args, slot, i):
    """Bytes from the first row of a map to its i-th one."""
    rows = args[at.MAP_ROWS]
    return i // rows * args[slot + at.STEP_P] + i % rows * args[slot + at.STEP_H]


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


@merge
def load_sequence(args, slot, source, row_step, rows, t, m, tile, row):
    """Steps t .. t+m-1 of what has an axis of time."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    start = source + t * step_t
    call(args[at.LOAD_TILE], (code, start, row_step, step_t, rows, m, tile, row))


@merge
def store_sequence(args, slot, tile, row, rows, t, m, target, row_step):
    """The inverse of `load_sequence`."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    start = target + t * step_t
    call(args[at.STORE_TILE], (code, tile, row, rows, m, start, row_step, step_t))


@helper
def clear_padding(real, args, r, t, m, tile, row):
    """Zeros in the rows that stand for steps without a pixel, w lanes."""
    if args[at.PADDED]:
        for i in range(m):
            if pixel_at(args, r, t + i) < 0:
                store(tile + i * row, splat(real, 0.0))


@helper
def load_chunk(real, args, scratch, slot, source, row_step, rows, r, c, offset, tile, row):
    """Chunk c of route r; the plane is `offset` bytes behind the first one of this operand."""
    t, m = chunk_start(args, c)
    if not args[slot + at.IS_MAP]:
        load_sequence(args, slot, source, row_step, rows, t, m, tile, row)
        clear_padding(real, args, r, t, m, tile, row)
        return
    plane = scratch + args[slot + at.PLANE] + offset
    if begins(args, slot, r, c):
        load_plane(real, args, slot, source, row_step, rows, plane, row)
    for i in range(m):
        pixel = pixel_at(args, r, t + i)
        value = load(real, plane + pixel * row) if pixel >= 0 else splat(real, 0.0)
        store(tile + i * row, value)


@helper
def store_chunk(real, args, scratch, slot, target, row_step, rows, r, c, offset, tile, row):
    """The inverse of `load_chunk`; adds to what earlier routes have left."""
    t, m = chunk_start(args, c)
    if not args[slot + at.IS_MAP]:
        clear_padding(real, args, r, t, m, tile, row)
        store_sequence(args, slot, tile, row, rows, t, m, target, row_step)
        return
    plane = scratch + args[slot + at.PLANE] + offset
    if begins(args, slot, r, c):
        for i in range(args[at.MAP_FRAMES] * args[at.MAP_ROWS] * args[at.MAP_COLUMNS]):
            store(plane + i * row, splat(real, 0.0))
    for i in range(m):
        pixel = pixel_at(args, r, t + i)
        if pixel >= 0:
            to = plane + pixel * row
            store(to, load(real, to) + load(real, tile + i * row))
    if ends(args, slot, r, c):
        store_plane(real, args, slot, plane, row, rows, target, row_step)


def compile_load_rows(real):
    """load_chunk as an entry point, as tiles.py has those of tiles."""

    @kernel
    def load_rows_entry(address, scratch, slot, source, row_step, rows, r, c, offset, tile, row):
        args = arguments(address)
        load_chunk(real, args, scratch, slot, source, row_step, rows, r, c, offset, tile, row)

    return load_rows_entry


def compile_store_rows(real):
    """store_chunk as an entry point."""

    @kernel
    def store_rows_entry(address, scratch, slot, target, row_step, rows, r, c, offset, tile, row):
        args = arguments(address)
        store_chunk(real, args, scratch, slot, target, row_step, rows, r, c, offset, tile, row)

    return store_rows_entry


# What kernels call, for sequences as well, which need nothing else of this file.


@helper
def load_rows(real, args, scratch, slot, source, row_step, rows, r, c, offset, tile, row):
    """Chunk c of `rows` channels or states of route r, which begin at `source`: (m, w)."""
    if args[at.LOAD_ROWS]:
        own = args[at.OWN_ADDRESS]
        call(
            args[at.LOAD_ROWS],
            (own, scratch, slot, source, row_step, rows, r, c, offset, tile, row),
        )
    else:
        t, m = chunk_start(args, c)
        load_sequence(args, slot, source, row_step, rows, t, m, tile, row)


@helper
def store_rows(real, args, scratch, slot, target, row_step, rows, r, c, offset, tile, row):
    """The inverse of `load_rows`."""
    if args[at.STORE_ROWS]:
        own = args[at.OWN_ADDRESS]
        call(
            args[at.STORE_ROWS],
            (own, scratch, slot, target, row_step, rows, r, c, offset, tile, row),
        )
    else:
        t, m = chunk_start(args, c)
        store_sequence(args, slot, tile, row, rows, t, m, target, row_step)


@merge
def load_steps(real, args, scratch, slot, b, r, d, rows, block, c, tile):
    """Chunk c of route r, `rows` channels from d on, the block-th block of a task: (m, w)."""
    row, step_d = width(real) * itemsize(real), args[slot + at.STEP_D]
    source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
    offset = block * args[at.PLANE_SIZE]
    load_rows(real, args, scratch, slot, source, step_d, rows, r, c, offset, tile, row)


@merge
def store_steps(real, args, scratch, slot, b, r, d, rows, block, c, tile):
    """The inverse of `load_steps`."""
    row, step_d = width(real) * itemsize(real), args[slot + at.STEP_D]
    target = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
    offset = block * args[at.PLANE_SIZE]
    store_rows(real, args, scratch, slot, target, step_d, rows, r, c, offset, tile, row)
