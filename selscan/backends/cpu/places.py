"""Where the steps of a path are: chunks of its routes, numbers of pixels, and those in memory."""

from . import layout as at
from .formats import INT32, read_integer
from .jit import helper, inline

NUMBER = 4  # bytes of a pixel's number


@inline
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


@inline
def table_of(args, b):
    """Where the table of pixels is: one for each sample, or one for all."""
    return args[at.TABLE] + b * args[at.TABLE_STEP_B]


@inline
def places_from(args, table, r, t):
    """Where a table has the places of route r from step t on."""
    return table + (r * args[at.LENGTH] + t) * NUMBER


@inline
def place_at(places, i):
    """The i-th of them, below 0 at padding."""
    return read_integer(INT32, places + i * NUMBER)


@inline
def pixel_at(args, b, r, t):
    """The pixel of step t of route r, in the order of sample b."""
    return place_at(places_from(args, table_of(args, b), r, t), 0)


@inline
def row_offset(args, slot, i):
    """Bytes from the first row of a map to its i-th one."""
    rows = args[at.MAP_ROWS]
    if i < rows:  # all of them, in maps without a depth
        return i * args[slot + at.STEP_H]
    return i // rows * args[slot + at.STEP_P] + i % rows * args[slot + at.STEP_H]


@inline
def pixels_of(args):
    return args[at.MAP_FRAMES] * args[at.MAP_ROWS] * args[at.MAP_COLUMNS]


@inline
def pixel_in_memory(args, slot, pixel):
    """Bytes from the first pixel of a map to this one."""
    columns = args[at.MAP_COLUMNS]
    if pixel < columns:  # all of them, in most maps
        return pixel * args[slot + at.STEP_T]
    return row_offset(args, slot, pixel // columns) + pixel % columns * args[slot + at.STEP_T]
