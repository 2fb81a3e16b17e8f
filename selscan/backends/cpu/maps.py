"""Maps: tiles that are read and written along the routes of a path, nothing permuted in memory.

A tile of a map has a row for each step of a route, as any tile; only the copies differ. They go
piece by piece (pieces.py): a piece is a stretch of pixels at a constant distance from each other on
the map. Where the route visits them at a constant distance in time, too, it is a tile of its own
with constant steps; else it is copied w pixels at a time, and its rows go where a list says.

The pieces of a chunk may be short: of a route by columns they have as many pixels as the chunk has
columns. So for such routes maps are copied for several chunks at once, a *panel*, and the chunks
copy theirs from there.

Small maps are copied as a whole, those that all routes share once: to or from a *plane*, which has
a row for each pixel, and from or to which chunks copy rows one by one.

Routes that share a map add to it one after the other, in one task: the same bits every run.
"""

from . import layout as at
from .blocks import arguments, chunk_start
from .formats import INT32, read_integer
from .jit import helper, kernel, merge
from .simd import call, itemsize, load, splat, store, width
from .tiles import prefetch_tile

# Numbers of a piece, int32: row and column of its first pixel; pixels from one to the next; how
# many; step of the first one within the panel; steps from one to the next, or 0, and then the one
# before is the place in POSITIONS where the steps are listed.
PIECE = 6
_AHEAD = 2  # pieces
_SHORT = 64  # pixels
_NUMBER = 4  # bytes


@merge
def piece_number(args, i, which):
    return read_integer(INT32, args[at.PIECES] + (i * PIECE + which) * _NUMBER)


@helper
def pieces_of(args, r, c):
    """The first piece of the panel of chunk c of route r, and the one behind its last."""
    chunks = args[at.PANEL_CHUNKS]
    panels = (args[at.CHUNKS] + chunks - 1) // chunks
    first = args[at.FIRST_PIECES] + (r * panels + c // chunks) * _NUMBER
    return read_integer(INT32, first), read_integer(INT32, first + _NUMBER)


@helper
def panel_start(args, c):
    """First step and number of steps of the panel that chunk c is in."""
    t = c // args[at.PANEL_CHUNKS] * args[at.PANEL_CHUNKS] * args[at.CHUNK]
    return t, min(args[at.PANEL_CHUNKS] * args[at.CHUNK], args[at.LENGTH] - t)


@helper
def is_first(args, c):
    """Whether a walk comes to the panel of chunk c with this chunk; a backward has dy."""
    chunks = args[at.PANEL_CHUNKS]
    if args[at.DY]:
        return (c + 1) % chunks == 0 or c + 1 == args[at.CHUNKS]
    return c % chunks == 0


@helper
def is_last(args, c):
    """Whether it leaves the panel after this chunk."""
    chunks = args[at.PANEL_CHUNKS]
    if args[at.DY]:
        return c % chunks == 0
    return (c + 1) % chunks == 0 or c + 1 == args[at.CHUNKS]


@merge
def part_of(args, c, tile_row):
    """Bytes from the start of a panel to chunk c."""
    return c % args[at.PANEL_CHUNKS] * args[at.CHUNK] * tile_row


@helper
def copy_rows(real, source, target, m, step):
    """m rows of w lanes; `step` is the bytes from one to the next in both."""
    for o in range(0, m * step, step):
        store(target + o, load(real, source + o))


@helper
def clear_padding(real, args, r, t, m, tile, tile_row):
    """Zeros in the rows that stand for steps without a pixel, w lanes."""
    if args[at.PIXELS]:
        pixel = args[at.PIXELS] + (r * args[at.LENGTH] + t) * _NUMBER
        for i in range(m):
            if read_integer(INT32, pixel + i * _NUMBER) < 0:
                store(tile + i * tile_row, splat(real, 0.0))


@helper
def load_piece(real, args, scratch, code, start, row_step, step, rows, i, tile, tile_row):
    """Piece i as rows of a tile; `start` is the address of its first pixel, `step` leads on."""
    count, to_step = piece_number(args, i, 3), piece_number(args, i, 5)
    if to_step:
        to = tile + piece_number(args, i, 4) * tile_row
        call(args[at.LOAD_TILE], (code, start, row_step, step, rows, count, to, to_step * tile_row))
        return
    w, row = width(real), width(real) * itemsize(real)
    block, positions = scratch + args[at.TILE_PIECE], args[at.POSITIONS]
    positions += piece_number(args, i, 4) * _NUMBER
    for o in range(0, count, w):
        n = min(w, count - o)
        call(args[at.LOAD_TILE], (code, start + o * step, row_step, step, rows, n, block, row))
        for j in range(n):
            to = tile + read_integer(INT32, positions + (o + j) * _NUMBER) * tile_row
            store(to, load(real, block + j * row))


@helper
def store_piece(real, args, scratch, code, tile, tile_row, rows, i, start, row_step, step):
    """The inverse of `load_piece`."""
    count, from_step = piece_number(args, i, 3), piece_number(args, i, 5)
    if from_step:
        source, tile_step = tile + piece_number(args, i, 4) * tile_row, from_step * tile_row
        call(args[at.STORE_TILE], (code, source, tile_step, rows, count, start, row_step, step))
        return
    w, row = width(real), width(real) * itemsize(real)
    block, positions = scratch + args[at.TILE_PIECE], args[at.POSITIONS]
    positions += piece_number(args, i, 4) * _NUMBER
    for o in range(0, count, w):
        n = min(w, count - o)
        for j in range(n):
            source = tile + read_integer(INT32, positions + (o + j) * _NUMBER) * tile_row
            store(block + j * row, load(real, source))
        call(args[at.STORE_TILE], (code, block, row, rows, n, start + o * step, row_step, step))


@merge
def piece_start(args, slot, i):
    """Bytes from the first pixel of a map to that of piece i."""
    step_h, step_t = args[slot + at.STEP_H], args[slot + at.STEP_T]
    return piece_number(args, i, 0) * step_h + piece_number(args, i, 1) * step_t


@helper
def prefetch_piece(args, slot, source, row_step, rows, i):
    """Ask for a short piece ahead: the CPU's own prefetching cannot follow the jumps."""
    step, count = piece_number(args, i, 2) * args[slot + at.STEP_T], piece_number(args, i, 3)
    if count <= _SHORT:
        prefetch_tile(source + piece_start(args, slot, i), row_step, step, rows, count)


@helper
def load_route(real, args, scratch, slot, source, row_step, rows, r, c, t, m, tile, tile_row):
    """Steps t .. t+m-1, a chunk or a panel, of `rows` channels or states: (m, w)."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    if args[slot + at.IS_MAP]:
        first, last = pieces_of(args, r, c)
        for i in range(first, last):
            if i + _AHEAD < last:
                prefetch_piece(args, slot, source, row_step, rows, i + _AHEAD)
            start, step = source + piece_start(args, slot, i), piece_number(args, i, 2) * step_t
            load_piece(real, args, scratch, code, start, row_step, step, rows, i, tile, tile_row)
    else:
        start = source + t * step_t
        call(args[at.LOAD_TILE], (code, start, row_step, step_t, rows, m, tile, tile_row))
    clear_padding(real, args, r, t, m, tile, tile_row)


@helper
def store_route(real, args, scratch, slot, tile, tile_row, rows, r, c, t, m, target, row_step):
    """The inverse of `load_route`; adds to what earlier routes have written."""
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    if args[slot + at.IS_SHARED] and not read_integer(INT32, args[at.FRESH] + r * _NUMBER):
        row, before = width(real) * itemsize(real), scratch + args[at.TILE_MERGE]
        load_route(real, args, scratch, slot, target, row_step, rows, r, c, t, m, before, row)
        for i in range(m):
            to = tile + i * tile_row
            store(to, load(real, to) + load(real, before + i * row))
    if args[slot + at.IS_MAP]:
        first, last = pieces_of(args, r, c)
        for i in range(first, last):
            start, step = target + piece_start(args, slot, i), piece_number(args, i, 2) * step_t
            store_piece(real, args, scratch, code, tile, tile_row, rows, i, start, row_step, step)
    else:
        clear_padding(real, args, r, t, m, tile, tile_row)
        start = target + t * step_t
        call(args[at.STORE_TILE], (code, tile, tile_row, rows, m, start, row_step, step_t))


@merge
def route_at(args, i):
    """The i-th route of a walk: those of a joined path are walked from the last in a backward."""
    return args[at.ROUTES] - 1 - i if args[at.DY] and args[at.JOINED] else i


@helper
def begins(args, slot, r, c):
    """Whether a walk over the routes of a map comes to its first chunk."""
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


@helper
def load_plane(real, args, slot, source, row_step, rows, plane, row):
    """The map of `rows` channels; `row` is the bytes of a row of the plane."""
    columns = args[at.MAP_COLUMNS]
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    for i in range(args[at.MAP_ROWS]):
        start, to = source + i * args[slot + at.STEP_H], plane + i * columns * row
        call(args[at.LOAD_TILE], (code, start, row_step, step_t, rows, columns, to, row))


@helper
def store_plane(real, args, slot, plane, row, rows, target, row_step):
    """The inverse of `load_plane`."""
    columns = args[at.MAP_COLUMNS]
    step_t, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
    for i in range(args[at.MAP_ROWS]):
        start, source = target + i * args[slot + at.STEP_H], plane + i * columns * row
        call(args[at.STORE_TILE], (code, source, row, rows, columns, start, row_step, step_t))


@helper
def load_rows_of_plane(real, args, plane, r, t, m, tile, row):
    """Steps t .. t+m-1 of a route, zeros at padding."""
    for i in range(m):
        pixel = pixel_at(args, r, t + i)
        value = load(real, plane + pixel * row) if pixel >= 0 else splat(real, 0.0)
        store(tile + i * row, value)


@helper
def add_rows_to_plane(real, args, tile, row, r, t, m, plane):
    """The inverse of `load_rows_of_plane`, added to what earlier routes have left."""
    for i in range(m):
        pixel = pixel_at(args, r, t + i)
        if pixel >= 0:
            to = plane + pixel * row
            store(to, load(real, to) + load(real, tile + i * row))


@helper
def load_chunk(real, args, scratch, slot, source, row_step, rows, r, c, offset, tile, tile_row):
    """Chunk c of route r, from the panel if there is one, which has it `offset` bytes in."""
    t, m = chunk_start(args, c)
    panel = args[slot + at.PANEL]
    if args[slot + at.IS_PLANE]:
        plane = scratch + panel + offset
        if begins(args, slot, r, c):
            load_plane(real, args, slot, source, row_step, rows, plane, tile_row)
        load_rows_of_plane(real, args, plane, r, t, m, tile, tile_row)
        return
    if panel == 0:
        load_route(real, args, scratch, slot, source, row_step, rows, r, c, t, m, tile, tile_row)
        return
    panel += scratch + offset
    if is_first(args, c):
        t, n = panel_start(args, c)
        load_route(real, args, scratch, slot, source, row_step, rows, r, c, t, n, panel, tile_row)
    copy_rows(real, panel + part_of(args, c, tile_row), tile, m, tile_row)


@helper
def store_chunk(real, args, scratch, slot, target, row_step, rows, r, c, offset, tile, tile_row):
    """The inverse of `load_chunk`."""
    t, m = chunk_start(args, c)
    panel = args[slot + at.PANEL]
    if args[slot + at.IS_PLANE]:
        plane = scratch + panel + offset
        if begins(args, slot, r, c):
            for o in range(0, args[at.MAP_ROWS] * args[at.MAP_COLUMNS] * tile_row, tile_row):
                store(plane + o, splat(real, 0.0))
        add_rows_to_plane(real, args, tile, tile_row, r, t, m, plane)
        if ends(args, slot, r, c):
            store_plane(real, args, slot, plane, tile_row, rows, target, row_step)
        return
    if panel == 0:
        store_route(real, args, scratch, slot, tile, tile_row, rows, r, c, t, m, target, row_step)
        return
    panel += scratch + offset
    copy_rows(real, tile, panel + part_of(args, c, tile_row), m, tile_row)
    if is_last(args, c):
        t, n = panel_start(args, c)
        store_route(real, args, scratch, slot, panel, tile_row, rows, r, c, t, n, target, row_step)


def compile_load_rows(version, real):
    """load_chunk as an entry point, as tiles.py has those of tiles."""

    @kernel
    def load_rows_entry(
        address, scratch, slot, source, row_step, rows, r, c, offset, tile, tile_row
    ):
        args = arguments(address, version)
        load_chunk(real, args, scratch, slot, source, row_step, rows, r, c, offset, tile, tile_row)

    return load_rows_entry


def compile_store_rows(version, real):
    """store_chunk as an entry point."""

    @kernel
    def store_rows_entry(
        address, scratch, slot, target, row_step, rows, r, c, offset, tile, tile_row
    ):
        args = arguments(address, version)
        store_chunk(real, args, scratch, slot, target, row_step, rows, r, c, offset, tile, tile_row)

    return store_rows_entry


# What kernels call, for sequences as well, which need nothing else of this file.


@helper
def load_rows(real, args, scratch, slot, source, row_step, rows, r, c, offset, tile, tile_row):
    """Chunk c of `rows` channels or states of route r, which begin at `source`: (m, w)."""
    if args[at.LOAD_ROWS]:
        own = args[at.OWN_ADDRESS]
        call(
            args[at.LOAD_ROWS],
            (own, scratch, slot, source, row_step, rows, r, c, offset, tile, tile_row),
        )
    else:
        t, m = chunk_start(args, c)
        step, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
        start = source + t * step
        call(args[at.LOAD_TILE], (code, start, row_step, step, rows, m, tile, tile_row))


@helper
def store_rows(real, args, scratch, slot, target, row_step, rows, r, c, offset, tile, tile_row):
    """The inverse of `load_rows`."""
    if args[at.STORE_ROWS]:
        own = args[at.OWN_ADDRESS]
        call(
            args[at.STORE_ROWS],
            (own, scratch, slot, target, row_step, rows, r, c, offset, tile, tile_row),
        )
    else:
        t, m = chunk_start(args, c)
        step, code = args[slot + at.STEP_T], args[slot + at.DTYPE]
        start = target + t * step
        call(args[at.STORE_TILE], (code, tile, tile_row, rows, m, start, row_step, step))


@merge
def load_steps(real, args, scratch, slot, b, r, d, rows, block, c, tile):
    """Chunk c of route r, `rows` channels from d on, the block-th block of a task: (m, w)."""
    row, step_d = width(real) * itemsize(real), args[slot + at.STEP_D]
    source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
    offset = block * args[at.PANEL_SIZE]
    load_rows(real, args, scratch, slot, source, step_d, rows, r, c, offset, tile, row)


@merge
def store_steps(real, args, scratch, slot, b, r, d, rows, block, c, tile):
    """The inverse of `load_steps`."""
    row, step_d = width(real) * itemsize(real), args[slot + at.STEP_D]
    target = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
    offset = block * args[at.PANEL_SIZE]
    store_rows(real, args, scratch, slot, target, step_d, rows, r, c, offset, tile, row)
