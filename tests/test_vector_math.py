"""Arithmetic and elementary functions on vectors: accuracy, and what IEEE says of special cases."""

import operator
import re

import numpy as np
import pytest
from numba import njit
from vectors import (
    REALS,
    address,
    exp2,
    exp2_inside,
    exp2_of_negative,
    lanes,
    sample,
    sigmoid,
    softplus,
    softplus_slope,
    together,
    wide,
)

from selscan.backends.cpu import exponential, simd, vector_math
from selscan.backends.cpu.trigonometry import cos_sin

# Errors of exp2 in units in the last place: 0.93 and 1.14 where this was written.
EXP2_ULP = 1.0 if simd.HAS_FMA else 1.25
# AVX-512 scales by powers of two as IEEE has it; elsewhere what is below the normal range is 0.
DENORMALS = simd.HAS_SCALEF and simd.BITS == 512

OPERATIONS = {
    "+": (together(njit(lambda real, x, y, z: x + y)), operator.add),
    "-": (together(njit(lambda real, x, y, z: x - y)), operator.sub),
    "*": (together(njit(lambda real, x, y, z: x * y)), operator.mul),
    "/": (together(njit(lambda real, x, y, z: x / y)), operator.truediv),
}
multiply_add = together(njit(lambda real, x, y, z: simd.fma(x, y, z)))
select = together(njit(lambda real, x, y, z: vector_math.where_less(x, y, z, y)))
absolute = together(njit(lambda real, x, y, z: vector_math.absolute(x)))

real = pytest.mark.parametrize("real", REALS)


@njit
def inside(real, rows, count):
    """Whether exp2_inside is right for all numbers of some vectors."""
    return exponential.all_inside(exponential.largest(real, rows, count))


def relative(found, exact):
    """Relative errors in units of the machine epsilon."""
    return np.abs(found.astype(exact.dtype) - exact) / (np.abs(exact) * np.finfo(found.dtype).eps)


def exact_softplus(x):
    with np.errstate(over="ignore"):
        return np.where(x > 20, x, np.log1p(np.exp(x)))


def exact_sigmoid(x):
    return 1 / (1 + np.exp(-x))


@real
@pytest.mark.parametrize("name", OPERATIONS)
def test_arithmetic_is_that_of_ieee(real, name):
    ours, theirs = OPERATIONS[name]
    special = [0, -0.0, 1, -1.5, 1e30, np.inf, -np.inf, np.nan, 1e-30, 3]
    x = np.resize(np.array(special, real), lanes(real))
    y = np.resize(np.array([3, 0, np.inf, 1e30, 1e-30, np.nan, 7], real), lanes(real))

    with np.errstate(all="ignore"):
        expected = theirs(x, y)

    assert np.array_equal(ours(x, y, y), expected, equal_nan=True)


@real
def test_fma_rounds_once_where_the_cpu_can(real):
    eps = np.finfo(real).eps
    x, y, z = (np.full(lanes(real), v, real) for v in (1 + eps, 1 - eps, -1))

    found = multiply_add(x, y, z)

    assert np.all(found == (-(eps**2) if simd.HAS_FMA else 0))


@real
def test_where_less_takes_the_other_for_nan(real):
    nan = np.nan
    x = np.resize(np.array([1, 2, 3, nan, 1, nan], real), lanes(real))
    y = np.resize(np.array([2, 2, 2, 2, nan, nan], real), lanes(real))
    z = np.full(lanes(real), 9, real)

    assert np.array_equal(select(x, y, z), np.where(x < y, z, y), equal_nan=True)


@real
def test_absolute_clears_the_sign(real):
    x = np.resize(np.array([-1, 1, -0.0, -np.inf, -np.nan], real), lanes(real))

    found = absolute(x, x, x)

    assert np.array_equal(found, np.abs(x), equal_nan=True)
    assert not np.signbit(found).any()


@real
@pytest.mark.parametrize("around", ["zero", "everything"])
def test_exp2_is_right_to_an_ulp(real, around):
    info = np.finfo(real)
    # Below 2**127.5 (float32): from there on the portable form may give infinity.
    below = np.nextafter(real(info.maxexp - 0.5), real(0))
    low, high = (-2, 2) if around == "zero" else (info.minexp, below)
    x = sample(real, low, high)

    y, exact = exp2(x), np.exp2(wide(x))

    ulp = np.spacing(exact.astype(real)).astype(exact.dtype)
    assert np.max(np.abs(y.astype(exact.dtype) - exact) / ulp) <= EXP2_ULP


@real
def test_exp2_of_an_integer_is_exact(real):
    n = np.arange(np.finfo(real).minexp, np.finfo(real).maxexp)

    y = exp2(n.astype(real))

    assert np.array_equal(y, np.ldexp(real(1), n))


@real
def test_exp2_has_the_same_bits_where_it_is_known_not_to_overflow(real):
    info = np.finfo(real)
    x = sample(real, info.minexp, -info.minexp)

    assert np.array_equal(exp2_inside(x), exp2(x))

    special = np.array([0, -0.0, -info.smallest_subnormal, -info.max, -np.inf, np.nan], real)
    x = np.concatenate([sample(real, 4 * info.minexp, 0), special])
    assert np.array_equal(exp2_of_negative(x), exp2(x), equal_nan=True)


@real
@pytest.mark.parametrize("lane", ["first", "last"])
def test_what_is_large_is_noticed_in_any_lane(real, lane):
    limit = real(-np.finfo(real).minexp)
    x = np.zeros((5, lanes(real)), real)
    for row, value, wanted in (
        (0, limit, True), (4, -limit, True), (2, np.nextafter(limit, real(np.inf)), False),
        (1, np.inf, False), (3, -np.inf, False), (0, np.nan, False), (2, -np.nan, False),
    ):  # fmt: skip
        rows = x.copy()
        rows[row, 0 if lane == "first" else -1] = value

        assert inside(real(0), address(rows), len(rows)) == (wanted or DENORMALS)


@real
def test_exp2_near_overflow_is_right_or_infinite(real):
    maxexp = np.finfo(real).maxexp
    x = sample(real, maxexp - 0.5, np.nextafter(real(maxexp), real(0)))

    y = exp2(x)

    finite = np.isfinite(y)
    assert finite.all() or not DENORMALS
    assert np.all(relative(y[finite], np.exp2(wide(x[finite]))) <= 1)


@real
def test_exp2_of_special_values(real):
    tiny, huge = np.finfo(real).smallest_subnormal, np.finfo(real).max
    maxexp = np.finfo(real).maxexp
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, tiny, -tiny, huge, -huge, maxexp], real)

    y = exp2(x)

    expected = [np.nan, np.inf, 0, 1, 1, 1, 1, np.inf, 0, np.inf]
    assert np.array_equal(y, np.array(expected, real), equal_nan=True)


@real
def test_exp2_below_the_normal_range_is_denormal_or_zero(real):
    info = np.finfo(real)
    x = sample(real, info.minexp - 60, np.nextafter(real(info.minexp), real(-np.inf)))

    y = exp2(x)

    error = np.abs(y.astype(np.longdouble) - np.exp2(x.astype(np.longdouble)))
    assert np.all(error <= (info.smallest_subnormal if DENORMALS else info.smallest_normal))
    assert np.all(y >= 0)


# For negative x both are like exp(x), which magnifies two roundings (of log2(e) and of the product
# with it) |x| times.
@real
def test_softplus_is_right(real):
    x = sample(real, -80, 40)

    error = relative(softplus(x), exact_softplus(wide(x)))

    assert np.all(error <= 4 + np.maximum(-x, 0))


@real
def test_softplus_is_right_near_zero(real):
    x = sample(real, -1, 1)

    assert np.all(relative(softplus(x), exact_softplus(wide(x))) <= 3)


@real
def test_softplus_far_below_zero_vanishes(real):
    x = sample(real, -2000, -80)

    y = softplus(x)

    assert np.all(y >= 0)
    assert np.all(y <= 1.01 * np.exp(-80.0))
    assert np.all(y[x < -1100] == 0)


@real
def test_softplus_is_the_identity_above_20(real):
    x = sample(real, np.nextafter(real(20), real(21)), 1e30)

    assert np.array_equal(softplus(x), x)


@real
def test_softplus_at_20_is_not_yet_the_identity(real):
    x = np.array([np.nextafter(real(20), real(0)), 20], real)

    assert np.all(relative(softplus(x), exact_softplus(wide(x))) <= 1)


@real
def test_softplus_of_special_values(real):
    x = np.array([np.nan, np.inf, -np.inf, np.finfo(real).max, np.finfo(real).min], real)

    y = softplus(x)

    expected = np.array([np.nan, np.inf, 0, np.finfo(real).max, 0], real)
    assert np.array_equal(y, expected, equal_nan=True)


@real
def test_sigmoid_is_right(real):
    x = sample(real, -80, 80)

    error = relative(sigmoid(x), exact_sigmoid(wide(x)))

    assert np.all(error <= 3 + np.maximum(-x, 0))


@real
def test_sigmoid_of_special_values(real):
    huge = np.finfo(real).max
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, huge, -huge], real)

    y = sigmoid(x)

    assert np.array_equal(y, np.array([np.nan, 1, 0, 0.5, 0.5, 1, 0], real), equal_nan=True)


@real
def test_softplus_slope_is_the_sigmoid_up_to_20(real):
    x = sample(real, -80, 20)

    assert np.array_equal(softplus_slope(x), sigmoid(x))


@real
def test_softplus_slope_is_1_above_20(real):
    x = np.concatenate([sample(real, np.nextafter(real(20), real(21)), 1e30), [np.inf]])

    assert np.all(softplus_slope(x.astype(real)) == 1)


@real
def test_softplus_slope_of_nan_is_nan(real):
    assert np.isnan(softplus_slope(np.array([np.nan], real))).all()


@njit
def everything(real, address):
    x = simd.load(real, address)
    y = vector_math.softplus(real, x) + vector_math.softplus_slope(real, x)
    cos, sin = cos_sin(x)
    simd.store(address, simd.fma(x, y, exponential.exp2(x)) + simd.fma(x, cos, sin))


@real
def test_no_function_of_libm_is_called(real):
    x = np.ones(lanes(real), real)
    everything(real(0), address(x))

    asm = "".join(everything.inspect_asm().values())

    # Without the instruction, LLVM makes a call for each lane of llvm.fma, and so on.
    symbols = set(re.findall(r"\b[a-z_]\w*", asm))
    assert not symbols & {
        f"{f}{s}" for f in ("fma", "exp", "exp2", "log", "rint", "cos", "sin") for s in ("", "f")
    }
    assert ("vfmadd" in asm) == simd.HAS_FMA or not simd.IS_X86
