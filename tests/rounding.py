"""Numbers of 16 bits, all of them, and what lies between; rounding to nearest, ties to even."""

import ml_dtypes
import numpy as np


def rounded(x, dtype):
    """x to the nearest number of `dtype`, ties to even: every step but rint is exact."""
    info, x = ml_dtypes.finfo(dtype), as_float64(x)
    _, exponent = np.frexp(x)  # |x| < 2**exponent
    last = np.maximum(exponent - 1, info.minexp) - info.nmant  # exponent of the last bit
    y = np.ldexp(np.rint(np.ldexp(x, -last)), last)
    return np.where(np.abs(y) > np.float64(info.max), np.copysign(np.inf, y), y)


def as_float64(x):
    """Exactly; NumPy warns of a signaling NaN."""
    with np.errstate(invalid="ignore"):
        return x.astype(np.float64)


def assert_same_numbers(found, expected):
    """The same bits after an exact conversion; NaN where NaN is expected."""
    found, expected = as_float64(found), as_float64(expected)
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(found), nan)
    wrong = np.flatnonzero(found[~nan].view(np.uint64) != expected[~nan].view(np.uint64))
    assert not wrong.size, (found[~nan][wrong[:3]], expected[~nan][wrong[:3]])


def all_of(dtype):
    """Every bit pattern of 16 bits as a number of the format."""
    return np.arange(2**16).astype(np.uint16).view(dtype)


def sizes_of(dtype):
    """Every finite size of a 16-bit format, and the one that would come after the largest."""
    sizes = as_float64(all_of(dtype)[: 2**15])
    sizes = sizes[np.isfinite(sizes)]
    return np.append(sizes, 2 * sizes[-1] - sizes[-2])


def ties_of(dtype):
    """The middle between every two neighbours."""
    sizes = sizes_of(dtype)
    return (sizes[1:] + sizes[:-1]) / 2


def nearly_ties(dtype):
    """float64 numbers that a float32 rounds to a tie, which then goes the wrong way."""
    ties = ties_of(dtype)
    after_even = np.arange(ties.size) % 2 == 0
    return ties * np.where(after_even, 1 + 2.0**-40, 1 - 2.0**-40)


def problem_of_ties(dtype):
    """dC, in order of time, and a problem: dC is the sum of u, which tasks add up in parts.

    The sums are numbers that are rounded to a tie first where they are rounded twice.
    """
    ties = nearly_ties(dtype)
    near, d = ties.astype(np.float32).astype(np.float64), 64
    u = np.zeros((1, d, ties.size))
    u[0, 0], u[0, -1] = near, ties - near
    ones, times = np.ones_like(u), (1, 1, ties.size)
    return ties, {
        "dy": ones, "u": u, "delta": ones, "A": np.zeros((d, 1)), "B": np.ones(times),
        "C": np.zeros(times, dtype), "D": np.zeros(d, dtype), "seq_idx": np.arange(ties.size)[None],
    }  # fmt: skip
