"""What a path must look like: every check on sizes, names and tables."""

import operator
import re

import numpy as np

from ..messages import describe, fail
from .constant import constant
from .orders import window_size

# Pixel numbers and positions are int32, the positions of joined routes too.
LARGEST = 2**31 - 1

ROUTE = re.compile(r"(h|v|w[1-9][0-9]{0,9})(_flip)?")


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


def checked_size(function, height, width):
    """Height and width as ints."""
    height = checked_integer(function, "height", height)
    width = checked_integer(function, "width", width)
    if height * width > LARGEST:
        fail(function, "height * width", f"at most {LARGEST}", f"{height} * {width}")
    return height, width


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


def checked_tile(function, name, height, width, value, copies):
    """The size of windows or the step of an atrous path, for a table with so many padded maps."""
    value = checked_integer(function, name, value)
    entries = copies * padded_area(height, width, value)
    if entries > LARGEST:
        expected = f"small enough for a table of at most {LARGEST} entries"
        fail(function, name, expected, f"{value}, which pads {height} x {width} to {entries}")
    return value


def checked_step(height, width, value):
    """The step of an atrous path."""
    value = checked_tile("atrous", "step", height, width, value, 1)
    if value**2 * height * width > LARGEST:
        expected = f"small enough for step**2 * height * width of at most {LARGEST}"
        fail("atrous", "step", expected, f"{value} for {height} x {width}")
    return value


@constant
def check_routes(function, height, width, routes):
    """Names of routes."""
    expected = "names such as 'h', 'v', 'w7' or 'w7_flip', at least one"
    if not routes:
        fail(function, "routes", expected, "none")
    for name in routes:
        if not isinstance(name, str):
            hint = " Pass each name by itself." if isinstance(name, list | tuple) else ""
            raise TypeError(f"{function}: routes must be {expected}; got {describe(name)}.{hint}")
        if not ROUTE.fullmatch(name):
            fail(function, "routes", expected, describe(name))
    length = max(padded_area(height, width, window_size(name)) for name in routes)
    if len(routes) * length > LARGEST:
        expected = f"few and short enough for a table of at most {LARGEST} entries"
        fail(function, "routes", expected, f"{len(routes)} of up to {length} steps")


def padded_area(height, width, size):
    """Pixels of the map after padding to multiples of size."""
    return -(-height // size) * -(-width // size) * size**2


def checked_table(function, table, height, width, name="table"):
    """The table, int32 and read-only, and its inverse (k, height * width)."""
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
    pixels = height * width
    if len(table) * pixels > LARGEST:
        expected = f"(k, l) with k * height * width of at most {LARGEST}"
        fail(function, name, expected, f"{table.shape} over {height} x {width} pixels")
    wrong = (table < -1) | (table >= pixels)
    if wrong.any():
        k, l = np.argwhere(wrong)[0]
        expected = f"-1 for padding or a pixel number from 0 to {pixels - 1} everywhere"
        fail(function, name, expected, f"{table[k, l]} in route {k}, step {l}")
    table = np.array(table, np.int32, order="C", copy=True, subok=False)
    return freeze(table), freeze(inverted(function, table, pixels, name))


def inverted(function, table, pixels, name):
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
        got = f"pixel {table[k, l]} twice in route {k}, at steps {l} and {again}"
        fail(function, name, expected, got)
    return np.ascontiguousarray(inverse[:, :pixels])


def freeze(array):
    """The array, read-only; torch.compile takes no array that could never be written again."""
    array.setflags(write=False)
    return array
