"""Maps and sequences for gather and scatter, and the two as the tests call them."""

import numpy as np
from harness import BFLOAT16, to_numpy

import selscan

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DTYPES = (*FLOATS, "complex64", "complex128", *INTEGERS)


def numbers(shape, dtype="float32", seed=0):
    """Random numbers: small integers, so that sums of them are exact in every dtype, and no zeros.

    A float is a multiple of 1/4, a complex number has an imaginary part.
    """
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 8, shape)
    kind = BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)
    if kind.kind == "c":
        return (x / 4 + 1j * rng.integers(1, 8, shape)).astype(kind)
    return x.astype(kind) if dtype in INTEGERS else (x / 4).astype(kind)


def maps(path, dtype="float32", b=2, d=3, per_route=False):
    """x for a path."""
    routes = (path.routes,) if per_route else ()
    return numbers((b, *routes, d, *path.size), dtype)


def sequences(path, dtype="float32", b=2, d=3):
    """y for a path."""
    return numbers((b, path.routes, d, path.length), dtype, seed=1)


def moved(backend, name, array, *options):
    """The result of gather or scatter on arrays of a framework; the input must not have changed."""
    before = array.tobytes()
    with backend.precision(), selscan.use(backend.name):
        result = getattr(selscan, name)(backend.array(array), *options)
        assert isinstance(result, type(backend.array(array)))
    assert array.tobytes() == before, "the input was written"
    return to_numpy(result)


def assert_same(got, want):
    """The same shape, dtype and numbers."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_array_equal(got, want)
