"""Infinities and NaN in CUDA kernels: where the reference has them, whatever stands for nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from infinities import VALUES, assert_like, spoiled
from map_strategies import make_map_problem
from strategies import make_problem, with_gradients
from tolerances import expected, expected_gradients

import reference
from selscan.backends.cupy.instances import GENERAL_LANES, LANES
from selscan.backends.cupy.plan import Mapping
from selscan.paths import cross

from . import maps, scans
from .scan_cases import with_complex
from .test_scans import mappings

# Not A: steps past the end have a decay of one unless it is NaN.
INPUTS = ("u", "delta", "B", "C", "D", "z", "delta_bias", "initial_state")


@st.composite
def problems(draw, *dtypes):
    """Moderate decays: what underflows over a tile of steps is no infinity times zero."""
    d, g = draw(st.sampled_from([(1, 1), (3, 1), (6, 2), (33, 1)]))
    forms = st.sampled_from(("shared", "grouped"))
    return make_problem(
        b=draw(st.integers(1, 2)),
        d=d,
        g=g,
        n=draw(st.sampled_from((1, 3, 4))),
        l=draw(st.sampled_from((1, 2, 8, 17, 33, 70))),
        dtype=draw(st.sampled_from(dtypes)),
        form_b=draw(forms),
        form_c=draw(forms),
        given=draw(st.sets(st.sampled_from(("D", "z", "delta_bias", "initial_state")))),
        delta_softplus=draw(st.booleans()),
        reverse=draw(st.booleans()),
        decay=0.3,
        step=draw(st.sampled_from((1, 0.1))),
        seed=draw(st.integers(0, 99)),
    )


@settings(max_examples=40)
@given(problem=problems("float32"), data=st.data())
def test_infinities_are_where_the_reference_has_them(problem, data):
    problem = data.draw(spoiled(problem, INPUTS))
    mapping = data.draw(mappings(LANES, problem["A"].shape[1]))
    if has_infinite_decays(problem):
        mapping = mapping._replace(lanes=1, segments=1)
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)


def has_infinite_decays(problem):
    """These do not pass from stretch to stretch of time: an infinity may be NaN there."""
    return np.isneginf(problem["delta"]).any() or np.isneginf(problem.get("delta_bias", 0)).any()


@settings(max_examples=10)
@given(problem=problems("float32", "float64"), data=st.data())
def test_infinities_of_complex_numbers_are_where_the_reference_has_them(problem, data):
    problem = with_complex(problem, ("B", "C", "initial_state"))
    problem = data.draw(spoiled(problem, INPUTS))
    mapping = data.draw(mappings(GENERAL_LANES, problem["A"].shape[1]))
    if has_infinite_decays(problem):
        mapping = mapping._replace(lanes=min(GENERAL_LANES), segments=1)
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("l", [1, 2, 40])
def test_the_first_step_has_no_decay_without_a_state_before_it(lanes, l, value):
    problem = make_problem(b=1, d=3, n=2, l=l, given=(), dtype="float32")
    problem["A"][1, 0] = value
    mapping = Mapping(1 if value > 0 and l > 16 else lanes, 1, 1, 2)
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["u", "B", "C", "A", "delta", "initial_state"])
def test_a_step_has_infinities_where_the_reference_has_them(name, value):
    problem = make_problem(b=2, d=3, n=5, l=1, given=("initial_state",), layout="bdl")
    problem[name].reshape(-1)[1] = value
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: step[x][..., 0] for x in ("u", "delta", "B", "C")}
    y, state = scans.step(state=problem["initial_state"].copy(), **step)
    assert_like((y[..., None], state), *expected(problem), problem)


@pytest.mark.parametrize(("name", "value"), [("dy", np.inf), ("u", -np.inf)])
def test_gradients_have_no_part_of_a_skip_that_is_not_given(name, value):
    problem = with_gradients(make_problem(b=1, d=3, n=1, l=9, given=("z",), dtype="float32"))
    problem[name][0, 1, 4] = value
    want, bounds = expected_gradients(problem)
    found = type(want)(*scans.backward(**problem))
    for x in ("u", "z"):
        assert_like(*(getattr(each, x) for each in (found, want, bounds)), problem)


@pytest.mark.parametrize("value", VALUES)
def test_maps_have_no_part_of_a_skip_that_is_not_given(value):
    problem = make_map_problem(cross(5, 7), d=3, n=1, dtype="float32", given=())
    problem["u"][0, 1, 2, 3] = value
    y, bound = maps.forward(**problem), reference.scan2d_error_bound(**problem)
    assert_like(y, reference.scan2d(**problem), bound, problem)
