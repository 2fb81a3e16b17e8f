"""How a kernel reaches its operands, and which channels, steps and states belong to which task.

A task is one batch entry, one group and one slice of the group's channel blocks; a block is w
channels, w the vector width.
"""

import numpy as np
from numba import carray

from . import layout as at
from .formats import COMPLEX, size_of
from .jit import helper, inline
from .simd import as_pointer, call, itemsize, load, splat, store, width
from .tiles import prefetch_tile

# Plain numbers would have Numba compile functions once more.
ZERO, ONE = np.int64(0), np.int64(1)


@inline
def arguments(address):
    """The argument array at an address."""
    return carray(as_pointer(address), at.END)


@helper
def chunk_start(args, c):
    """First time step and number of steps of the c-th chunk in scan order."""
    length, chunk = args[at.LENGTH], args[at.CHUNK]
    end = min((c + 1) * chunk, length)
    return (length - end if args[at.REVERSE] else c * chunk), end - c * chunk


@helper
def slice_of(args, task):
    """Batch entry, group, slice, and the range of the group's blocks that a task owns.

    The first slices are the larger ones, so that short tasks are the last that threads claim.
    """
    slices = args[at.SLICES]
    if args[at.APART]:
        task //= args[at.ROUTES]
    s = task % slices
    g = task // slices % args[at.GROUPS]
    b = task // (slices * args[at.GROUPS])
    each, larger = args[at.BLOCKS] // slices, args[at.BLOCKS] % slices
    first = s * each + min(s, larger)
    return b, g, s, first, first + each + (s < larger)


@helper
def routes_of(args, task):
    """The range of the routes that a task walks."""
    if args[at.APART]:
        r = task % args[at.ROUTES]
        return r, r + 1
    return 0, args[at.ROUTES]


@helper
def channels_of(real, args, g, block):
    """First channel and number of channels of a block of group g."""
    w, per_group = width(real), args[at.DIM] // args[at.GROUPS]
    return g * per_group + block * w, min(w, per_group - block * w)


@helper
def states_address(real, args, b, r, g, block, c, planes):
    """Where the state before chunk c of a block on route r is kept, (planes, n, w)."""
    size = width(real) * itemsize(real) * args[at.D_STATE] * planes
    index = ((b * args[at.ROUTES] + r) * args[at.GROUPS] + g) * args[at.STATE_BLOCKS] + block
    return args[at.STATES] + (index * args[at.CHUNKS] + c) * size


@helper
def prefetch_steps(args, slot, b, r, d, t, rows, m):
    """Ask for what `load_steps` (maps.py) will load, or `store_steps` write, unless it is a map."""
    if args[slot] and not args[slot + at.IS_MAP]:
        step_d, step_t = args[slot + at.STEP_D], args[slot + at.STEP_T]
        source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R]
        source += d * step_d + t * step_t
        prefetch_tile(source, step_d, step_t, rows, m)


@helper
def prefetch_window(args, slot, b, r, d, rows, c):
    """Ask for what a window of chunk c will be made of: a call of `load_rows` without a tile."""
    if args[slot] and args[slot + at.IS_MAP] == at.WINDOW:
        step_d, own = args[slot + at.STEP_D], args[at.OWN_ADDRESS]
        source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R] + d * step_d
        operands = own, ZERO, slot, source, step_d, rows, b, r, c, ZERO, ZERO, ZERO
        call(args[at.LOAD_ROWS], operands)


@helper
def prefetch_next(real, args, b, r, g, c, next_c, block, first, last):
    """Ask for u, delta and dy of the block that comes after this one, or in chunk `next_c`.

    A task jumps between the rows of many channels, which the CPU's own prefetching cannot follow.
    """
    following = block + 1
    if following == last:
        following, c = first, next_c
    if 0 <= c < args[at.CHUNKS]:
        d, rows = channels_of(real, args, g, following)
        t, m = chunk_start(args, c)
        prefetch_steps(args, at.U, b, r, d, t, rows, m)
        prefetch_steps(args, at.DELTA, b, r, d, t, rows, m)
        prefetch_steps(args, at.DY, b, r, d, t, rows, m)
        prefetch_window(args, at.U, b, r, d, rows, c)
        prefetch_window(args, at.DELTA, b, r, d, rows, c)
        prefetch_window(args, at.DY, b, r, d, rows, c)


@inline
def load_channels(real, args, slot, b, r, d, rows, d_state, part, tile):
    """The (d_state, w) part of A or of a state; d_state = 1 for D. Zeros where it is not given.

    `part` is 1 for imaginary parts, which are zeros where the array is real.
    """
    step_d, step_n, code = args[slot + at.STEP_D], args[slot + at.STEP_N], args[slot + at.DTYPE]
    source = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R]
    source += d * step_d + part * size_of(code)
    given = rows if args[slot] and (part == 0 or code & COMPLEX) else 0
    row = width(real) * itemsize(real)
    call(args[at.LOAD_TILE], (code, source, step_d, step_n, given, d_state, tile, row))


@inline
def store_channels(real, args, slot, b, r, d, rows, d_state, part, tile):
    """Write a (d_state, w) tile to the place of `rows` channels."""
    step_d, step_n, code = args[slot + at.STEP_D], args[slot + at.STEP_N], args[slot + at.DTYPE]
    target = args[slot] + b * args[slot + at.STEP_B] + r * args[slot + at.STEP_R]
    target += d * step_d + part * size_of(code)
    row = width(real) * itemsize(real)
    call(args[at.STORE_TILE], (code, tile, row, rows, d_state, target, step_d, step_n))


@helper
def scale_tile(real, tile, m, factor):
    row = width(real) * itemsize(real)
    for i in range(m):
        store(tile + i * row, load(real, tile + i * row) * splat(real, factor))


@helper
def copy_tile(real, source, target, m):
    row = width(real) * itemsize(real)
    for i in range(m):
        store(target + i * row, load(real, source + i * row))
