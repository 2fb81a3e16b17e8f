"""What may be given as a path: a Path, a name, a function of the size, or a table of pixel numbers.

All but a Path are made one for the size of the maps: of equal tables the same object, as long as it
is kept. To torch.compile names, functions and lists are constants.
"""

import numpy as np

from ..arrays.find import is_symbolic, is_tensor
from ..messages import describe, fail, foreign
from ..paths import MAKERS, MAKERS_3D, Path
from ..paths.checks import ROUTE, ROUTE_3D, checked_size, checked_table, times
from ..paths.constant import constant, kept
from ..paths.per_sample import Orders

SIZES = "(height, width) or (depth, height, width)"
EXPECTED = "a selscan.paths.Path, the name of one, a function of the size, or a table (k, l)"


def orders_of(function, path, size):
    """The Orders of an array (b, k, l), or of one that a call is traced with; else None."""
    axes = None if isinstance(path, np.ma.MaskedArray) else getattr(path, "ndim", None)
    if axes != 3 and not (axes in (1, 2) and is_symbolic(path)):
        return None
    routes, length = (1, *path.shape)[-2:]
    return Orders(routes, length, checked_size(function, *size))


def path_over(function, path, size):
    """The Path of what was given, over maps of (height, width) or (depth, height, width)."""
    if isinstance(path, Path):
        return path
    size = checked_size(function, *size)  # a number to torch.compile, too
    if isinstance(path, str | list | tuple) or callable(path):
        return made(function, path, *size)
    return of_table(function, table_of(function, path), size)


@constant
def made(function, path, *size):
    """Of a name, a function or a list."""
    if isinstance(path, str):
        return named(function, path, size)
    if isinstance(path, list | tuple):
        return listed(function, path, size)
    found = path(*size)
    if callable(found) or isinstance(found, str):
        expected = "a function that gives a selscan.paths.Path or a table"
        raise TypeError(f"{function}: path must be {expected}; got {describe(found)} from it.")
    found = path_over(function, found, size)
    if found.size != size:
        expected = f"a function that gives one over {times(size)} pixels"
        fail(function, "path", expected, f"one over {times(found.size)} from it")
    return found


def named(function, name, size):
    """The path of a maker, or that of a single route."""
    makers = MAKERS if len(size) == 2 else MAKERS_3D
    if name in makers:
        try:
            return makers[name](*size)
        except TypeError:  # it takes more than the size
            sides = "h, w" if len(size) == 2 else "t, h, w"
            hint = f" Pass lambda {sides}: paths.{name}({sides}, ...), or the names of its routes."
            fail(function, "path", EXPECTED, describe(name), hint)
    if not is_route(name, size):
        hint = " Names are in selscan.paths and Path.of."
        fail(function, "path", EXPECTED, describe(name), hint)
    return of_routes([name], size)


def is_route(name, size):
    """Whether routes over maps of a size have this name."""
    return isinstance(name, str) and (ROUTE if len(size) == 2 else ROUTE_3D).fullmatch(name)


def of_routes(names, size):
    """`Path.of`."""
    *depth, height, width = size
    return Path.of(height, width, *names, depth=depth[0] if depth else None)


def listed(function, rows, size):
    """The path of routes by name, or of a table as lists."""
    if not are_names(rows):
        return of_table(function, table_of(function, rows), size)
    for name in rows:
        if not is_route(name, size):
            expected = "a list of routes by name, as in Path.of, or a table (k, l)"
            fail(function, "path", expected, f"{describe(name)} in one")
    return of_routes(rows, size)


def are_names(path):
    """Whether a path is a list of names, and not of numbers."""
    return isinstance(path, list | tuple) and any(isinstance(row, str) for row in path)


def table_of(function, path):
    """A table (k, l) of integers, copied if it is on another device."""
    if isinstance(path, list | tuple):
        path = array_of_lists(function, path)
    elif is_tensor(path):
        path = path.detach().cpu()
    elif hasattr(path, "get") and hasattr(path, "__cuda_array_interface__"):
        path = path.get()  # CuPy
    wrong = TypeError(f"{function}: path must be {EXPECTED}; got {describe(path)}.")
    if not hasattr(path, "__array__") or isinstance(path, np.ma.MaskedArray):
        raise wrong
    try:
        table = np.asarray(path)
    except Exception as error:  # of the library that it is from
        raise wrong from error
    if table.dtype.kind not in "iu":
        raise TypeError(f"{function}: path must be a table of integers; got one of {table.dtype}.")
    return table[None] if table.ndim == 1 else table


def array_of_lists(function, rows):
    """An array of rows that are equally long."""
    if not rows:
        fail(function, "path", EXPECTED, "an empty list")
    lengths = [len(row) if isinstance(row, list | tuple) else -1 for row in rows]
    if len(set(lengths)) > 1:
        other = next(i for i, length in enumerate(lengths) if length != lengths[0])
        got = f"{lengths[0]} in route 0, {lengths[other]} in route {other}"
        got = got.replace("-1 in", "none in")
        fail(function, "path", "routes of one length", got, " Fill the shorter ones up with -1.")
    try:
        return np.asarray(rows)
    except (ValueError, TypeError, OverflowError) as error:  # lists in the routes, or worse
        got = "a list of something else"
        raise TypeError(f"{function}: path must be {EXPECTED}; got {got}.") from error


def of_table(function, table, size):
    """The Path of a table (k, l) of integers."""
    return _of_table(function, table.tobytes(), table.shape, table.dtype, size)


@kept
def _of_table(function, numbers, shape, dtype, size):
    table = np.frombuffer(numbers, dtype).reshape(shape)
    checked_table(function, table, size, "path")  # under the name that it was given by
    *depth, height, width = size
    return Path(table, height, width, False, *depth)


def size_of(function, name, array, axes, size=None):
    """The size of maps: the argument `size`, or that of an array whose last axes are a map's.

    `axes` are the shapes that it may have, as a text, their numbers of axes, none if its shape does
    not tell, and how many of them are a map's.
    """
    if size is not None:
        if not isinstance(size, list | tuple) or len(size) not in (2, 3):
            raise TypeError(f"{function}: size must be {SIZES}; got {describe(size)}.")
        return size
    text, numbers, sides = axes
    if not numbers:
        fail(function, "size", f"{SIZES}, where path is no selscan.paths.Path", "None")
    shape = getattr(array, "shape", None)
    if not isinstance(shape, tuple):
        raise foreign(function, name, array, None)
    if len(shape) not in numbers:
        expected = f"{text}, where path is no selscan.paths.Path"
        hint = "" if function.startswith("scan") else f" Or pass size={SIZES}."
        fail(function, name, expected, tuple(shape), hint)
    return shape[-sides:]


def check_sides(function, path, sides):
    """A Path over maps of as many axes as a function scans."""
    if len(path.size) != sides:
        axes = "(height, width)" if sides == 2 else "(depth, height, width)"
        hint = f" Call selscan.scan{len(path.size)}d."
        fail(function, "path", f"one over maps {axes}", f"one over {times(path.size)}", hint)


def check_size(function, path, size):
    """A size beside a Path, which has one."""
    size = size_of(function, "size", None, None, size)
    if tuple(size) != path.size:
        fail(function, "size", f"that of path, {path.size}", str(tuple(size)))
