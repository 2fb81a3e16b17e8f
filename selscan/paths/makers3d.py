"""Paths over maps of three axes, (depth, height, width): volumes, and videos whose depth is time.

One function each, as makers.py has those of images; `MAKERS_3D` has them by name.
"""

from .checks import checked_size, checked_tile
from .curves import there_and_back
from .path import path_of


def cross3d(depth, height, width):
    """Along each of the three axes, and all in reverse: six routes.

    The routes are "thw", along rows, "twh", along columns of each frame, and "hwt", along the depth
    of each pixel; and then each of them backward.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Six routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.cross3d(2, 1, 2).table[:3]
    array([[0, 1, 2, 3],
           [0, 1, 2, 3],
           [0, 2, 1, 3]], dtype=int32)
    """
    return path_of(
        checked_size("cross3d", depth, height, width),
        ("thw", "twh", "hwt", "thw_flip", "twh_flip", "hwt_flip"),
    )


def spatial_first(depth, height, width):
    """Frame by frame, row by row, and back (VideoMamba, Li et al. 2024).

    The order that VideoMamba has by default.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Two routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.spatial_first(2, 1, 2).table
    array([[0, 1, 2, 3],
           [3, 2, 1, 0]], dtype=int32)
    """
    return path_of(checked_size("spatial_first", depth, height, width), ("thw", "thw_flip"))


def temporal_first(depth, height, width):
    """Pixel by pixel, all frames of each, and back (VideoMamba, Li et al. 2024).

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Two routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.temporal_first(2, 1, 2).table
    array([[0, 2, 1, 3],
           [3, 1, 2, 0]], dtype=int32)
    """
    return path_of(checked_size("temporal_first", depth, height, width), ("hwt", "hwt_flip"))


def spatiotemporal(depth, height, width):
    """Both orders of VideoMamba (Li et al. 2024), frames first and pixels first, and both back.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Four routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.spatiotemporal(2, 1, 2).table
    array([[0, 1, 2, 3],
           [0, 2, 1, 3],
           [3, 2, 1, 0],
           [3, 1, 2, 0]], dtype=int32)
    """
    return path_of(
        checked_size("spatiotemporal", depth, height, width), ("thw", "hwt", "thw_flip", "hwt_flip")
    )


def tri_orientated(depth, height, width):
    """Forward, backward, and from slice to slice (SegMamba, Xing et al. 2024).

    The first two are slice by slice and row by row; the third takes each pixel through all slices.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Three routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.tri_orientated(2, 1, 2).table
    array([[0, 1, 2, 3],
           [3, 2, 1, 0],
           [0, 2, 1, 3]], dtype=int32)
    """
    return path_of(checked_size("tri_orientated", depth, height, width), ("thw", "thw_flip", "hwt"))


def window3d(depth, height, width, size):
    """Window by window, size x size x size pixels each, and back.

    The map is padded at the ends of its axes to multiples of size.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.
    size : int
        Side of a window.

    Returns
    -------
    Path
        Two routes over all pixels, padding among them where a side is no multiple of size.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.window3d(2, 2, 3, size=2).table[0]
    array([ 0,  1,  3,  4,  6,  7,  9, 10,  2, -1,  5, -1,  8, -1, 11, -1],
          dtype=int32)
    """
    sides = checked_size("window3d", depth, height, width)
    size = checked_tile("window3d", "size", sides, size, 2)
    return path_of(sides, (f"w{size}", f"w{size}_flip"))


def snake3d(depth, height, width):
    """To and fro along rows, along columns and along the depth, and all backward.

    Each pixel is a neighbour of the one before it.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Six routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.snake3d(2, 1, 2).table[:3]
    array([[0, 1, 3, 2],
           [0, 1, 3, 2],
           [0, 2, 3, 1]], dtype=int32)
    """
    return there_and_back("snake", *checked_size("snake3d", depth, height, width))


def hilbert3d(depth, height, width):
    """Along the curve of Hilbert in three dimensions, cut where the map ends, and back.

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Two routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.hilbert3d(2, 2, 2).table[0]
    array([0, 1, 3, 2, 6, 7, 5, 4], dtype=int32)
    """
    return there_and_back("hilbert", *checked_size("hilbert3d", depth, height, width))


def z_order3d(depth, height, width):
    """Eighth by eighth, and so in each eighth; and back (Morton order).

    Parameters
    ----------
    depth, height, width : int
        Size of the map.

    Returns
    -------
    Path
        Two routes over all pixels.

    Examples
    --------
    >>> from selscan import paths
    >>> paths.z_order3d(1, 2, 4).table
    array([[0, 1, 4, 5, 2, 3, 6, 7],
           [7, 6, 3, 2, 5, 4, 1, 0]], dtype=int32)
    """
    return there_and_back("z_order", *checked_size("z_order3d", depth, height, width))


_ALL = (
    cross3d, spatial_first, temporal_first, spatiotemporal, tri_orientated, window3d, snake3d,
    hilbert3d, z_order3d,
)  # fmt: skip
MAKERS_3D = {maker.__name__: maker for maker in _ALL}
