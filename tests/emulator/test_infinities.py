"""Infinities and NaN in CUDA kernels: where the reference has them, whatever stands for nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from infinities import VALUES, assert_like, spoiled
from map_strategies import PATHS, make_map_problem, with_dy
from strategies import SEGMENTS, make_problem, with_gradients
from tolerances import expected, expected_gradients

import reference
from selscan.backends.cupy.instances import GENERAL_LANES, LANES, LANES_2D
from selscan.paths import cross

from . import crosses, maps, scans, test_backward, test_maps
from .scan_cases import with_complex
from .test_scans import mappings

INPUTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "dy", "dlast_state")


@st.composite
def problems(draw, *dtypes):
    """Moderate decays: what underflows in float32 and not in float64 is no infinity times zero."""
    d, g = draw(st.sampled_from([(1, 1), (3, 1), (6, 2), (33, 1)]))
    forms = st.sampled_from(("shared", "grouped", "constant"))
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
        seq_idx=draw(st.sampled_from(SEGMENTS)),
        layout=draw(st.sampled_from(("bdl", "bld"))),
        decay=0.3,
        step=draw(st.sampled_from((1, 0.1))),
        seed=draw(st.integers(0, 99)),
    )


@settings(max_examples=40)
@given(problem=problems("float32", "bfloat16"), data=st.data())
def test_infinities_are_where_the_reference_has_them(problem, data):
    problem = data.draw(spoiled(problem, INPUTS))
    mapping = data.draw(mappings(LANES, problem["A"].shape[1]))
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)


@settings(max_examples=10)
@given(problem=problems("float32", "float64"), data=st.data())
def test_infinities_of_complex_numbers_are_where_the_reference_has_them(problem, data):
    problem = with_complex(problem, ("B", "C", "initial_state"))
    problem = data.draw(spoiled(problem, INPUTS))
    mapping = data.draw(mappings(GENERAL_LANES, problem["A"].shape[1]))
    assert_like(scans.forward(**problem, mapping=mapping), *expected(problem), problem)


@settings(max_examples=40)
@given(problem=problems("float32", "bfloat16"), last=st.booleans(), data=st.data())
def test_gradients_are_infinite_where_the_reference_has_them(problem, last, data):
    problem = data.draw(spoiled(with_gradients(problem, last=last), INPUTS))
    d_state = problem["A"].shape[1]
    options = {
        "mapping": data.draw(test_backward.mappings(d_state)),
        "forward": data.draw(mappings(LANES, d_state)),
    }
    want, bounds = expected_gradients(problem)
    found = type(want)(*scans.backward(**problem, **options))
    assert_like(found, want, bounds, problem)


@settings(max_examples=10)
@given(problem=problems("float64", "complex64"), data=st.data())
def test_gradients_of_other_numbers_are_infinite_where_the_reference_has_them(problem, data):
    problem = data.draw(spoiled(with_gradients(problem), INPUTS))
    want, bounds = expected_gradients(problem)
    assert_like(type(want)(*scans.backward(**problem)), want, bounds, problem)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["u", "B", "C", "A", "delta", "initial_state"])
def test_a_step_has_infinities_where_the_reference_has_them(name, value):
    problem = make_problem(b=2, d=3, n=5, l=1, given=("initial_state",), layout="bdl")
    problem[name].reshape(-1)[1] = value
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: step[x][..., 0] for x in ("u", "delta", "B", "C")}
    y, state = scans.step(state=problem["initial_state"].copy(), **step)
    assert_like((y[..., None], state), *expected(problem), problem)


MAP_INPUTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "dy")
OPTIONS = st.fixed_dictionaries(
    {
        "b": st.integers(1, 2),
        "d": st.sampled_from((1, 3, 9)),
        "dtype": st.sampled_from(("float32", "complex64")),
        "given": st.sets(st.sampled_from(("D", "delta_bias"))),
        "delta_softplus": st.booleans(),
        "step": st.sampled_from((1, 0.1)),
        "seed": st.integers(0, 99),
    }
)


def check_maps(problem, **mapping):
    bounds = reference.scan2d_error_bound(**problem)
    y = maps.forward(**problem, **mapping)
    assert_like(y, reference.scan2d(**problem), bounds, problem)


def check_gradients_of_maps(problem, **mappings):
    got = reference.Scan2dGrads(*maps.backward(**problem, **mappings))
    bounds = reference.scan2d_backward_error_bound(**problem)
    assert_like(got, reference.scan2d_backward(**problem), bounds, problem)


paths = st.sampled_from(list(PATHS.values()))


@settings(max_examples=30)
@given(path=paths, n=st.sampled_from((1, 3)), options=OPTIONS, merge=st.booleans(), data=st.data())
def test_maps_have_infinities_where_the_reference_has_them(path, n, options, merge, data):
    problem = data.draw(spoiled(make_map_problem(path, n=n, merge=merge, **options), MAP_INPUTS))
    forward, _ = data.draw(test_maps.mappings())
    lanes = (8,) if options["dtype"] == "complex64" else LANES_2D
    check_maps(problem, mapping=forward._replace(lanes=data.draw(st.sampled_from(lanes))))


@settings(max_examples=30)
@given(path=paths, n=st.sampled_from((1, 3)), options=OPTIONS, merge=st.booleans(), data=st.data())
def test_gradients_of_maps_are_infinite_where_the_reference_has_them(path, n, options, merge, data):
    problem = with_dy(make_map_problem(path, n=n, merge=merge, **options))
    problem = data.draw(spoiled(problem, MAP_INPUTS))
    forward, backward = data.draw(test_maps.mappings())
    check_gradients_of_maps(problem, mapping=backward, forward=forward)


@pytest.mark.parametrize("size", [(7, 7), (5, 6), (9, 13), (9, 20), (9, 30)], ids=str)
@settings(max_examples=6)
@given(options=OPTIONS, data=st.data())
def test_small_maps_have_infinities_where_the_reference_has_them(size, options, data):
    problem = make_map_problem(cross(*size), n=1, **options | {"dtype": "float32"})
    turns = data.draw(st.integers(1, 3))
    spoiled_maps = data.draw(spoiled(problem, MAP_INPUTS))
    check_maps(spoiled_maps, mapping=crosses.mapping_of(problem, False, turns=turns))
    gradients = data.draw(spoiled(with_dy(problem), MAP_INPUTS))
    check_gradients_of_maps(gradients, mapping=crosses.mapping_of(problem, True, turns=turns))
