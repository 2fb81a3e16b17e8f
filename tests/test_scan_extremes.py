"""NaN, infinities, underflow, denormal numbers, and sums that cancel or swamp their terms."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import REAL, make_problem, problems, with_gradients
from tolerances import (
    arithmetic,
    assert_same,
    assert_within,
    expected,
    expected_gradients,
    unrounded,
)

import reference
from selscan import ScanGrads

pytestmark = pytest.mark.usefixtures("small_pieces")
all_dtypes = pytest.mark.parametrize("dtype", [*REAL, "complex64", "complex128"])
bdl = {"layout": "bdl"}
nonempty = {"l": st.sampled_from([1, 2, 3, 8, 9, 17]), "channels": (21, 3), "b": 2}


def future_of(problem, b, t):
    """The steps that see step t, and whether the last state does."""
    seq_idx, reverse = problem.get("seq_idx"), problem["reverse"]
    l = problem["u"].shape[-1]
    row = np.zeros(l) if seq_idx is None else seq_idx[b]
    later = np.arange(l)[t::-1] if reverse else np.arange(l)[t:]
    ends = np.flatnonzero(row[later[1:]] != row[later[:-1]]) + 1
    return (later[: ends[0]], False) if len(ends) else (later, True)


def spoiled(problem, name, data):
    """The problem with one NaN in the array `name`, and where it is."""
    i = tuple(data.draw(st.integers(0, size - 1)) for size in problem[name].shape)
    array = problem[name].copy()
    array[i] = np.nan
    return problem | {name: array}, i


@pytest.mark.parametrize("name", ["u", "delta"])
@given(problem=problems(**nonempty, **bdl), data=st.data())
def test_nan_stays_in_its_channel_and_its_future(backend, name, problem, data):
    (y, last), (bad, (b, d, t)) = backend.scan(**problem), spoiled(problem, name, data)
    y_bad, last_bad = backend.scan(**bad)
    future, reaches_the_end = future_of(problem, b, t)
    y[b, d, future] = np.nan
    if reaches_the_end:
        last[b, d] *= np.nan  # both parts
    assert_same(y_bad, y)
    assert_same(last_bad, last)


@pytest.mark.parametrize("name", ["A", "D", "delta_bias"])
@given(problem=problems(needed={"D", "delta_bias"}, **nonempty, **bdl), data=st.data())
def test_nan_in_a_parameter_stays_in_its_channel(backend, name, problem, data):
    (y, _), (bad, (d, *_)) = backend.scan(**problem), spoiled(problem, name, data)
    # Of A all that comes behind a first step, which has no state to decay.
    where = np.isnan(expected(bad)[0][0][:, d])
    assert where.all() or name == "A"
    y[:, d] = np.where(where, np.nan, y[:, d])
    assert_same(backend.scan(**bad)[0], y)


@pytest.mark.parametrize("name", ["B", "C"])
@given(problem=problems(form_b="grouped", form_c="grouped", **nonempty, **bdl), data=st.data())
def test_nan_in_a_coefficient_stays_in_its_group(backend, name, problem, data):
    (y, _), (bad, (b, g, _, t)) = backend.scan(**problem), spoiled(problem, name, data)
    future, _ = future_of(problem, b, t)
    y[b, 7 * g : 7 * (g + 1), future if name == "B" else t] = np.nan
    assert_same(backend.scan(**bad)[0], y)


@pytest.mark.parametrize("name", ["u", "delta", "z", "dy"])
@given(problem=problems(needed={"z"}, **nonempty), data=st.data())
def test_nan_reaches_only_the_gradients_that_depend_on_it(backend, name, problem, data):
    problem, _ = spoiled(with_gradients(problem), name, data)
    grads = backend.scan_backward(**problem)
    want = reference.scan_backward(**problem)
    for field in ScanGrads._fields:
        got, here = getattr(grads, field), getattr(want, field)
        assert_array_equal(got is None or np.isnan(got), here is None or np.isnan(here), field)


@given(problem=problems(delta_softplus=False, without={"delta_bias"}, **bdl))
def test_a_huge_step_forgets_the_past(backend, problem):
    size = 6e4 if problem["delta"].dtype == np.float16 else 1e30
    problem = unrounded(problem)
    huge = problem | {"delta": np.full_like(problem["delta"], size), "A": problem["A"] - 1}
    alone = huge | {"A": np.full_like(problem["A"], -1e30)}
    y, last = backend.scan(**huge)
    y_alone, last_alone = backend.scan(**alone)
    assert np.isfinite(y).all()
    assert_same(y, y_alone)
    assert_same(last, last_alone)


@all_dtypes
def test_gradients_of_a_huge_step_are_finite_and_right(backend, dtype):
    problem = make_problem(delta_softplus=False, given=("D",), l=70, dtype=dtype)
    problem = with_gradients(problem | {"A": problem["A"] - 1})
    problem["delta"][..., ::3] = 6e4
    grads = backend.scan_backward(**problem)
    assert_within(grads, *expected_gradients(problem), arithmetic(problem))


@all_dtypes
def test_a_state_that_decays_at_once_holds_the_last_step_only(backend, dtype):
    problem = make_problem(delta_softplus=False, given=("initial_state",), d=18, dtype=dtype)
    problem["A"][:] = -np.inf
    problem["delta"] += 0.1
    want, bounds = expected(problem | {"A": np.full_like(problem["A"], -1e9)})
    assert_within(backend.scan(**problem), want, bounds, arithmetic(problem))


@all_dtypes
@pytest.mark.parametrize("name", ["u", "delta", "B", "C", "initial_state"])
def test_denormal_numbers_come_out_as_denormal_numbers_or_zero(backend, name, dtype):
    problem = make_problem(d=18, delta_softplus=False, given=("initial_state",), dtype=dtype)
    tiny = problem[name].dtype.type(ml_dtypes.finfo(problem[name].real.dtype).tiny)
    problem[name] *= tiny / 8
    problem |= {} if name == "initial_state" else {"initial_state": 0 * problem["initial_state"]}
    problem = with_gradients(problem)
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    assert_within(backend.scan(**forward), *expected(forward), arithmetic(problem))
    grads = backend.scan_backward(**problem)
    assert_within(grads, *expected_gradients(problem), arithmetic(problem))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("last", [-700.0, -87.5, -30.0, 30.0, 87.5, 700.0])
def test_softplus_and_silu_are_right_far_from_zero(backend, last, dtype):
    l = 33
    line = np.linspace(last / 2, last, l).astype(dtype)
    problem = make_problem(d=17, l=l, dtype=dtype, decay=1e-3, given=("z", "D"))
    problem |= {"delta": line + 0 * problem["delta"], "z": line + 0 * problem["z"]}
    problem["u"] /= l * abs(last)
    assert_within(backend.scan(**problem), *expected(problem), arithmetic(problem))
    problem = with_gradients(problem)
    grads = backend.scan_backward(**problem)
    assert_within(grads, *expected_gradients(problem), arithmetic(problem))


@all_dtypes
def test_the_sum_over_states_may_begin_with_a_large_skip(backend, dtype):
    problem = make_problem(d=45, n=64, l=15, step=1e-3, delta_softplus=False, dtype=dtype)
    assert_within(backend.scan(**problem), *expected(problem), arithmetic(problem))


@pytest.mark.parametrize("dtype", REAL)
def test_softplus_is_the_identity_above_20(backend, dtype):
    delta = np.array([[[19.9, 20.0, 20.25, 21.0, 100.0]]], dtype)
    one, A = np.ones_like(delta), np.full((1, 1), -1e9, np.float32)  # no memory: y is delta'
    problem = {"u": one, "delta": delta, "A": A, "B": one, "C": one, "delta_softplus": True}
    results = backend.scan(**problem)
    slope = backend.scan_backward(**problem | {"dy": one}).delta
    assert_array_equal(results[0][delta > 20], delta[delta > 20])
    assert_array_equal(slope[delta > 20], 1)
    assert_within(results, *expected(problem), arithmetic(problem))


def overflowing(sign):
    """A problem with D whose gradient is a sum of two infinities, the second of a sign."""
    u, B = np.full((2, 1, 300), 100, np.float32), np.ones((2, 1, 300), np.float32)
    dy = np.full_like(u, 3e38) * np.float32([1, sign])[:, None, None]
    A, D = np.zeros((1, 1), np.float32), np.ones(1, np.float32)
    return {"dy": dy, "u": u, "delta": u * 0, "A": A, "B": B, "C": B, "D": D}


def test_sums_of_parts_of_gradients_overflow_without_a_warning(backend):
    assert np.isposinf(backend.scan_backward(**overflowing(1)).D).all()
    assert np.isnan(backend.scan_backward(**overflowing(-1)).D).all()


def test_sums_of_parts_are_rounded_to_infinity_without_a_warning(backend):
    problem = overflowing(1)
    problem["dy"], problem["D"] = problem["dy"] * 0 + 600, problem["D"].astype(np.float16)

    assert np.isposinf(backend.scan_backward(**problem).D).all()
