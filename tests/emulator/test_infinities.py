"""Infinities and NaN in CUDA kernels: where the reference has them, whatever stands for nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from infinities import VALUES, assert_like, spoiled
from map_strategies import make_map_problem, map_problems, with_dy
from strategies import make_problem, with_gradients
from tolerances import expected, expected_gradients

import reference
from selscan.backends.cupy.instances import GENERAL_LANES, LANES
from selscan.backends.cupy.plan_backward import Mapping
from selscan.paths import Path, cross

from . import crosses, maps, scans
from .scan_cases import with_complex, with_sequences
from .test_backward import mappings as backward_mappings
from .test_maps import mappings as map_mappings
from .test_scans import mappings

INPUTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "dy", "dlast_state")


@st.composite
def problems(draw, dtypes):
    """Moderate decays: what underflows over a tile of steps is no infinity times zero."""
    d, g = draw(st.sampled_from([(1, 1), (3, 1), (6, 2), (33, 1)]))
    forms = st.sampled_from(("shared", "grouped", "constant"))
    problem = make_problem(
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
    if draw(st.booleans()):
        problem = with_sequences(problem, draw(st.integers(1, 5)))
    return problem


@settings(max_examples=15)
@given(problem=problems(("float32",)), data=st.data())
def test_infinities_are_where_the_reference_has_them(problem, data):
    problem = data.draw(spoiled(problem, INPUTS))
    mapping = data.draw(mappings(LANES, problem["A"].shape[1]))
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)


@settings(max_examples=15)
@given(problem=problems(("float32",)), last=st.booleans(), data=st.data())
def test_gradients_are_infinite_where_the_reference_has_them(problem, last, data):
    mapping = data.draw(backward_mappings(problem["A"].shape[1]))
    # Segments are joined by a factor: one that is infinite makes NaN of an infinity beside it.
    names = INPUTS if mapping.segments == 1 else {*INPUTS} - {"A", "delta", "delta_bias"}
    problem = data.draw(spoiled(with_gradients(problem, last=last), names))
    grads = scans.backward(**problem, mapping=mapping)
    want, bounds = expected_gradients(problem)
    assert_like(type(want)(*grads), want, bounds, problem)


@settings(max_examples=4)
@given(problem=problems(("float32", "float64")), data=st.data())
def test_infinities_of_complex_numbers_are_where_the_reference_has_them(problem, data):
    problem = with_complex(problem, ("B", "C", "initial_state"))
    problem = data.draw(spoiled(problem, INPUTS))
    mapping = data.draw(mappings(GENERAL_LANES, problem["A"].shape[1]))
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)
    problem = with_gradients(problem, last=False)
    mapping = data.draw(backward_mappings(problem["A"].shape[1]))
    want, bounds = expected_gradients(problem)
    assert_like(type(want)(*scans.backward(**problem, mapping=mapping)), want, bounds, problem)


@pytest.mark.parametrize("value", VALUES[1:])
@pytest.mark.parametrize("name", ["u", "C", "A", "delta", "dy"])
@pytest.mark.parametrize("segments", [1, 3])
def test_steps_and_channels_that_are_missing_have_no_part(segments, name, value):
    problem = with_gradients(make_problem(b=1, d=3, n=2, l=70, given=(), decay=0.3))
    problem[name].reshape(-1)[-2] = value
    grads = scans.backward(**problem, mapping=Mapping(1, 1, segments, 2))
    want, bounds = expected_gradients(problem)
    assert_like(type(want)(*grads), want, bounds, problem)


@pytest.mark.parametrize("value", VALUES[:1])
@pytest.mark.parametrize("name", ["u", "B", "C", "A", "delta", "initial_state"])
def test_a_step_has_infinities_where_the_reference_has_them(name, value):
    problem = make_problem(b=2, d=3, n=5, l=1, given=("initial_state",), layout="bdl")
    problem[name].reshape(-1)[1] = value
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: step[x][..., 0] for x in ("u", "delta", "B", "C")}
    y, state = scans.step(state=problem["initial_state"].copy(), **step)
    assert_like((y[..., None], state), *expected(problem), problem)


MAP_INPUTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "dy")
moderate = {"n": st.sampled_from((1, 3)), "step": st.sampled_from((1, 0.1)), "out_dtype": None}


def map_problems_of(*dtypes):
    return map_problems(**moderate, dtype=st.sampled_from(dtypes))


@settings(max_examples=15)
@given(problem=map_problems_of("float32"), data=st.data())
def test_maps_have_infinities_where_the_reference_has_them(problem, data):
    problem = data.draw(spoiled(with_dy(problem), MAP_INPUTS))
    forward, backward = data.draw(map_mappings())
    check_maps(problem, forward, backward)


@settings(max_examples=4)
@given(problem=map_problems_of("complex64", "float64"), data=st.data())
def test_maps_of_other_numbers_have_infinities_where_the_reference_has_them(problem, data):
    problem = data.draw(spoiled(with_dy(problem), MAP_INPUTS))
    check_maps(problem, *data.draw(map_mappings()))


def check_maps(problem, forward, backward):
    """y and all gradients have them."""
    got = reference.Scan2dGrads(*maps.backward(**problem, forward=forward, mapping=backward))
    bounds = reference.scan2d_backward_error_bound(**problem)
    assert_like(got, reference.scan2d_backward(**problem), bounds, problem)
    problem = {x: v for x, v in problem.items() if x != "dy"}
    y, bound = maps.forward(**problem, mapping=forward), reference.scan2d_error_bound(**problem)
    assert_like(y, reference.scan2d(**problem), bound, problem)


@pytest.mark.parametrize("value", VALUES[1:])
@pytest.mark.parametrize("name", ["delta_bias", "A", "dy"])
@pytest.mark.parametrize("joined", [False, True])
def test_padding_has_no_part(joined, name, value):
    """Of windows that begin with padding, over more than a chunk; without D."""
    table = np.full((2, 70), -1)
    table[0, 41:50], table[1, 3:69:8] = range(9), range(9)
    path = Path(table, 3, 3, joined=joined)
    problem = with_dy(make_map_problem(path, given=("delta_bias",), delta_softplus=False))
    problem[name].reshape(-1)[1] = value
    check_maps(problem, None, None)


@settings(max_examples=4)
@given(
    case=st.sampled_from(("7, whole", "56, whole")),
    options=st.fixed_dictionaries(
        {
            "given": st.sets(st.sampled_from(("D", "delta_bias"))),
            "delta_softplus": st.booleans(),
            "step": st.sampled_from((1, 0.1)),
        }
    ),
    data=st.data(),
)
def test_small_maps_have_infinities_where_the_reference_has_them(case, options, data):
    size, fixed, teams, turns = crosses.SAMPLE[case]
    problem = with_dy(make_map_problem(cross(*size), n=1, **{**fixed, **options}))
    problem = data.draw(spoiled(problem, MAP_INPUTS))
    check_maps(problem, *(crosses.mapping_of(problem, x, teams, turns) for x in (False, True)))
