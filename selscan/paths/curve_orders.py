"""Curves through all pixels of a map: arrays of pixel numbers (l,), or several of them (r, l).

A curve through a square whose side is a power of two is cut where the map ends: pixels are sorted
by their place on it, and those outside are not among them.
"""

import numpy as np

_LOW = 20  # bits of each coordinate in the lower key: three coordinates fit into 64 bits


def numbers_of(*size):
    """Pixel numbers in the shape of the map."""
    return np.arange(np.prod(size, dtype=np.int64), dtype=np.int32).reshape(size)


def sorted_by(*keys):
    """Pixel numbers (l,) by keys in the shape of the map, the first one first."""
    return np.lexsort([key.ravel() for key in reversed(keys)]).astype(np.int32)


def snake_order(*size):
    """Along rows, along columns, and along the depth, one line to and the next one fro."""
    numbers = numbers_of(*size)
    along = [numbers.swapaxes(axis, -1) for axis in range(-1, -1 - len(size), -1)]
    if len(size) == 3:  # by pixels in the order of rows
        along[2] = numbers.transpose(1, 2, 0)
    return np.stack([to_and_fro(lines) for lines in along])


def to_and_fro(numbers):
    """Line by line along the last axis; every other line is backward, and every other frame."""
    shape = numbers.shape
    for axis in range(1, len(shape)):
        numbers = numbers.reshape(-1, *shape[axis:]).copy()
        numbers[1::2] = numbers[1::2, ::-1]
    return numbers.ravel()


def zigzag_order(height, width):
    """Diagonals from the top left corner on, up and down in turns."""
    i, j = np.indices((height, width))
    return sorted_by(i + j, np.where((i + j) % 2, i, j))


def diagonal_order(height, width):
    """Diagonals from the top down: those to the left, and those to the right."""
    i, j = np.indices((height, width))
    return np.stack([sorted_by(i + j, i), sorted_by(i - j, i)])


def spiral_order(height, width):
    """Along the edge, clockwise, then along the edge of what is left."""
    i, j = np.indices((height, width))
    ring = np.minimum(np.minimum(i, j), np.minimum(height - 1 - i, width - 1 - j))
    down, right = height - 1 - 2 * ring, width - 1 - 2 * ring  # steps along the sides of a ring
    i, j = i - ring, j - ring
    back = np.where(i == down, right + down + right - j, 2 * (right + down) - i)
    return sorted_by(ring, np.where(i == 0, j, np.where(j == right, right + i, back)))


def z_order_order(*size):
    """By the bits of the coordinates, in turns, the highest first (Morton 1966)."""
    coordinates = np.indices(size)
    return sorted_by(*interleaved(coordinates, bits_of(size)))


def hilbert_order(*size):
    """Along the curve of Hilbert (1891), by the algorithm of Skilling (2004).

    Bit by bit from the highest, coordinates are brought into the frame of the part of the curve
    that they are in; those of the result, in turns, are the place on the curve as a Gray code.
    """
    bits, x = bits_of(size), np.indices(size)
    for bit in range(bits - 1, 0, -1):
        low = (1 << bit) - 1
        for axis in x:
            is_high = (axis >> bit & 1).astype(bool)
            exchanged = np.where(is_high, 0, (x[0] ^ axis) & low)
            x[0] ^= np.where(is_high, low, exchanged)
            axis ^= exchanged
    for i in range(1, len(x)):
        x[i] ^= x[i - 1]
    flips = np.zeros_like(x[0])
    for bit in range(bits - 1, 0, -1):
        flips ^= np.where(x[-1] >> bit & 1, (1 << bit) - 1, 0)
    return sorted_by(*interleaved(x ^ flips, bits))


def bits_of(size):
    """Bits of the largest coordinate."""
    return (max(size) - 1).bit_length()


def interleaved(x, bits):
    """Two keys of the coordinates' bits in turns, those of the first axis before the others."""
    keys = []
    for first, last in ((bits, _LOW), (min(bits, _LOW), 0)):
        key = np.zeros(x[0].shape, np.int64)
        for bit in range(first - 1, last - 1, -1):
            for axis in x:
                key = key << 1 | (axis >> bit & 1)
        keys.append(key)
    return keys
