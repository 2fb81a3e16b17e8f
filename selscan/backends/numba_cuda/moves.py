"""Gather and scatter along the routes of a path, and the sum of the parts of a gradient.

Each thread takes elements of the result, one after the other, and nobody else writes those: a
scatter looks up which step of a route visits a pixel. So there are no atomics, and the order of
sums does not change.
"""

from numba import cuda

from .formats import narrow, widen


def gather(source, table, result):
    """result[b, r, d, t] = source[b, r, d, table[r, t]]; zero where the table has -1, padding.

    `source` is (b, k, d, t, h, w), the table (k, l), pixel (p h + i) w + j in frame p, row i and
    column j.
    """
    _, routes, rows, length = result.shape
    for i in range(cuda.grid(1), result.size, cuda.gridsize(1)):
        t, d, r = i % length, i // length % rows, i // length // rows % routes
        b = i // length // rows // routes
        pixel = table[r, t]
        if pixel < 0:
            result[b, r, d, t] = 0
        else:
            height, width = source.shape[4], source.shape[5]
            frame, row, column = pixel // width // height, pixel // width % height, pixel % width
            result[b, r, d, t] = narrow(widen(source[b, r, d, frame, row, column]), result)


def make_scatter(number):
    """The kernel that sums up in a dtype, a class of NumPy."""

    def scatter(source, inverse, result):
        """result[b, r, d, p, i, j] = source[b, r, d, t], t the step of route r at this pixel.

        Zero where there is none. `source` is (b, k, d, l), `inverse` (k, pixels). A result of one
        route is the sum over all.
        """
        routes, pixels = inverse.shape
        _, apart, rows, _, height, width = result.shape
        for i in range(cuda.grid(1), result.size, cuda.gridsize(1)):
            pixel, d = i % pixels, i // pixels % rows
            r, b = i // pixels // rows % apart, i // pixels // rows // apart
            total = number(0)
            for route in range(r, r + 1 if apart > 1 else routes):
                t = inverse[route, pixel]
                if t >= 0:
                    total += number(widen(source[b, route, d, t]))
            row, column = pixel // width, pixel % width
            result[b, r, d, row // height, row % height, column] = narrow(total, result)

    return scatter


def make_sum(number):
    """The kernel for parts in a dtype, a class of NumPy."""

    def sum_parts(parts, result):
        """result = the sum of parts (p, i, j, k, l) over the first axis, in order."""
        count, _, shape_j, shape_k, shape_l = parts.shape
        for i in range(cuda.grid(1), result.size, cuda.gridsize(1)):
            l, k = i % shape_l, i // shape_l % shape_k
            j, first = i // shape_l // shape_k % shape_j, i // shape_l // shape_k // shape_j
            total = number(0)
            for p in range(count):
                total += parts[p, first, j, k, l]
            result[first, j, k, l] = narrow(total, result)

    return sum_parts
