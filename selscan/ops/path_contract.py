"""What a gather or a scatter must look like: every check, and what the kernels have to know."""

import math
from typing import NamedTuple

from ..arrays.numpy import DTYPES, INTEGERS
from ..messages import describe, fail
from ..paths import Path
from .contract import check_size

_EXPECTED = f"of {', '.join(DTYPES)} or integers"
_HOW = " Make one of a table: selscan.paths.Path(table, height, width)."


class Moved(NamedTuple):
    """A checked call. Steps in bytes along batch, route, channel, row and column of what comes in.

    The step along routes is 0 where all of them read one map; a sequence is a map of one row.
    """

    kernel: str  # "gather", "place" (routes apart) or "merge" (their sum)
    path: Path
    batch: int
    dim: int
    dtype: str
    steps: tuple
    shape: tuple  # of the result
    device: str = "cpu"

    @property
    def empty(self):
        """Whether there is nothing to move."""
        return 0 in (self.batch, self.dim)


def check_path(function, path):
    if not isinstance(path, Path):
        hint = _HOW if type(path).__name__ == "ndarray" else ""
        raise TypeError(
            f"{function}: path must be a selscan.paths.Path; got {describe(path)}.{hint}"
        )


def check_dtype(function, name, dtype):
    if dtype not in DTYPES + INTEGERS:
        hint = " Convert it to uint8." if dtype == "bool" else ""
        if dtype.startswith("byte-swapped"):
            hint = f" Pass {name}.astype({name}.dtype.newbyteorder('='))."
        raise TypeError(f"{function}: {name} must be {_EXPECTED}; got {dtype}.{hint}")


def check_gather(x, path):
    """The Moved of a gather of x (a Layout)."""
    check_dtype("gather", "x", x.dtype)
    routes, size = path.routes, (path.height, path.width)
    shape = x.shape
    if len(shape) not in (4, 5) or shape[-2:] != size or (len(shape) == 5 and shape[1] != routes):
        expected = (
            f"(b, d, h, w) or (b, k, d, h, w) with k = {routes}, h = {size[0]}, w = {size[1]} as "
            "path has them"
        )
        fail("gather", "x", expected, shape, _map_hint(shape, size))
    batch, dim = shape[0], shape[-3]
    check_size("gather", "b * k * d * l", batch, dim, *_largest(path))
    steps = x.steps if len(shape) == 5 else (x.steps[0], 0, *x.steps[1:])
    result = batch, routes, dim, path.length
    return Moved("gather", path, batch, dim, x.dtype, steps, result)


def check_scatter(y, path, merge):
    """The Moved of a scatter of y (a Layout)."""
    check_dtype("scatter", "y", y.dtype)
    routes, length = path.table.shape
    shape = y.shape
    if len(shape) != 4 or (shape[1], shape[3]) != (routes, length):
        expected = f"(b, k, d, l) with k = {routes}, l = {length} as path has them"
        fail("scatter", "y", expected, shape, _sequence_hint(shape, routes, length))
    batch, _, dim, _ = shape
    check_size("scatter", "b * k * d * l", batch, dim, *_largest(path))
    steps = (*y.steps[:3], 0, y.steps[3])
    result = (batch, *(() if merge else (routes,)), dim, path.height, path.width)
    return Moved("merge" if merge else "place", path, batch, dim, y.dtype, steps, result)


def _largest(path):
    """Routes, and their steps or the pixels of a map for each."""
    return path.routes, max(path.length, path.height * path.width)


def _map_hint(shape, size):
    if shape[1:3] == size and len(shape) == 4:
        return " Is it (b, h, w, d)?"
    if shape[-2:] == size:
        return " Is the batch axis missing?" if len(shape) == 3 else ""
    if shape[-2:] == size[::-1]:
        return " Are height and width of path swapped?"
    return " Is it (b, d, h * w)?" if shape[2:] == (math.prod(size),) else ""


def _sequence_hint(shape, routes, length):
    if shape == (routes, *shape[1:2], length):
        return " Is the batch axis missing?"
    if len(shape) == 3 and shape[2] == length and shape[1] % routes == 0:
        return " Are k and d one axis?"
    if len(shape) == 4 and shape[1] == routes and shape[2] == length:
        return " Is it (b, k, l, d)?"
    return ""
