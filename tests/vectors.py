"""The vector operations of the CPU backend as functions of NumPy arrays."""

import numba
import numpy as np
from numba import njit

from selscan.backends.cpu import exponential, simd, trigonometry, vector_math
from selscan.backends.cpu.simd import itemsize, load, store, width

REALS = (np.float32, np.float64)


def lanes(real):
    """Lanes of a vector of NumPy type `real`."""
    return simd.lanes_of(numba.from_dtype(np.dtype(real)))


def address(array):
    """Where the data of an array begin."""
    return array.__array_interface__["data"][0]


def elementwise(function):
    """function(real, vector) as a function of an array."""

    @njit
    def run(real, source, target, size):
        for o in range(0, size, width(real) * itemsize(real)):
            store(target + o, function(real, load(real, source + o)))

    def evaluate(x):
        padded = np.pad(x, (0, -x.size % lanes(x.dtype)))
        y = np.full_like(padded, np.nan)
        run(x.dtype.type(0), address(padded), address(y), y.nbytes)
        return y[: x.size]

    return evaluate


def together(function):
    """function(real, x, y, z) of vectors as a function of three arrays, one vector each."""

    @njit
    def run(real, x, y, z, target):
        store(target, function(real, load(real, x), load(real, y), load(real, z)))

    def evaluate(x, y, z):
        result = np.full_like(x, np.nan)
        run(x.dtype.type(0), address(x), address(y), address(z), address(result))
        return result

    return evaluate


@njit
def _exp2(real, x):
    return exponential.exp2(x)


@njit
def _exp2_inside(real, x):
    return exponential.exp2_inside(x)


@njit
def _exp2_of_negative(real, x):
    return exponential.exp2_of_negative(x)


@njit
def _cos(real, x):
    return trigonometry.cos_sin(x)[0]


@njit
def _sin(real, x):
    return trigonometry.cos_sin(x)[1]


exp2 = elementwise(_exp2)
exp2_inside = elementwise(_exp2_inside)
exp2_of_negative = elementwise(_exp2_of_negative)
cos = elementwise(_cos)
sin = elementwise(_sin)
softplus = elementwise(vector_math.softplus)
softplus_slope = elementwise(vector_math.softplus_slope)
sigmoid = elementwise(vector_math.sigmoid)


def wide(x):
    """x in a type that has digits enough to judge it."""
    return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


def sample(real, low, high):
    """Even and random points, ends included."""
    even = np.linspace(low, high, 100_003)
    return np.concatenate([even, np.random.default_rng(0).uniform(low, high, 100_000)]).astype(real)
