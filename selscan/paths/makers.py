"""Paths by what they are called, one function each; `MAKERS` has them by name.

A maker takes height and width, and perhaps a size. It returns the same object again for the same
arguments, as long as that is among the last few that were asked for.
"""

from . import curves
from .checks import checked_size, checked_step, checked_tile
from .constant import kept
from .orders import atrous_table
from .path import Path, path_of


def unidirectional(height, width):
    """Row by row: the route "h".

    Parameters
    ----------
    height, width : int
        Size of the map.

    Returns
    -------
    Path
        One route over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.unidirectional(2, 3).table
    array([[0, 1, 2, 3, 4, 5]], dtype=int32)
    """
    return path_of(checked_size("unidirectional", height, width), ("h",))


def bidirectional(height, width):
    """Row by row and back: the routes "h" and "h_flip" (Vim, Zhu et al. 2024).

    Parameters
    ----------
    height, width : int
        Size of the map.

    Returns
    -------
    Path
        Two routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.bidirectional(2, 2).table
    array([[0, 1, 2, 3],
           [3, 2, 1, 0]], dtype=int32)
    """
    return path_of(checked_size("bidirectional", height, width), ("h", "h_flip"))


def cross(height, width):
    """Rows, columns, and both in reverse: "h", "v", "h_flip", "v_flip" (VMamba, Liu et al. 2024).

    Parameters
    ----------
    height, width : int
        Size of the map.

    Returns
    -------
    Path
        Four routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.cross(2, 2).table
    array([[0, 1, 2, 3],
           [0, 2, 1, 3],
           [3, 2, 1, 0],
           [3, 1, 2, 0]], dtype=int32)
    """
    return path_of(checked_size("cross", height, width), ("h", "v", "h_flip", "v_flip"))


def atrous(height, width, step=2):
    """Every step-th row and column, from each of the step**2 places to start at.

    Route i + step * j starts at (row i, column j) and goes row by row where i is even, column by
    column where i is odd. The map is padded at the bottom and on the right to multiples of step.
    With step 2 this is the path of EfficientVMamba (Pei et al. 2024).

    Parameters
    ----------
    height, width : int
        Size of the map.
    step : int
        Distance of the rows, and of the columns, that a route visits.

    Returns
    -------
    Path
        step**2 routes, which visit each pixel once together.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.atrous(3, 4).table
    array([[ 0,  2,  8, 10],
           [ 4, -1,  6, -1],
           [ 1,  3,  9, 11],
           [ 5, -1,  7, -1]], dtype=int32)
    """
    height, width = checked_size("atrous", height, width)
    return atrous_of(height, width, checked_step(height, width, step))


@kept
def atrous_of(height, width, step):
    """`atrous` for arguments that are checked."""
    return Path(atrous_table(height, width, step), height, width)


def window(height, width, size):
    """Window by window and back: "w7" and "w7_flip" for size 7 (LocalMamba, Huang et al. 2024).

    The map is padded at the bottom and on the right to multiples of size; windows are visited row
    by row, and so are the pixels in each.

    Parameters
    ----------
    height, width : int
        Size of the map.
    size : int
        Side of a window; LocalMamba has 2 and 7.

    Returns
    -------
    Path
        Two routes over all pixels, padding among them where the map is not a multiple of size.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.window(2, 3, size=2).table
    array([[ 0,  1,  3,  4,  2, -1,  5, -1],
           [-1,  5, -1,  2,  4,  3,  1,  0]], dtype=int32)
    """
    sides = checked_size("window", height, width)
    size = checked_tile("window", "size", sides, size, 2)
    return path_of(sides, (f"w{size}", f"w{size}_flip"))


_ALL = (
    unidirectional, bidirectional, cross, atrous, window,
    curves.snake, curves.zigzag, curves.diagonal, curves.spiral, curves.hilbert, curves.z_order,
)  # fmt: skip
MAKERS = {maker.__name__: maker for maker in _ALL}
