"""Plans of gather and scatter, and of what scan2d takes from maps and puts back."""

import numpy as np

from . import gpu
from .launches import Plan, moving
from .views import View, dense, memory_dtype


def move_plan(moved):
    """Plan of a gather or a scatter."""
    path, number = moved.path, gpu.number_of(moved.device)
    dtype = dtype_of(moved)
    tables = Tables(path, number)
    b, k, d, *last = moved.steps
    if moved.kernel == "gather":
        shape = (moved.batch, path.routes, moved.dim, path.depth or 1, path.height, path.width)
        source = View("source", shape, moved.steps, dtype)
        launch = gather(source, tables.pixels, dense("result", moved.shape, dtype))
    else:
        shape = (moved.batch, path.routes, moved.dim, path.length)
        source = View("source", shape, (b, k, d, last[-1]), dtype)
        routes = 1 if moved.kernel == "merge" else path.routes
        shape = (moved.batch, routes, moved.dim, path.depth or 1, path.height, path.width)
        launch = scatter(source, tables.steps, dense("result", shape, dtype))
    return Plan(number, (launch,))


def dtype_of(moved):
    """By which kernels know what is moved: real numbers by their bits, unless they are added up.

    Unsigned numbers of 16 bits would be bfloat16 (formats.py).
    """
    dtype = memory_dtype(moved.dtype)
    is_sum = moved.kernel == "merge" and moved.path.routes > 1
    if moved.dtype == "uint16" or (dtype.kind in "fu" and not is_sum):
        return f"int{8 * dtype.itemsize}"
    return moved.dtype


def gather(source, table, result):
    """The Launch of moves.gather."""
    return moving("gather", "", source, table, result)


def scatter(source, inverse, result):
    """The Launch of moves.scatter, which adds up in more than 16 bits."""
    dtype = source.dtype
    if dtype in ("float16", "bfloat16"):
        dtype = "float32"
    elif memory_dtype(dtype).kind in "iu":
        dtype = "int64"
    return moving("scatter", dtype, source, inverse, result)


class Tables:
    """The tables of a path on a device."""

    def __init__(self, path, number):
        own = np.where(path.table < 0, -1, np.arange(path.length, dtype=np.int32))
        with gpu.on(number):
            self.pixels = gpu.upload(path.table)  # of each step
            self.steps = gpu.upload(path.inverse)  # of each pixel
            self.own = gpu.upload(own)  # of each step itself; -1 at padding
            # The same for each sequence that is scanned.
            k, l = path.table.shape
            joined = [self.own.reshape(k * l)] if path.joined else None
            self.sequences = joined or [self.own[route] for route in range(k)]
