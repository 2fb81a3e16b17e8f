"""Numbers in memory and in registers, and the functions that differ between real and complex ones.

bfloat16 passes through kernels as uint16, its bits; integers that are moved along a path pass as
signed ones, so that uint16 means nothing else.

Each function here has two bodies: the plain one runs in Numba's simulator, the other is compiled.
"""

import math

import numpy as np
from numba.cuda import types
from numba.cuda.extending import overload

# Numbers of a kernel, and their real parts, by the dtype of the states.
NUMBERS = {
    "float32": np.float32,
    "float64": np.float64,
    "complex64": np.complex64,
    "complex128": np.complex128,
}
REALS = {
    "float32": np.float32,
    "float64": np.float64,
    "complex64": np.float32,
    "complex128": np.float64,
}
ONE = np.float32(1)  # the narrowest: a sum with it has the dtype of the other number


def widen(x):
    """A number from memory: float32 for 16 bits, others as they are."""
    if isinstance(x, np.uint16):
        return np.uint32(np.uint32(x) << 16).view(np.float32)
    return np.float32(x) if isinstance(x, np.float16) else x


@overload(widen)
def _widen(x):
    if x == types.uint16:
        return lambda x: np.uint32(np.uint32(x) << 16).view(np.float32)
    if x == types.float16:
        return lambda x: np.float32(x)
    return lambda x: x


def narrow(x, array):
    """A number as an array stores it: its real part, or rounded to bfloat16, where that is so."""
    if array.dtype == np.uint16:
        return bfloat16_bits(x.real)
    return x if array.dtype.kind == "c" else x.real


@overload(narrow)
def _narrow(x, array):
    if array.dtype == types.uint16:
        return lambda x, array: bfloat16_bits(x.real)
    if isinstance(array.dtype, types.Complex):
        return lambda x, array: x
    return lambda x, array: x.real


def bfloat16_bits(x):
    """float32 or float64 rounded to bfloat16, ties to even."""
    if x != x:
        return np.uint16(0x7FC0)
    near = np.float32(x)
    bits = np.int64(near.view(np.uint32))
    if bits & 0xFFFF == 0x8000:  # a tie, unless float64 has more
        bits += int(abs(x) > abs(near)) - int(abs(x) < abs(near))
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@overload(bfloat16_bits)
def _bfloat16_bits(x):
    return bfloat16_bits


def exp(x):
    """Of a real or a complex number; 0 where its modulus is, whatever the angle."""
    if not isinstance(x, np.complexfloating):
        return np.exp(x)
    return type(x)(0) if np.exp(x.real) == 0 else np.exp(x)


@overload(exp)
def _exp(x):
    if not isinstance(x, types.Complex):
        return lambda x: math.exp(x)

    def of_complex(x):
        size = math.exp(x.real)
        if size == 0:
            return complex(size, size)
        return complex(size * math.cos(x.imag), size * math.sin(x.imag))

    return of_complex


def log1p(x):
    """log(1 + x) of a real number."""
    return np.log1p(x)


@overload(log1p)
def _log1p(x):
    return lambda x: math.log1p(x)


def times(x, z):
    """x z for a real x: a complex z without products by an imaginary part that x does not have."""
    if not isinstance(z, np.complexfloating):
        return x * z
    return type(z)(complex(x * z.real, x * z.imag))


@overload(times)
def _times(x, z):
    if isinstance(z, types.Complex):
        return lambda x, z: complex(x * z.real, x * z.imag)
    return lambda x, z: x * z


def conj(x):
    """The complex conjugate; of a real number itself."""
    return np.conj(x)


@overload(conj)
def _conj(x):
    if isinstance(x, types.Complex):
        return lambda x: complex(x.real, -x.imag)
    return lambda x: x
