"""Maps in the order of the routes of a path and back, by Gather nodes.

A map (b, c, h, w), or one with a depth, is taken as rows (b, pixels, c). Orders are constants:
tables of numbers of rows, -1 for one of zeros.
"""

import numpy as np


def rows_of(op, x, path):
    """Rows (b, pixels, c) of a map (b, c, h, w), or of all maps (b, k, c, h, w); and c."""
    axes = list(range(len(x.shape)))
    channel = axes.pop(-1 - len(path.size))
    c = x.shape[channel]
    return op.shaped(op.permuted(x, *axes, channel), 0, -1, c), c


def is_per_route(x, path):
    """Whether x has an axis of routes."""
    return len(x.shape) == 3 + len(path.size)


def picked(op, rows, c, numbers, dtype):
    """The rows (b, ..., c) of those numbers (...)."""
    if numbers.min() < 0:
        zeros = op.zeros(dtype, rows, 1, c)
        rows, numbers = op("Concat", zeros, rows, axis=1), numbers + 1
    return op("Gather", rows, op.constant(numbers.astype(np.int32)), axis=1)


def numbers_of_pixels(path, apart):
    """The row of each step (k, l); `apart` where each route has a map of its own."""
    first = np.arange(path.routes)[:, None] * (path.pixels if apart else 0)
    return np.where(path.table < 0, -1, path.table + first)


def put_back(op, rows, steps, path, merge, c, dtype):
    """A map (b, c, h, w), or (b, k, c, h, w) without merge, of rows (b, k l, c) for all steps.

    `steps` (k, l) has the numbers of their rows.
    """
    places = np.take_along_axis(steps, np.maximum(path.inverse, 0), axis=1)
    places = np.where(path.inverse < 0, -1, places)  # (k, pixels)
    if not merge:
        y = picked(op, rows, c, places, dtype)
        return op.shaped(op.permuted(y, 0, 1, 3, 2), 0, path.routes, c, *path.size)
    y = picked(op, rows, c, visits(places), dtype)
    return op.shaped(op.permuted(op.summed(y, 1), 0, 2, 1), 0, c, *path.size)


def visits(places):
    """The rows of each pixel one below the other, as many as a pixel has at most, at least one."""
    seen = places >= 0
    order = np.argsort(~seen, axis=0, kind="stable")
    return np.take_along_axis(places, order, axis=0)[: max(1, seen.sum(axis=0).max())]
