"""Paths over maps with a depth, as loops; pixel (p, i, j) has the number (p h + i) w + j."""

from .paths import Path, path, power_of_two


def cross3d(depth, height, width):
    """Along rows, along columns, along the depth, and the three backward."""
    routes = [orders(depth, height, width)[name] for name in ("thw", "twh", "hwt")]
    return over(routes + [route[::-1] for route in routes], depth, height, width)


def spatial_first(depth, height, width):
    """Frame by frame, and back (Li et al. 2024)."""
    route = orders(depth, height, width)["thw"]
    return over([route, route[::-1]], depth, height, width)


def temporal_first(depth, height, width):
    """Pixel by pixel through all frames, and back (Li et al. 2024)."""
    route = orders(depth, height, width)["hwt"]
    return over([route, route[::-1]], depth, height, width)


def spatiotemporal(depth, height, width):
    """Both, and both back (Li et al. 2024)."""
    frames, pixels = (orders(depth, height, width)[name] for name in ("thw", "hwt"))
    return over([frames, pixels, frames[::-1], pixels[::-1]], depth, height, width)


def tri_orientated(depth, height, width):
    """Forward, backward, from slice to slice (Xing et al. 2024).

    The official code cuts the sequence into its slices and takes the first step of each, then the
    second of each, and so on.
    """
    forward, area = list(range(depth * height * width)), height * width
    slices = [forward[p * area : (p + 1) * area] for p in range(depth)]
    between = [one[step] for step in range(area) for one in slices]
    return over([forward, forward[::-1], between], depth, height, width)


def window3d(depth, height, width, size):
    """Windows of size x size x size frame by frame, row by row, and so in each; and back."""
    route = []
    for front in range(0, depth, size):
        for top in range(0, height, size):
            for left in range(0, width, size):
                for p in range(front, front + size):
                    for i in range(top, top + size):
                        for j in range(left, left + size):
                            inside = p < depth and i < height and j < width
                            route.append((p * height + i) * width + j if inside else -1)
    return over([route, route[::-1]], depth, height, width)


def snake3d(depth, height, width):
    """Steps to a neighbour, always: to and fro along rows, columns and the depth; and backward."""
    size, routes = {"t": depth, "h": height, "w": width}, []
    for outer, middle, inner in ("thw", "twh", "hwt"):
        route, lines = [], 0
        for x in range(size[outer]):
            there = range(size[middle])
            for y in there if x % 2 == 0 else reversed(there):
                line = range(size[inner])
                for z in line if lines % 2 == 0 else reversed(line):
                    at = {outer: x, middle: y, inner: z}
                    route.append((at["t"] * height + at["h"]) * width + at["w"])
                lines += 1
        routes.append(route)
    return over(routes + [route[::-1] for route in routes], depth, height, width)


def z_order3d(depth, height, width):
    """Eighths of a cube of a power of two, and so in each eighth; and back (Morton 1966)."""
    route = []

    def visit(front, top, left, side):
        if side == 1:
            if front < depth and top < height and left < width:
                route.append((front * height + top) * width + left)
            return
        half = side // 2
        for p in (0, half):
            for i in (0, half):
                for j in (0, half):
                    visit(front + p, top + i, left + j, half)

    visit(0, 0, 0, power_of_two(max(depth, height, width)))
    return over([route, route[::-1]], depth, height, width)


def hilbert3d(depth, height, width):
    """The curve of Hilbert from place to place, without what is outside; and back.

    The coordinates of a place by the algorithm of Skilling (2004), from the lowest bit up.
    """
    side = power_of_two(max(depth, height, width))
    bits = side.bit_length() - 1
    route = []
    for place in range(side**3):
        p, i, j = coordinates(place, bits)
        if p < depth and i < height and j < width:
            route.append((p * height + i) * width + j)
    return over([route, route[::-1]], depth, height, width)


def coordinates(place, bits):
    """The coordinates of a place on the curve through a cube with sides of 2**bits."""
    x = [0, 0, 0]
    for bit in range(3 * bits):  # the highest bit belongs to the first coordinate
        x[bit % 3] = 2 * x[bit % 3] + (place >> (3 * bits - 1 - bit)) % 2
    last = x[2] >> 1
    x[2] ^= x[1]
    x[1] ^= x[0]
    x[0] ^= last
    for bit in range(1, bits):
        low = 2**bit - 1
        for axis in (2, 1, 0):
            if x[axis] >> bit & 1:
                x[0] ^= low
            else:
                exchanged = (x[0] ^ x[axis]) & low
                x[0] ^= exchanged
                x[axis] ^= exchanged
    return x


def orders(depth, height, width):
    """Pixel by pixel, by the order of the axes from the slowest to the fastest."""
    frames, rows, columns = range(depth), range(height), range(width)
    return {
        "thw": [(p * height + i) * width + j for p in frames for i in rows for j in columns],
        "twh": [(p * height + i) * width + j for p in frames for j in columns for i in rows],
        "hwt": [(p * height + i) * width + j for i in rows for j in columns for p in frames],
    }


def over(routes, depth, height, width):
    """The Path of routes."""
    return Path(path(routes, height, width).table, height, width, depth=depth)
