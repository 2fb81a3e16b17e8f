"""The orders behind the makers: tables of pixel numbers for sizes and names that are checked."""

import numpy as np


def pixels_of(height, width, size=1):
    """Pixel numbers (h, w), -1 in the padding at the bottom and right to multiples of size."""
    numbers = np.arange(height * width, dtype=np.int32).reshape(height, width)
    return np.pad(numbers, ((0, -height % size), (0, -width % size)), constant_values=-1)


def window_size(name):
    """The size of the windows of a route: of single pixels where it is not a "w"."""
    shape = name.removesuffix("_flip")
    return int(shape[1:]) if shape[0] == "w" else 1


def order_of(height, width, name):
    """The pixels (l,) of a route in visiting order."""
    size = window_size(name)
    pixels = pixels_of(height, width, size)
    if name[0] == "v":
        pixels = pixels.T
    h, w = pixels.shape
    # (window row, window column, row, column); for windows of one pixel this is row by row.
    windows = pixels.reshape(h // size, size, w // size, size).swapaxes(1, 2)
    return windows.ravel()[:: -1 if name.endswith("_flip") else 1]


def table_of(height, width, names):
    """The table (k, l) of routes by name."""
    orders = [order_of(height, width, name) for name in names]
    table = np.full((len(orders), max(map(len, orders))), -1, np.int32)
    for row, order in zip(table, orders, strict=True):
        row[: len(order)] = order
    return table


def atrous_table(height, width, step):
    """The table (step**2, l): route i + step * j starts at (row i, column j)."""
    pixels = pixels_of(height, width, step)
    parts = [(i, pixels[i::step, j::step]) for j in range(step) for i in range(step)]
    return np.stack([(part.T if i % 2 else part).ravel() for i, part in parts])
