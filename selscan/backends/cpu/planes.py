"""Complex numbers: two planes of real tiles, real parts first.

Whether A and the states are complex is decided when a kernel is compiled, by the *type* of the
marker `kind_a`, as coefficients.py does for B and C.
"""

import numpy as np
from numba import types
from numba.extending import overload

from . import layout as at
from .blocks import ZERO, load_channels, scale_tile, store_channels
from .formats import COMPLEX
from .jit import INLINE, helper, inline
from .simd import itemsize, width
from .vector_math import LOG2_E

REAL_STATES = np.int8(0)
COMPLEX_STATES = np.uint8(0)
REAL_TYPE = types.int8


def parts(kind_a):
    """Planes of a state tile, known at compile time."""


@overload(parts, jit_options=INLINE)
def _parts(kind_a):
    count = np.int64(1 if kind_a == REAL_TYPE else 2)
    return lambda kind_a: count


@helper
def load_planes(real, kind_a, args, slot, b, r, d, rows, d_state, tile):
    """The (d_state, w) planes of A or of a state, zeros where it is not given."""
    plane = d_state * width(real) * itemsize(real)
    for p in range(parts(kind_a)):
        load_channels(real, args, slot, b, r, d, rows, d_state, np.int64(p), tile + p * plane)


@helper
def store_planes(real, kind_a, args, slot, b, r, d, rows, d_state, tile):
    """Write the planes of a state; only the first where the array is real."""
    plane = d_state * width(real) * itemsize(real)
    for p in range(parts(kind_a)):
        if p == 0 or args[slot + at.DTYPE] & COMPLEX:
            store_channels(real, args, slot, b, r, d, rows, d_state, np.int64(p), tile + p * plane)


@inline
def load_rates(real, kind_a, args, r, d, rows, d_state, tile):
    """A for exp2: the real part times log2(e)."""
    load_planes(real, kind_a, args, at.A, ZERO, r, d, rows, d_state, tile)
    scale_tile(real, tile, d_state, LOG2_E)
