"""Cosine and sine on vectors: accuracy at any size of the angle, symmetry, special values."""

import numpy as np
import pytest
from vectors import REALS, cos, sample, sin, wide

from selscan.backends.cpu import simd

FUNCTIONS = {"cos": (cos, np.cos), "sin": (sin, np.sin)}

real = pytest.mark.parametrize("real", REALS)
name = pytest.mark.parametrize("name", FUNCTIONS)


def assert_right(name, x, roundings):
    """Errors of at most so many half epsilons."""
    ours, exact = FUNCTIONS[name]
    error = np.abs(ours(x) - exact(wide(x)))
    limit = np.broadcast_to(np.finfo(x.dtype).eps / 2 * roundings, x.shape)
    worst = np.argmax(error / limit)
    assert error[worst] <= limit[worst], (x[worst], error[worst])


def allowed(x):
    """Roundings: 2.1 where this was written; without fma 2.7 and what an angle comes with, |x|."""
    return 3 + (0 if simd.HAS_FMA else np.abs(wide(x)))


@real
@name
@pytest.mark.parametrize("size", [np.pi, 100, 1e4, 2.0**20])
def test_errors_do_not_grow_with_the_angle_up_to(real, name, size):
    x = sample(real, -size, size)

    assert_right(name, x, allowed(x))


@name
@pytest.mark.parametrize("size", [1e8, 2.0**40, 2.0**49])
def test_errors_in_float64_do_not_grow_with_the_angle_up_to(name, size):
    x = sample(np.float64, -size, size)

    assert_right(name, x, allowed(x))


@real
@name
def test_errors_are_below_the_rounding_of_the_angle_up_to_2_to_the_22_quarter_turns(real, name):
    size = 2.0 ** (22 if real == np.float32 else 51) * np.pi / 2 * 0.999
    x = sample(real, -size, size)

    assert_right(name, x, 3 + np.abs(wide(x)))


@real
@name
@pytest.mark.parametrize("power", [*range(20, 127, 4), 127])
def test_results_stay_within_one_however_large_the_angle(real, name, power):
    ours, _ = FUNCTIONS[name]

    y = ours(sample(real, -(2.0**power), 2.0**power))

    assert np.all(np.abs(y) <= 1)


@real
@name
@pytest.mark.parametrize("below", [100, 600_000])
def test_multiples_of_a_quarter_turn_and_their_neighbours_are_right(real, name, below):
    k = np.unique(np.linspace(-below, below, 20_001).astype(int))
    near = (k * np.longdouble(np.pi) / 2).astype(real)
    steps = np.arange(-3, 4)[:, None]
    x = (near + steps * np.spacing(near)).ravel()

    assert_right(name, x, allowed(x))


@real
@name
def test_eighths_of_a_turn_where_the_polynomials_meet_are_right(real, name):
    near = (np.arange(-100, 101) * np.longdouble(np.pi) / 4).astype(real)
    steps = np.arange(-20, 21)[:, None]
    x = (near + steps * np.spacing(near)).ravel()

    assert_right(name, x, allowed(x))


@real
@name
def test_a_small_angle_is_right_to_some_ulp(real, name):
    tiny = np.geomspace(1e-30, np.pi / 4, 100_001).astype(real)
    x = np.concatenate([-tiny, tiny])
    ours, exact = FUNCTIONS[name]

    y = exact(wide(x))

    ulp = np.spacing(np.abs(y).astype(real)).astype(y.dtype)
    assert np.all(np.abs(ours(x) - y) <= 2.5 * ulp)  # 2.1 where this was written


@real
@pytest.mark.parametrize("size", [1e-3, np.pi, 1e4, 1e6])
def test_cosine_is_even_and_sine_is_odd(real, size):
    x = sample(real, size / 1000, size)

    assert np.array_equal(cos(-x), cos(x))
    assert np.array_equal(sin(-x), -sin(x))


@real
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_what_is_no_angle_gives_nan(real, value):
    x = np.array([value], real)

    assert np.isnan([cos(x), sin(x)]).all()


@real
@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zero_is_exact(real, value):
    x = np.array([value], real)

    assert (cos(x), sin(x)) == (1, 0)
