"""The one table of tolerances, by the dtype of the arithmetic, and the comparisons that use it.

    |computed - want| <= bounds * eps * E + underflow          element by element

E is the reference's bound on the rounding of each element (reference/scan_error.py). It counts half
epsilons, so 1 leaves a factor of 2: for the reference's own rounding, and for terms that are not
of first order. Both parts of a complex number are held to it.

A result in a narrower dtype than the arithmetic is `computed` rounded once, to nearest: it lies
between what the two ends of the tolerance round to. That adds half a unit in the last place, also
to subnormal numbers; and infinity is right where an end is beyond the largest number.
"""

from typing import NamedTuple

import ml_dtypes
import numpy as np

from reference import scan, scan_backward, scan_backward_error_bound, scan_error_bound


class Tolerance(NamedTuple):
    """Of one dtype."""

    bounds: float  # how many times the bound E
    underflow: float  # what products of numbers near 1 may lose below the normal range


TOLERANCES = {
    np.dtype(np.float32): Tolerance(bounds=1.0, underflow=1e-30),
    np.dtype(np.float64): Tolerance(bounds=1.0, underflow=1e-290),
}


def arithmetic(problem):
    """The dtype that a backend computes a problem in, real also where A is complex."""
    dtypes = {x.dtype.name for x in problem.values() if isinstance(x, np.ndarray)}
    return np.dtype(np.float64 if dtypes & {"float64", "complex128"} else np.float32)


def state_dtype(problem):
    """The dtype of the last state."""
    dtype = arithmetic(problem)
    return np.result_type(dtype, np.complex64) if np.iscomplexobj(problem["A"]) else dtype


def result_dtype(problem):
    """The dtype of y."""
    return np.dtype(problem.get("out_dtype") or problem["u"].dtype)


def unrounded(problem):
    """The problem with y in the dtype of the arithmetic, whatever u has."""
    return problem | {"out_dtype": arithmetic(problem).name}


def wide(x):
    """An array in float64 or complex128, None as it is."""
    return x if x is None else x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def nearest(x, dtype):
    """float64 numbers rounded once to a narrower dtype, ties to even, as float64.

    `astype` goes through float32 on its way to bfloat16, and so rounds twice.
    """
    info = ml_dtypes.finfo(dtype)
    exponent = np.maximum(np.frexp(x)[1] - 1, info.minexp)
    unit = np.ldexp(1.0, exponent - info.nmant)
    with np.errstate(invalid="ignore"):  # infinity
        rounded = np.rint(x / unit) * unit
    return np.where(abs(rounded) > float(info.max), np.copysign(np.inf, x), rounded)


def expected(problem):
    """y, the last state, and the bounds of both."""
    problem = {x: v for x, v in problem.items() if x != "out_dtype"}
    want = scan(**problem, return_last_state=True)
    return want, scan_error_bound(**problem, return_last_state=True)


def expected_gradients(problem):
    """The gradients and their bounds; dy and dlast_state are part of the problem."""
    return scan_backward(**problem), scan_backward_error_bound(**problem)


def assert_within(got, want, bounds, dtype):
    """Arrays, or tuples of arrays and None, agree to the table's accuracy for `dtype`."""
    if not isinstance(want, tuple):
        got, want, bounds = (got,), (want,), (bounds,)
    names = getattr(want, "_fields", range(len(want)))
    assert [x is None for x in got] == [x is None for x in want]
    for name, x, y, bound in zip(names, got, want, bounds, strict=True):
        if y is not None:
            _assert_close(name, x, y, bound, dtype)


def assert_same(got, want, name=""):
    """The same dtype and the same numbers; NaN is NaN, also in bfloat16."""
    assert (got is None) == (want is None), name
    if want is not None:
        assert got.dtype == want.dtype, name
        np.testing.assert_array_equal(parts(got), parts(want), err_msg=name)


def _assert_close(name, got, want, bound, dtype):
    assert got.shape == want.shape == bound.shape, (name, got.shape, want.shape, bound.shape)
    assert np.iscomplexobj(got) == np.iscomplexobj(want), name
    tolerance, stored = TOLERANCES[dtype], got.real.dtype
    limit = tolerance.bounds * np.finfo(dtype).eps * bound[..., None] + tolerance.underflow
    got, want = parts(got), parts(want)
    with np.errstate(invalid="ignore"):
        fits = (abs(got - want) <= limit) | (got == want) | (np.isnan(got) & np.isnan(want))
        if stored != dtype and stored.kind not in "iu":
            fits |= (nearest(want - limit, stored) <= got) & (got <= nearest(want + limit, stored))
    wrong = np.argwhere(~fits)
    if len(wrong):
        i = tuple(wrong[0].tolist())
        raise AssertionError(
            f"{name}: {len(wrong)} of {want.size} numbers are wrong; the first, at {i[:-1]}, is "
            f"{got[i]!r} instead of {want[i]!r} within {limit[i[:-1]][0]:.2g}"
            + (f" and its rounding to {stored}" if stored != dtype else "")
        )


def parts(x):
    """The numbers in float64, with an axis for the real and the imaginary part."""
    both = (x.real, x.imag) if np.iscomplexobj(x) else (x,)
    return np.stack([np.asarray(part, np.float64) for part in both], axis=-1)
