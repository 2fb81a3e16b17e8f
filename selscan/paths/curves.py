"""Curves through all pixels of a map, one function each; makers.py has the paths of the papers."""

import numpy as np

from . import curve_orders
from .checks import checked_size
from .constant import kept
from .path import path_over


def snake(height, width):
    """Rows to and fro, columns to and fro, and both backward (PlainMamba, Yang et al. 2024).

    Each pixel is a neighbour of the one before it.

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
    >>> paths.snake(2, 2).table
    array([[0, 1, 3, 2],
           [0, 2, 3, 1],
           [2, 3, 1, 0],
           [1, 3, 2, 0]], dtype=int32)
    """
    return there_and_back("snake", *checked_size("snake", height, width))


def zigzag(height, width):
    """Diagonals up and down in turns, from corner to corner, and back.

    As the coefficients of a block of JPEG; each pixel is a neighbour of the one before it, or
    touches it at a corner.

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
    >>> paths.zigzag(2, 3).table
    array([[0, 1, 3, 4, 2, 5],
           [5, 2, 4, 3, 1, 0]], dtype=int32)
    """
    return there_and_back("zigzag", *checked_size("zigzag", height, width))


def diagonal(height, width):
    """Both kinds of diagonals, each from the top down, and both backward.

    The first route goes through those that fall to the left, from the top left corner on, the
    second through those that fall to the right, from the top right corner on.

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
    >>> paths.diagonal(2, 2).table
    array([[0, 1, 2, 3],
           [1, 0, 3, 2],
           [3, 2, 1, 0],
           [2, 3, 0, 1]], dtype=int32)
    """
    return there_and_back("diagonal", *checked_size("diagonal", height, width))


def spiral(height, width):
    """Along the edge, clockwise, and on to the middle; and back to the edge.

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
    >>> paths.spiral(2, 3).table
    array([[0, 1, 2, 5, 4, 3],
           [3, 4, 5, 2, 1, 0]], dtype=int32)
    """
    return there_and_back("spiral", *checked_size("spiral", height, width))


def hilbert(height, width):
    """Along the curve of Hilbert, and back.

    Pixels that are near each other in the sequence are so on the map. The curve is that through
    the smallest square of a power of two that holds the map, cut where the map ends: on other
    maps than such squares it jumps.

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
    >>> paths.hilbert(2, 2).table
    array([[0, 1, 3, 2],
           [2, 3, 1, 0]], dtype=int32)
    """
    return there_and_back("hilbert", *checked_size("hilbert", height, width))


def z_order(height, width):
    """Quarter by quarter, and so in each quarter, row by row; and back (Morton order).

    Where the map is no square of a power of two, the order is that of the smallest one that holds
    it, without the pixels outside of the map.

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
    >>> paths.z_order(2, 4).table
    array([[0, 1, 4, 5, 2, 3, 6, 7],
           [7, 6, 3, 2, 5, 4, 1, 0]], dtype=int32)
    """
    return there_and_back("z_order", *checked_size("z_order", height, width))


@kept
def there_and_back(name, *size):
    """A route for each order of a curve, and each of them backward."""
    orders = np.atleast_2d(getattr(curve_orders, f"{name}_order")(*size))
    return path_over(np.concatenate([orders, orders[:, ::-1]]), size)
