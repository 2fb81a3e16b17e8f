"""Path: routes over a map of pixels as a table.

Pixel (row i, column j) of a map has the number i * width + j. Each of the k routes is a row of the
table: pixels in the order in which a scan visits them, -1 where it takes a step without a pixel
(padding). All routes of a table are equally long; shorter ones end in padding.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from ..messages import describe, fail
from .checks import check_routes, checked_flag, checked_size, checked_table, checked_text, times
from .constant import kept
from .orders import table_of
from .runs import find_runs
from .text import parse, text_of

_LARGEST_PICTURE = 1 << 13  # steps


# Compared by content, not by the generated methods: arrays have no single truth value.
@dataclass(frozen=True, eq=False, repr=False)
class Path:
    """Routes over a map of pixels; immutable, and equal where the content is equal.

    Parameters
    ----------
    table : numpy.ndarray, (k, l), any integer dtype
        The pixels of each of k routes in visiting order, -1 for padding. Pixel i * width + j is in
        row i, column j. A route visits a pixel at most once, and need not visit every pixel.
    height, width : int
        Size of the map.
    joined : bool
        Whether the routes are one sequence, scanned one after the other without a reset.
    depth : int, optional
        Of a map (depth, height, width), a video or a volume. Pixel (p * height + i) * width + j is
        in row i and column j of frame p.

    Attributes
    ----------
    table : numpy.ndarray, (k, l), int32
        A read-only copy, C-contiguous.
    size : tuple
        (height, width), or (depth, height, width).
    pixels, routes, length : int
        The numbers of pixels of the map, of routes (k), and of steps of a route with padding (l).
    inverse : numpy.ndarray, (k, pixels of the map), int32
        The position of each pixel in each route, -1 where the route does not visit it; read-only.
    text : str
        The path as text, which `Path.from_text` reads: it stands for the path in a graph of
        ``torch.compile`` or ``torch.export``.

    Raises
    ------
    ValueError
        An entry out of range, a pixel visited twice by a route, sizes that int32 cannot hold.
    TypeError
        Not a NumPy array of integers, a size that is not an integer.

    Examples
    --------
    >>> import numpy as np
    >>> from selscan.paths import Path
    >>> path = Path(np.array([[0, 1, 3, 2], [3, -1, 1, -1]]), height=2, width=2)
    >>> path
    <Path: 2 routes of 4 steps over 2 x 2 pixels>
    >>> path.inverse
    array([[ 0,  1,  3,  2],
           [-1,  2, -1,  0]], dtype=int32)
    """

    table: np.ndarray
    height: int
    width: int
    joined: bool = False
    depth: int | None = None
    size: tuple = field(init=False)  # (height, width) or (depth, height, width)
    # Fields, since torch.compile looks up those of a constant, and not properties.
    pixels: int = field(init=False)  # of the map
    routes: int = field(init=False)  # k
    length: int = field(init=False)  # steps of a route, padding included, l
    inverse: np.ndarray = field(init=False)
    text: str = field(init=False)

    def __post_init__(self):
        given = (self.depth, self.height, self.width)
        size = checked_size("Path", *given[self.depth is None :])
        joined = checked_flag("Path", "joined", self.joined)
        table, inverse = checked_table("Path", self.table, size)
        *depth, height, width = size
        # Straight into the dictionary, since the fields of a frozen dataclass cannot be assigned.
        vars(self).update(table=table, height=height, width=width, joined=joined)
        vars(self).update(depth=depth[0] if depth else None, inverse=inverse)
        vars(self).update(text=text_of(table, size, joined), size=size)
        routes, length = table.shape
        vars(self).update(pixels=inverse.shape[1], routes=routes, length=length)

    @staticmethod
    def of(height, width, *routes, joined=False, depth=None):
        """Routes by name.

        Parameters
        ----------
        height, width : int
            Size of the map.
        *routes : str
            ``"h"`` goes row by row, ``"v"`` column by column. ``"w7"``, or any other number, pads
            the map at the bottom and on the right to multiples of 7 and goes through windows of
            7 x 7 pixels row by row, and through the pixels of each row by row. A name with
            ``"_flip"`` at the end is that route in reverse, padding included.
        joined : bool
            Whether the routes are one sequence, scanned one after the other without a reset.
        depth : int, optional
            Of a map (depth, height, width). Its routes are ``"thw"``, frame by frame and row by
            row, and the other orders of these three letters, the last one being that of the axis
            along which neighbours follow each other; and ``"w4"``, windows of 4 x 4 x 4.

        Returns
        -------
        Path
            Routes shorter than the longest end in padding.

        Raises
        ------
        ValueError
            A name that is none of these, sizes that int32 cannot hold.
        TypeError
            A name that is not a string, a size that is not an integer.

        Examples
        --------
        >>> from selscan.paths import Path
        >>> Path.of(2, 3, "h_flip", "v", "w2").table
        array([[ 5,  4,  3,  2,  1,  0, -1, -1],
               [ 0,  3,  1,  4,  2,  5, -1, -1],
               [ 0,  1,  3,  4,  2, -1,  5, -1]], dtype=int32)
        """
        size = checked_size("Path.of", *(depth, height, width)[depth is None :])
        joined = checked_flag("Path.of", "joined", joined)
        check_routes("Path.of", size, routes)
        return path_of(size, routes, joined)

    @staticmethod
    def from_text(text):
        """The path of a `text`.

        Parameters
        ----------
        text : str
            The attribute `text` of a path.

        Returns
        -------
        Path
            The same object again for the same text, as long as that is among the last few.

        Raises
        ------
        ValueError
            Not the text of a path.
        TypeError
            Not a string.

        Examples
        --------
        >>> from selscan.paths import Path, cross
        >>> Path.from_text(cross(4, 5).text) == cross(4, 5)
        True
        """
        return path_from(checked_text("Path.from_text", text))

    @property
    def nbytes(self):
        """Bytes in memory, of `runs` too: they are as many as the text is long, whoever asks."""
        return self.table.nbytes + self.inverse.nbytes + 5 * len(self.text)

    @functools.cached_property
    def runs(self):
        """The table as stretches of constant stride, for kernels that compute addresses.

        ``runs.table`` (r, 4) has start, stride, count and position of each, ``runs.first`` (k + 1,)
        the first run of each route, ``runs.mean_length`` the steps of a run on average.
        """
        return find_runs(self.table)

    def draw(self):
        """The path as a picture.

        Each route has a panel with an arrow for each move from pixel to pixel, from light to dark
        as the route goes on; the bar below it is the sequence that is scanned. Where that is
        padding the bar is empty, and the arrow across it is dashed.

        Returns
        -------
        str
            The text of an SVG file; equal paths have equal pictures.

        Examples
        --------
        >>> from selscan import paths
        >>> paths.cross(3, 4).draw()[:4]
        '<svg'
        """
        from .drawing import draw  # here, since few programs draw, and all import this file

        return draw(self.table, self.size, self.joined)

    def _repr_svg_(self):
        """The picture in a notebook; none of a path so large that nobody could see its arrows."""
        return self.draw() if self.table.size <= _LARGEST_PICTURE else None

    def __repr__(self):
        k, l = self.table.shape
        text = f"{k} route{'s' * (k > 1)} of {l} step{'s' * (l > 1)} over"
        joined = ", joined" * self.joined
        return f"<Path: {text} {times(self.size)} pixels{joined}>"

    @functools.cached_property
    def _hash(self):
        return hash((self.size, self.joined, self.table.tobytes()))

    # Paths are keys of caches: hashed once, and compared entry by entry only where hashes agree.
    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        if not isinstance(other, Path):
            return NotImplemented
        return self is other or (
            self._hash == other._hash
            and (self.size, self.joined) == (other.size, other.joined)
            and np.array_equal(self.table, other.table)
        )

    # Pickled as the call that makes it: arrays forget in a pickle that they are read-only, and
    # the hash of bytes holds in one process only.
    def __reduce__(self):
        return Path, (self.table, self.height, self.width, self.joined, self.depth)


@kept
def path_of(size, routes, joined=False):
    """`Path.of` for arguments that are checked; the same object as long as it is kept."""
    return path_over(table_of(size, routes), size, joined)


def path_over(table, size, joined=False):
    """The Path of a table over maps of a size, (height, width) or (depth, height, width)."""
    *depth, height, width = size
    return Path(table, height, width, joined, *depth)


@kept
def path_from(text):
    """`Path.from_text` for a string."""
    try:
        return Path(*parse(text))
    except Exception:  # whatever the many steps of unpacking raise
        fail("Path.from_text", "text", "the text of a path", describe(text))
