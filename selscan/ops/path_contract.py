"""What a gather or a scatter must look like: every check, and what the kernels have to know."""

import math
from typing import NamedTuple

from ..arrays.numpy import DTYPES, INTEGERS
from ..messages import describe, fail
from ..paths import Path
from ..paths.per_sample import Orders
from .contract import check_size
from .contract2d import letters_of

_EXPECTED = f"of {', '.join(DTYPES)} or integers"
_HOW = " Make one of a table: selscan.paths.Path(table, height, width)."


class Moved(NamedTuple):
    """A checked call. Steps in bytes along batch, route, channel, frame, row, column of the source.

    The step along routes is 0 where all of them read one map, that along frames where a map has no
    depth; a sequence is a map of one row.
    """

    kernel: str  # "gather", "place" (routes apart) or "merge" (their sum)
    path: Path | Orders
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
    if not isinstance(path, Path | Orders):
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
    routes, size, shape = path.routes, path.size, x.shape
    sides = len(size)
    per_route = len(shape) == 3 + sides
    fits = len(shape) == 2 + sides or (per_route and shape[1] == routes)
    if not fits or shape[-sides:] != size:
        letters = letters_of(path)
        named = ", ".join(map("{} = {}".format, letters.split(", "), size))
        expected = f"(b, d, {letters}) or (b, k, d, {letters}) with k = {routes}, {named} as path "
        fail("gather", "x", f"{expected}has them", shape, _map_hint(shape, size))
    batch, dim = shape[0], shape[-1 - sides]
    check_size("gather", "b * k * d * l", batch, dim, *_largest(path))
    steps = x.steps if per_route else (x.steps[0], 0, *x.steps[1:])
    if sides == 2:
        steps = (*steps[:3], 0, *steps[3:])
    result = batch, routes, dim, path.length
    return Moved("gather", path, batch, dim, x.dtype, steps, result)


def check_scatter(y, path, merge):
    """The Moved of a scatter of y (a Layout)."""
    check_dtype("scatter", "y", y.dtype)
    routes, length = path.routes, path.length
    shape = y.shape
    if len(shape) != 4 or (shape[1], shape[3]) != (routes, length):
        expected = f"(b, k, d, l) with k = {routes}, l = {length} as path has them"
        fail("scatter", "y", expected, shape, _sequence_hint(shape, routes, length))
    batch, _, dim, _ = shape
    check_size("scatter", "b * k * d * l", batch, dim, *_largest(path))
    steps = (*y.steps[:3], 0, 0, y.steps[3])
    result = (batch, *(() if merge else (routes,)), dim, *path.size)
    return Moved("merge" if merge else "place", path, batch, dim, y.dtype, steps, result)


def _largest(path):
    """Routes, and their steps or the pixels of a map for each."""
    return path.routes, max(path.length, path.pixels)


def _map_hint(shape, size):
    sides = len(size)
    if len(shape) == 2 + sides and shape[1:-1] == size:
        return f" Is it (b, {'t, ' * (sides == 3)}h, w, d)?"
    if shape[-sides:] == size:
        return " Is the batch axis missing?" if len(shape) == 1 + sides else ""
    if shape[-2:] == size[:-3:-1]:
        return " Are height and width of path swapped?"
    if shape[2:] != (math.prod(size),):
        return ""
    return f" Is it (b, d, {'t * ' * (sides == 3)}h * w)?"


def _sequence_hint(shape, routes, length):
    if shape == (routes, *shape[1:2], length):
        return " Is the batch axis missing?"
    if len(shape) == 3 and shape[2] == length and shape[1] % routes == 0:
        return " Are k and d one axis?"
    if len(shape) == 4 and shape[1] == routes and shape[2] == length:
        return " Is it (b, k, l, d)?"
    return ""
