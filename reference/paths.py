"""Paths over maps of pixels, and moving arrays along them, as literal loops.

Pixel (i, j) of an h x w map has the number i w + j, pixel (p, i, j) of one of t x h x w the number
(p h + i) w + j. A path has k routes of l steps; p[r, t] is the
pixel that route r visits at step t, or -1: padding. For x (b, d, h, w), or (b, k, d, h, w) with a
map for each route,

    gather:   x'[b, r, d, t] = x[b, (r,) d, p[r, t]],   0 at padding                      (16)
    scatter:  y[b, r, d, q]  = y'[b, r, d, t] with p[r, t] = q,   0 where there is no t   (17)
              and their sum over r if merged

Each is the adjoint of the other.
"""

from typing import NamedTuple

import numpy as np


class Path(NamedTuple):
    """Routes over a map; `selscan.paths.Path` has the same names, so either will do."""

    table: np.ndarray  # (k, l)
    height: int
    width: int
    joined: bool = False
    depth: int | None = None

    @property
    def size(self):
        """(height, width), or (depth, height, width)."""
        return (self.depth, self.height, self.width)[self.depth is None :]


def unidirectional(height, width):
    """Rows (Liu et al. 2024)."""
    return path([rows(height, width)], height, width)


def bidirectional(height, width):
    """Rows, and the same backward (Zhu et al. 2024)."""
    forward = rows(height, width)
    return path([forward, forward[::-1]], height, width)


def cross(height, width):
    """Rows, columns, and both backward (Liu et al. 2024)."""
    row, column = rows(height, width), columns(height, width)
    return path([row, column, row[::-1], column[::-1]], height, width)


def window(height, width, size):
    """Windows of size x size, and the same backward (Huang et al. 2024)."""
    forward = windows(height, width, size)
    return path([forward, forward[::-1]], height, width)


def atrous(height, width, step=2):
    """Every step-th row and column from (i, j), columns first where i is odd (Pei et al. 2024)."""
    routes = []
    for j in range(step):
        for i in range(step):
            down, right = range(i, up_to(height, step), step), range(j, up_to(width, step), step)
            if i % 2 == 0:
                route = [pixel(row, column, height, width) for row in down for column in right]
            else:
                route = [pixel(row, column, height, width) for column in right for row in down]
            routes.append(route)
    return path(routes, height, width)


def snake(height, width):
    """Rows, left to right and right to left in turns, columns so too, and both backward."""
    row, column = [], []
    for i in range(height):
        for j in range(width) if i % 2 == 0 else reversed(range(width)):
            row.append(i * width + j)
    for j in range(width):
        for i in range(height) if j % 2 == 0 else reversed(range(height)):
            column.append(i * width + j)
    return path([row, column, row[::-1], column[::-1]], height, width)


def zigzag(height, width):
    """Up to the right until the edge, one pixel along it, down to the left, and so on; and back."""
    route, i, j, up = [], 0, 0, True
    while len(route) < height * width:
        route.append(i * width + j)
        ahead = (i - 1, j + 1) if up else (i + 1, j - 1)
        if 0 <= ahead[0] < height and 0 <= ahead[1] < width:
            i, j = ahead
        elif up:
            i, j = (i, j + 1) if j + 1 < width else (i + 1, j)
            up = False
        else:
            i, j = (i + 1, j) if i + 1 < height else (i, j + 1)
            up = True
    return path([route, route[::-1]], height, width)


def diagonal(height, width):
    """Diagonals down to the left, then down to the right, and both backward."""
    left, right = [], []
    for s in range(height + width - 1):
        for i in range(height):
            if 0 <= s - i < width:
                left.append(i * width + s - i)
                right.append(i * width + width - 1 - (s - i))
    # To the right from the top right corner on is to the left, mirrored.
    return path([left, right, left[::-1], right[::-1]], height, width)


def spiral(height, width):
    """Ahead until the edge or a visited pixel, then a turn to the right; and back."""
    route, i, j, di, dj = [], 0, 0, 0, 1
    while len(route) < height * width:
        route.append(i * width + j)
        ahead = pixel_inside(i + di, j + dj, height, width)
        if ahead < 0 or ahead in route:
            di, dj = dj, -di
        i, j = i + di, j + dj
    return path([route, route[::-1]], height, width)


def z_order(height, width):
    """Quarters of a square of a power of two, and so in each quarter; and back (Morton 1966)."""
    route = []

    def visit(top, left, side):
        if side == 1:
            if top < height and left < width:
                route.append(top * width + left)
            return
        for down in (0, side // 2):
            for right in (0, side // 2):
                visit(top + down, left + right, side // 2)

    visit(0, 0, power_of_two(max(height, width)))
    return path([route, route[::-1]], height, width)


def hilbert(height, width):
    """The curve of Hilbert by its four symmetric parts, without what is outside; and back."""
    route = []

    def visit(i, j, along, across, side):
        """From (i, j) to the other end of the side `along`; vectors of length 1 as (di, dj)."""
        if side == 1:
            if i < height and j < width:
                route.append(i * width + j)
            return
        (ai, aj), (ci, cj), half = along, across, side // 2
        # The corner (i, j) is that pixel of the square from which both vectors lead inside.
        far_i, far_j = i + (side - 1) * ai, j + (side - 1) * aj
        visit(i, j, across, along, half)
        visit(i + half * ci, j + half * cj, along, across, half)
        visit(i + half * (ci + ai), j + half * (cj + aj), along, across, half)
        visit(far_i + (half - 1) * ci, far_j + (half - 1) * cj, (-ci, -cj), (-ai, -aj), half)

    visit(0, 0, (1, 0), (0, 1), power_of_two(max(height, width)))
    return path([route, route[::-1]], height, width)


def power_of_two(n):
    """The smallest that is at least n."""
    side = 1
    while side < n:
        side *= 2
    return side


def pixel_inside(i, j, height, width):
    """The number of pixel (i, j), -1 on each side of the map."""
    return pixel(i, j, height, width) if i >= 0 and j >= 0 else -1


def of(height, width, *names, joined=False):
    """Routes by name: "h", "v", "w<size>", with "_flip" for the same backward."""
    routes = []
    for name in names:
        shape, _, flip = name.partition("_")
        if shape == "h":
            route = rows(height, width)
        elif shape == "v":
            route = columns(height, width)
        else:
            route = windows(height, width, int(shape[1:]))
        routes.append(route[::-1] if flip else route)
    return path(routes, height, width, joined)


def rows(height, width):
    """Row by row."""
    return [i * width + j for i in range(height) for j in range(width)]


def columns(height, width):
    """Column by column."""
    return [i * width + j for j in range(width) for i in range(height)]


def windows(height, width, size):
    """Windows row by row and row by row in each, over the map padded to multiples of size."""
    route = []
    for top in range(0, height, size):
        for left in range(0, width, size):
            for i in range(top, top + size):
                for j in range(left, left + size):
                    route.append(pixel(i, j, height, width))
    return route


def pixel(i, j, height, width):
    """The number of pixel (i, j), -1 outside the map."""
    return i * width + j if i < height and j < width else -1


def up_to(n, step):
    """n, or the next multiple of step."""
    return n + -n % step


def path(routes, height, width, joined=False):
    """The Path of routes of any length; the shorter ones end in padding."""
    l = max(map(len, routes))
    table = np.array([route + [-1] * (l - len(route)) for route in routes], np.int32)
    return Path(table, height, width, joined)


def gather(x, path):
    """The pixels of maps in the order of each route, equation (16).

    Parameters
    ----------
    x : array, (b, d, h, w), or (b, k, d, h, w) with a map for each route
        Of a path with a depth, here and below, (t, h, w) in the place of (h, w).
    path : Path

    Returns
    -------
    array, (b, k, d, l), of x's dtype

    Examples
    --------
    >>> gather(np.array([[[[10, 11], [12, 13]]]]), window(2, 2, 3))[0, 1, 0]
    array([ 0,  0,  0,  0, 13, 12,  0, 11, 10])
    """
    x = np.asarray(x)
    k, l = path.table.shape
    sides = len(path.size)
    shared = x.ndim == 2 + sides
    gathered = np.zeros((x.shape[0], k, x.shape[-1 - sides], l), x.dtype)
    for r, t in np.ndindex(k, l):
        if path.table[r, t] >= 0:
            place = place_of(int(path.table[r, t]), path)
            gathered[:, r, :, t] = x[:, :, *place] if shared else x[:, r, :, *place]
    return gathered


def place_of(pixel, path):
    """Row and column of a pixel, or frame, row and column."""
    row, column = divmod(pixel, path.width)
    return (row, column) if path.depth is None else (*divmod(row, path.height), column)


# Infinities that cancel are NaN, without a warning.
@np.errstate(invalid="ignore")
def scatter(y, path, merge=True):
    """Each route put back in place, equation (17).

    Parameters
    ----------
    y : array, (b, k, d, l)
    path : Path
    merge : bool
        Whether the routes are added up.

    Returns
    -------
    array, (b, d, h, w), or (b, k, d, h, w) for merge=False, of y's dtype

    Examples
    --------
    >>> scatter(np.array([[[[1, 2, 3, 4]], [[10, 20, 30, 40]]]]), bidirectional(2, 2))
    array([[[[41, 32],
             [23, 14]]]])
    """
    y = np.asarray(y)
    b, k, d, l = y.shape
    placed = np.zeros((b, k, d, *path.size), y.dtype)
    for r, t in np.ndindex(k, l):
        if path.table[r, t] >= 0:
            placed[:, r, :, *place_of(int(path.table[r, t]), path)] = y[:, r, :, t]
    return placed.sum(axis=1, dtype=y.dtype) if merge else placed
