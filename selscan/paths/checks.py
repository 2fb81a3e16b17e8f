"""What a path must look like: every check on sizes, names and tables."""

import math
import operator
import re

import numpy as np

from ..messages import describe, fail
from .constant import constant
from .orders import window_size

# Pixel numbers and positions are int32, the positions of joined routes too.
LARGEST = 2**31 - 1

ROUTE = re.compile(r"(h|v|w[1-9][0-9]{0,9})(_flip)?")
# Of maps with a depth: the axes from the slowest to the fastest, or windows.
ROUTE_3D = re.compile(r"(thw|twh|htw|hwt|wth|wht|w[1-9][0-9]{0,9})(_flip)?")
NAMES = {2: "'h', 'v', 'w7' or 'w7_flip'", 3: "'thw', 'hwt', 'w4' or 'w4_flip'"}


def checked_integer(function, name, value):
    """The value as an int, if it is an integer from 1 to LARGEST."""
    expected = f"an integer from 1 to {LARGEST}"
    # A bool is an int, and a timedelta64 an integer of NumPy's.
    numbers = isinstance(value, int | np.integer)
    if not numbers or isinstance(value, bool | np.timedelta64):
        raise TypeError(f"{function}: {name} must be {expected}; got {describe(value)}.")
    value = operator.index(value)  # int() of a size would leave it unknown to torch.compile
    if not 1 <= value <= LARGEST:
        fail(function, name, expected, describe(value))
    return value


def checked_size(function, *size):
    """Height and width, or depth, height and width, as ints."""
    names = ("depth", "height", "width")[-len(size) :]
    size = tuple([checked_integer(function, *given) for given in zip(names, size, strict=True)])
    if math.prod(size) > LARGEST:
        fail(function, " * ".join(names), f"at most {LARGEST}", " * ".join(map(str, size)))
    return size


def times(size):
    """A size in a message."""
    return " x ".join(map(str, size))


def checked_flag(function, name, value):
    """True or False: a string or an array is a mistake."""
    if value is not True and value is not False:
        raise TypeError(f"{function}: {name} must be True or False; got {describe(value)}.")
    return value


def checked_text(function, text):
    """A string."""
    if not isinstance(text, str):
        raise TypeError(f"{function}: text must be a string; got {describe(text)}.")
    return text


def checked_tile(function, name, size, value, copies):
    """The size of windows or the step of an atrous path, for a table with so many padded maps."""
    value = checked_integer(function, name, value)
    entries = copies * padded_area(size, value)
    if entries > LARGEST:
        expected = f"small enough for a table of at most {LARGEST} entries"
        fail(function, name, expected, f"{value}, which pads {times(size)} to {entries}")
    return value


def checked_step(height, width, value):
    """The step of an atrous path."""
    value = checked_tile("atrous", "step", (height, width), value, 1)
    if value**2 * height * width > LARGEST:
        expected = f"small enough for step**2 * height * width of at most {LARGEST}"
        fail("atrous", "step", expected, f"{value} for {height} x {width}")
    return value


@constant
def check_routes(function, size, routes):
    """Names of routes."""
    expected = f"names such as {NAMES[len(size)]}, at least one"
    pattern = ROUTE if len(size) == 2 else ROUTE_3D
    if not routes:
        fail(function, "routes", expected, "none")
    for name in routes:
        if not isinstance(name, str):
            hint = " Pass each name by itself." if isinstance(name, list | tuple) else ""
            raise TypeError(f"{function}: routes must be {expected}; got {describe(name)}.{hint}")
        if not pattern.fullmatch(name):
            fail(function, "routes", expected, describe(name))
    length = max(padded_area(size, window_size(name)) for name in routes)
    if len(routes) * length > LARGEST:
        expected = f"few and short enough for a table of at most {LARGEST} entries"
        fail(function, "routes", expected, f"{len(routes)} of up to {length} steps")


def padded_area(size, multiple):
    """Pixels of the map after padding its sides to multiples."""
    area = 1
    for side in size:  # torch.compile, which looks in here, takes no generator to math.prod
        area *= -(-side // multiple) * multiple
    return area


def checked_table(function, table, size, name="table"):
    """The table, int32 and read-only, and its inverse (k, pixels)."""
    expected = "a NumPy array of integers"
    if not isinstance(table, np.ndarray) or isinstance(table, np.ma.MaskedArray):
        hint = " Pass numpy.asarray(table)." if isinstance(table, list | tuple) else ""
        raise TypeError(f"{function}: {name} must be {expected}; got {describe(table)}.{hint}")
    if table.dtype.kind not in "iu":
        raise TypeError(f"{function}: {name} must be {expected}; got one of {table.dtype}.")
    if table.ndim != 2 or 0 in table.shape:
        hint = " Pass table[None] for a single route." if table.ndim == 1 else ""
        fail(function, name, "(k, l) with k and l of at least 1", table.shape, hint)
    if table.size > LARGEST:
        fail(function, name, f"(k, l) with k * l of at most {LARGEST}", table.shape)
    pixels = math.prod(size)
    if len(table) * pixels > LARGEST:
        sides = " * ".join(("depth", "height", "width")[-len(size) :])
        expected = f"(k, l) with k * {sides} of at most {LARGEST}"
        fail(function, name, expected, f"{table.shape} over {times(size)} pixels")
    check_numbers(function, table, pixels, name)
    table = np.array(table, np.int32, order="C", copy=True, subok=False)
    return freeze(table), freeze(inverted(function, table, pixels, name))


def check_numbers(function, table, pixels, name, where=""):
    """Pixels or padding; `where` is the end of a message."""
    wrong = (table < -1) | (table >= pixels)
    if wrong.any():
        k, l = np.argwhere(wrong)[0]
        expected = f"-1 for padding or a pixel number from 0 to {pixels - 1} everywhere"
        fail(function, name, expected, f"{table[k, l]} in route {k}, step {l}{where}")


def inverted(function, table, pixels, name, where=""):
    """The position (k, pixels) of each pixel in each route, -1 where it is not visited."""
    steps = np.arange(table.shape[1], dtype=np.int32)
    # Padding, -1, goes to one column more at the end.
    inverse = np.full((len(table), pixels + 1), -1, np.int32)
    np.put_along_axis(inverse, table, steps[None], axis=1)
    # Of two visits to a pixel only one is found again.
    lost = (np.take_along_axis(inverse, table, axis=1) != steps) & (table >= 0)
    if lost.any():
        k, l = np.argwhere(lost)[0]
        expected = "routes that visit a pixel at most once"
        again = inverse[k, table[k, l]]
        got = f"pixel {table[k, l]} twice in route {k}{where}, at steps {l} and {again}"
        fail(function, name, expected, got)
    return np.ascontiguousarray(inverse[:, :pixels])


def freeze(array):
    """The array, read-only; torch.compile takes no array that could never be written again."""
    array.setflags(write=False)
    return array
