"""What is not given has no part in the arithmetic; infinities go where the formulas take them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from infinities import VALUES, assert_like, spoiled
from map_strategies import PATHS, map_problems, with_dy
from strategies import make_problem, problems, with_gradients
from test_states_at import draw_steps
from tolerances import expected, expected_gradients, state_dtype, unrounded

import reference
import selscan

pytestmark = pytest.mark.usefixtures("small_pieces")
INPUTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "dy", "dlast_state")
# Moderate decays: what underflows in float32 and not in float64 is no infinity times zero.
moderate = {
    "l": st.sampled_from([1, 2, 3, 8, 9, 17]),
    "decay": 1,
    "step": st.sampled_from([1, 0.1]),
    "out_dtype": None,
}
numbers = st.sampled_from(["float32", "float64", "complex64"])


@given(problem=problems(**moderate, dtype=numbers), data=st.data())
def test_infinities_are_where_the_reference_has_them(backend, problem, data):
    problem = data.draw(spoiled(unrounded(problem), INPUTS))
    assert_like(backend.scan(**problem), *expected(problem), problem)


@given(problem=problems(**moderate, dtype=numbers), last=st.booleans(), data=st.data())
def test_gradients_are_infinite_where_the_reference_has_them(backend, problem, last, data):
    problem = data.draw(spoiled(with_gradients(problem, last=last), INPUTS))
    assert_like(backend.scan_backward(**problem), *expected_gradients(problem), problem)


@given(problem=problems(**moderate, layout="bdl", dtype=numbers), last=..., data=st.data())
def test_a_scan_that_is_cut_for_states_has_the_same_infinities(backend, problem, last: bool, data):
    """A state that seq_idx leaves out at the cut is no zero that is multiplied."""
    problem = data.draw(spoiled(with_gradients(unrounded(problem), last=last), INPUTS))
    steps = draw_steps(data, problem["u"].shape[-1])
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    found = backend.scan(**forward, return_states_at=steps)
    assert_like(found[:2], *expected(forward), problem)
    found = backend.scan_backward(**problem, return_states_at=steps)
    assert_like(found, *expected_gradients(problem), problem)


alone = {"b": 2, "l": 1, "reverse": False, "seq_idx": None, "layout": "bdl"}


@given(
    problem=problems(**moderate | alone, dtype=numbers, needed={"initial_state"}), data=st.data()
)
def test_a_step_has_infinities_where_the_reference_has_them(backend, problem, data):
    problem = data.draw(spoiled(problem, INPUTS))
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    names = [x for x in ("u", "delta", "z", "B", "C") if x in step and step[x].ndim > 2]
    step |= {x: step[x][..., 0] for x in names}
    y, state = backend.scan_step(problem["initial_state"].astype(state_dtype(problem)), **step)
    assert_like((y[..., None], state), *expected(problem), problem)


MAP_INPUTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "dy")
maps = {"dtype": numbers, "step": st.sampled_from([1, 0.1]), "out_dtype": None}


@given(problem=map_problems(**maps), data=st.data())
def test_maps_have_infinities_where_the_reference_has_them(backend, problem, data):
    problem = data.draw(spoiled(problem, MAP_INPUTS))
    bounds = reference.scan2d_error_bound(**problem)
    assert_like(backend.scan2d(**problem), reference.scan2d(**problem), bounds, problem)


@given(problem=map_problems(**maps), data=st.data())
def test_gradients_of_maps_are_infinite_where_the_reference_has_them(backend, problem, data):
    problem = data.draw(spoiled(with_dy(problem), MAP_INPUTS))
    got = reference.Scan2dGrads(*backend.scan2d_backward(**problem))
    bounds = reference.scan2d_backward_error_bound(**problem)
    assert_like(got, reference.scan2d_backward(**problem), bounds, problem)


def test_a_skip_that_is_not_given_is_not_multiplied(backend):
    u = np.float32([[[1, np.inf, 1]]])
    one = np.ones_like(u)
    y, _ = backend.scan(u=u, delta=one, A=-one[0, :, :1], B=one, C=one)
    assert y[0, 0].tolist() == [1, np.inf, np.inf]


@pytest.mark.parametrize("rate", VALUES)
@pytest.mark.parametrize("seq_idx", [None, "every"])
def test_without_a_state_before_it_the_first_step_has_no_decay(backend, seq_idx, rate):
    problem = make_problem(l=1 if seq_idx is None else 9, given=("D", "z"), seq_idx=seq_idx)
    y, last = backend.scan(**problem)
    problem["A"][:] = rate
    y_here, last_here = backend.scan(**problem)
    np.testing.assert_array_equal(y_here, y)
    np.testing.assert_array_equal(last_here, last)
    grads = backend.scan_backward(**with_gradients(problem))
    assert not grads.A.any()
    assert np.isfinite(grads.delta).all()


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["B", "C", "u", "dy"])
def test_lanes_without_a_channel_add_nothing_to_a_sum(backend, name, value):
    problem = with_gradients(make_problem(d=5, n=5, l=9, given=()))
    problem[name][..., 4] = value
    grads = backend.scan_backward(**problem)
    assert_like(grads, *expected_gradients(problem), problem)


@given(path=st.sampled_from(list(PATHS.values())), data=st.data())
def test_maps_are_moved_with_their_infinities(path, data):
    x = np.random.default_rng(0).normal(size=(2, 3, *path.size))
    x = data.draw(spoiled({"x": x}, ["x"]))["x"]
    y = selscan.gather(x, path)
    np.testing.assert_array_equal(y, reference.gather(x, path))
    for merge in (True, False):
        want = reference.scatter(y, path, merge)
        np.testing.assert_array_equal(selscan.scatter(y, path, merge=merge), want)
