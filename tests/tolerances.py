"""The one table of tolerances, by the dtype of the arithmetic, and the comparisons that use it.

    |got - want| <= bounds * eps * E + underflow          element by element

E is the reference's bound on the rounding of each element (reference/scan_error.py). It counts half
epsilons, so 1 leaves a factor of 2: for the reference's own rounding, and for terms that are not
of first order. A result in a narrower dtype than the arithmetic is rounded once more.
"""

from typing import NamedTuple

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
    """The dtype that a backend computes a problem in."""
    wide = any(np.asarray(x).dtype == np.float64 for x in problem.values() if np.ndim(x))
    return np.dtype(np.float64 if wide else np.float32)


def expected(problem):
    """y, the last state, and the bounds of both."""
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


def _assert_close(name, got, want, bound, dtype):
    assert got.shape == want.shape == bound.shape, (name, got.shape, want.shape, bound.shape)
    tolerance, got_wide = TOLERANCES[dtype], np.asarray(got, np.float64)
    limit = tolerance.bounds * np.finfo(dtype).eps * bound + tolerance.underflow
    if got.dtype != dtype:
        limit = limit + np.finfo(got.dtype).eps / 2 * abs(want) + TOLERANCES[got.dtype].underflow
    with np.errstate(invalid="ignore"):
        fits = (abs(got_wide - want) <= limit) | (got_wide == want)
    wrong = np.argwhere(~(fits | (np.isnan(got_wide) & np.isnan(want))))
    if len(wrong):
        i = tuple(wrong[0].tolist())
        raise AssertionError(
            f"{name}: {len(wrong)} of {want.size} elements are wrong; the first, at {i}, is "
            f"{got_wide[i]!r} instead of {want[i]!r} within {limit[i]:.2g}"
        )
