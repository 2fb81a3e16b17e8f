"""The orders behind the makers: tables of pixel numbers for sizes and names that are checked."""

import math

import numpy as np


def pixels_of(size, multiple=1):
    """Pixel numbers in the shape of the map, -1 in the padding at the ends of its axes."""
    numbers = np.arange(math.prod(size), dtype=np.int32).reshape(size)
    return np.pad(numbers, [(0, -side % multiple) for side in size], constant_values=-1)


def window_size(name):
    """The size of the windows of a route: of single pixels where it is not a "w"."""
    shape = name.removesuffix("_flip")[1:]
    return int(shape) if shape.isdigit() else 1


def order_of(size, name):
    """The pixels (l,) of a route in visiting order."""
    side, axes = window_size(name), name.removesuffix("_flip")
    pixels = pixels_of(size, side)
    if axes == "v":
        pixels = pixels.T
    elif len(axes) == 3 and set(axes) == set("thw"):
        pixels = pixels.transpose(["thw".index(axis) for axis in axes])
    # (window row, row, window column, column), and the windows first; windows of one pixel are in
    # the order of the map.
    split = pixels.reshape([n for length in pixels.shape for n in (length // side, side)])
    windows = split.transpose([*range(0, split.ndim, 2), *range(1, split.ndim, 2)])
    return windows.ravel()[:: -1 if name.endswith("_flip") else 1]


def table_of(size, names):
    """The table (k, l) of routes by name."""
    orders = [order_of(size, name) for name in names]
    table = np.full((len(orders), max(map(len, orders))), -1, np.int32)
    for row, order in zip(table, orders, strict=True):
        row[: len(order)] = order
    return table


def atrous_table(height, width, step):
    """The table (step**2, l): route i + step * j starts at (row i, column j)."""
    pixels = pixels_of((height, width), step)
    parts = [(i, pixels[i::step, j::step]) for j in range(step) for i in range(step)]
    return np.stack([(part.T if i % 2 else part).ravel() for i, part in parts])
