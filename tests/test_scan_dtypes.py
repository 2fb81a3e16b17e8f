"""Narrow arrays are widened exactly, and results rounded once: the bits of a wide scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import HALF, REAL, make_problem, problems, with_gradients
from tolerances import arithmetic, assert_same, nearest, parts, unrounded

pytestmark = pytest.mark.usefixtures("small_pieces")
narrow = st.sampled_from([*HALF, "mixed", "complex mixed"])


def widened(problem):
    """The problem with all arrays in the dtype of its arithmetic."""
    real = arithmetic(problem)

    def widen(x):
        if not isinstance(x, np.ndarray) or x.dtype.kind == "i":
            return x
        return x.astype(np.result_type(real, np.complex64) if np.iscomplexobj(x) else real)

    return {name: widen(x) for name, x in problem.items()}


def assert_rounded_once(got, want):
    """The bits of `want`, rounded to the dtype of `got`."""
    assert_array_equal(parts(got), nearest(parts(want), got.real.dtype))


@given(problems(dtype=narrow))
def test_scan_of_narrow_arrays_is_the_wide_scan_rounded_once(backend, problem):
    y, last = backend.scan(**problem)
    y_wide, last_wide = backend.scan(**unrounded(widened(problem)))
    assert_rounded_once(y, y_wide)
    assert_same(last, last_wide)


@given(problems(dtype=narrow))
def test_gradients_of_narrow_arrays_are_those_of_wide_ones_rounded_once(backend, problem):
    problem = with_gradients(problem)
    wide = backend.scan_backward(**widened(problem))._asdict()
    for name, grad in backend.scan_backward(**problem)._asdict().items():
        if grad is not None:
            assert grad.dtype == problem[name].dtype
            assert_rounded_once(grad, wide[name])


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("out_dtype", REAL)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_out_dtype_is_that_of_y_alone(backend, dtype, out_dtype, layout):
    problem = make_problem(d=18, l=40, dtype=dtype, layout=layout)
    y, last = backend.scan(**problem, out_dtype=out_dtype)
    y_wide, last_wide = backend.scan(**unrounded(widened(problem)))
    assert y.dtype == out_dtype
    assert_rounded_once(y, y_wide)
    assert_same(last, last_wide)


def skipped(backend, u, out_dtype):
    """y = D u of a scan whose state is zero, D = 1."""
    one, zero = np.ones((1, 1, len(u)), u.dtype), np.zeros((1, 1), u.dtype)
    problem = {"u": u[None, None], "delta": one, "A": zero, "B": 0 * one, "C": one}
    y, _ = backend.scan(**problem, D=one[0, :, 0], out_dtype=out_dtype)
    return np.float64(y[0, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("out_dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_ties_go_to_the_even_number(backend, out_dtype, digits, dtype):
    u = 2.0**digits + np.array([1, 3, 1.5, -1])  # from 2**digits on, numbers are 2 apart
    y = skipped(backend, u.astype(dtype), out_dtype)
    assert_array_equal(y - 2.0**digits, [0, 4, 2, -1])


@pytest.mark.parametrize(("out_dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_what_float32_has_for_a_tie_is_none_in_float64(backend, out_dtype, digits):
    u = 2.0**digits + 1 + np.array([2.0**-40, -(2.0**-40)])
    y = skipped(backend, u, out_dtype)
    assert_array_equal(y - 2.0**digits, [2, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_beyond_the_range_of_float16_are_infinite(backend, dtype):
    u = np.array([65504, 65519.99, 65520, -65520, 1e30, np.nan], dtype)
    y = skipped(backend, u, "float16")
    assert_array_equal(y, [65504, 65504, np.inf, -np.inf, np.inf, np.nan])
