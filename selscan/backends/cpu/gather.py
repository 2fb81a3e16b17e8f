"""Entry points that move arrays along a path.

    gather   sequence[b, k, d, l] = plane[b, (k,) d, p[k, l]],   0 at padding
    place    plane[b, k, d, p[k, l]] = sequence[b, k, d, l],     0 where a route does not come
    merge    the sum of that over k, in the order of the routes

A worker owns planes and sequences of the result: a task is a block of channels of one batch element
on one route, for `merge` on all of them. Neighbouring tasks are the routes of the same block, so
that a map that all routes read comes from memory once. Nothing is written by two tasks.

What comes in is read where it stands if its planes (or sequences) have no gaps. Otherwise they are
copied to scratch first ("staged").
"""

from numba import carray

from . import gather_plan as at
from .elements import get, put
from .jit import inline, kernel
from .routes import (
    add_groups,
    add_table,
    clear,
    field,
    gather_groups,
    gather_table,
    move,
    scatter_groups,
    scatter_table,
    turn,
)
from .simd import as_pointer, itemsize


@inline
def stage(element, args, scratch, b, r, d, count):
    """Where `count` channels from d on have their planes, one after the other in STAGE_STEP."""
    size, rows, columns = itemsize(element), args[at.ROWS], args[at.COLUMNS]
    step_d, step_p, step_h = args[at.STEP_D], args[at.STEP_P], args[at.STEP_H]
    step_w = args[at.STEP_W]
    source = args[at.SOURCE] + b * args[at.STEP_B] + r * args[at.STEP_R] + d * step_d
    if not args[at.STAGED]:
        return source
    for i in range(args[at.FRAMES] * rows):
        line, target = source + i // rows * step_p + i % rows * step_h, scratch + i * columns * size
        if count > 1:
            turn(element, line, step_w, target, args[at.STAGE_STEP], columns, count, True)
        else:
            move(element, line, step_w, target, size, columns)
    return scratch


@inline
def of_route(args, r, name):
    """A field of ROUTES."""
    return field(args[at.ROUTES], r * at.ROUTE_FIELDS + name)


@inline
def table_of(args, b, r):
    """The pixels of a route, in the order of sample b."""
    return args[at.TABLE] + b * args[at.TABLE_STEP_B] + 4 * r * args[at.LENGTH]


@inline
def gather_block(element, args, sources, b, r, d, count):
    """One route of `count` channels whose planes begin at `sources`."""
    length = args[at.LENGTH]
    size = length * itemsize(element)
    sequence = args[at.RESULT] + ((b * args[at.K] + r) * args[at.DIM] + d) * size
    for i in range(count):
        plane, target = sources + i * args[at.STAGE_STEP], sequence + i * size
        if of_route(args, r, at.BY_GROUPS):
            first, last = of_route(args, r, at.FIRST), of_route(args, r, at.LAST)
            gather_groups(element, args[at.GROUPS], first, last, plane, target)
        else:
            table, padded = table_of(args, b, r), of_route(args, r, at.PADDED)
            gather_table(element, table, length, padded, plane, target)


@inline
def place_block(element, args, sources, b, r, d, count):
    length, pixels = args[at.LENGTH], args[at.PIXELS]
    size = pixels * itemsize(element)
    planes = args[at.RESULT] + (b * args[at.K] + r) * args[at.ROUTE_STEP] + d * size
    for i in range(count):
        sequence, plane = sources + i * args[at.STAGE_STEP], planes + i * size
        if not of_route(args, r, at.COVERS):
            clear(element, plane, pixels)
        if of_route(args, r, at.BY_GROUPS):
            first, last = of_route(args, r, at.FIRST), of_route(args, r, at.LAST)
            scatter_groups(element, args[at.GROUPS], first, last, sequence, plane)
        else:
            table, padded = table_of(args, b, r), of_route(args, r, at.PADDED)
            scatter_table(element, table, length, padded, sequence, plane)


@inline
def merge_block(element, total, args, sources, strip, planes, b, r, count):
    """Add one route of `count` channels to the sums at `planes`."""
    length, pixels = args[at.LENGTH], args[at.PIXELS]
    first, last = of_route(args, r, at.FIRST), of_route(args, r, at.LAST)
    table, padded = table_of(args, b, r), of_route(args, r, at.PADDED)
    for i in range(count):
        sequence = sources + i * args[at.STAGE_STEP]
        plane = planes + i * pixels * itemsize(total)
        if of_route(args, r, at.FRESH):  # there is nothing to add to yet
            if of_route(args, r, at.BY_GROUPS):
                scatter_groups(element, args[at.GROUPS], first, last, sequence, plane)
            else:
                scatter_table(element, table, length, padded, sequence, plane)
        elif of_route(args, r, at.BY_GROUPS):
            add_groups(element, total, args[at.GROUPS], first, last, sequence, plane, strip)
        else:
            add_table(element, total, table, length, padded, sequence, plane)


@inline
def pick_block(element, args, b, d, count, planes):
    """All routes of `count` channels, no two of which meet, pixel by pixel."""
    pixels, size = args[at.PIXELS], itemsize(element)
    sources = args[at.SOURCE] + b * args[at.STEP_B] + d * args[at.STEP_D]
    for i in range(count):
        source, plane = sources + i * args[at.STEP_D], planes + i * pixels * size
        gather_table(element, args[at.PLACES], pixels, not args[at.COVERED], source, plane)


def compile_gather(element):
    """For numbers of one size, whatever they mean."""

    @kernel
    def gather(address, worker, first, last):
        args = carray(as_pointer(address), at.END)
        scratch = args[at.SCRATCH] + worker * args[at.SCRATCH_STEP]
        sources, staged = scratch, -1
        for task in range(first, last):
            block = task // args[at.K]
            r, b = task - block * args[at.K], block // args[at.BLOCKS]
            d = (block - b * args[at.BLOCKS]) * args[at.BLOCK]
            count = min(args[at.BLOCK], args[at.DIM] - d)
            if args[at.STEP_R] or staged != block:
                sources, staged = stage(element, args, scratch, b, r, d, count), block
            gather_block(element, args, sources, b, r, d, count)

    return gather


def compile_place(element):
    """For numbers of one size, whatever they mean."""

    @kernel
    def place(address, worker, first, last):
        args = carray(as_pointer(address), at.END)
        scratch = args[at.SCRATCH] + worker * args[at.SCRATCH_STEP]
        for task in range(first, last):
            block = task // args[at.K]
            r, b = task - block * args[at.K], block // args[at.BLOCKS]
            d = (block - b * args[at.BLOCKS]) * args[at.BLOCK]
            count = min(args[at.BLOCK], args[at.DIM] - d)
            sources = stage(element, args, scratch, b, r, d, count)
            place_block(element, args, sources, b, r, d, count)

    return place


def compile_merge(element, total):
    """For numbers of one format, added up in the type `total`."""

    @kernel
    def merge(address, worker, first, last):
        args = carray(as_pointer(address), at.END)
        pixels, wide = args[at.PIXELS], itemsize(total)
        scratch = args[at.SCRATCH] + worker * args[at.SCRATCH_STEP]
        strip, sums = scratch + args[at.STRIP], scratch + args[at.SUMS]
        for task in range(first, last):
            b = task // args[at.BLOCKS]
            d = (task - b * args[at.BLOCKS]) * args[at.BLOCK]
            count = min(args[at.BLOCK], args[at.DIM] - d)
            plane = args[at.RESULT] + (b * args[at.DIM] + d) * pixels * itemsize(element)
            planes = sums if args[at.SUMS] else plane
            if args[at.PLACES]:
                pick_block(element, args, b, d, count, plane)
                continue
            if not args[at.COVERED]:
                clear(total, planes, count * pixels)
            for r in range(args[at.K]):
                sources = stage(element, args, scratch, b, r, d, count)
                merge_block(element, total, args, sources, strip, planes, b, r, count)
            if args[at.SUMS]:
                for i in range(count * pixels):
                    value = get(total, total, sums, i * wide)
                    put(element, plane, i * itemsize(element), value)

    return merge
