"""The backward scan of the CUDA backend, in the emulator, against the reference."""

import numpy as np
import pytest
from forms import behind_one, channels_last, every_other, sliced, transposed
from hypothesis import given, settings
from hypothesis import strategies as st
from infinities import assert_like
from strategies import make_problem, with_gradients
from tolerances import expected_gradients

from selscan.backends.cupy import plan
from selscan.backends.cupy.instances import GENERAL_LANES, LANES
from selscan.backends.cupy.plan_backward import Mapping

from . import scans
from .scan_cases import SEQUENCES, with_complex, with_dtypes
from .test_scans import ELEMENTS, drawn

UPSTREAM = (*SEQUENCES, "dy")


def check(problem, **options):
    """One backward, in the order of threads that is in force."""
    scans.assert_gradients_right(problem, scans.backward(**problem, **options))


@st.composite
def mappings(draw, n):
    """Any mapping, whether planning would pick it or not."""
    staged = min(n, draw(st.sampled_from((3, 8, 16))))
    return Mapping(
        draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 5))), staged
    )


@st.composite
def drawn_gradients(draw, *arguments, **options):
    """A problem of a backward, and mappings for it and for the forward that saves states."""
    problem, forward = draw(drawn(*arguments, **options))
    problem = with_gradients(problem, last=draw(st.booleans()))
    return problem, {"mapping": draw(mappings(problem["A"].shape[1])), "forward": forward}


@settings(max_examples=25)
@given(case=drawn_gradients())
def test_the_gradient_of_any_problem_matches_the_reference(case):
    problem, both = case
    check(problem, **both)


@settings(max_examples=15)
@given(case=drawn_gradients((*ELEMENTS, "float64"), GENERAL_LANES, mixed=True))
def test_the_gradient_of_mixed_dtypes_matches_the_reference(case):
    problem, both = case
    check(problem, **both)


@settings(max_examples=15)
@given(
    case=drawn_gradients(("float32", "float64"), GENERAL_LANES),
    names=st.sets(st.sampled_from(("B", "C", "initial_state"))),
)
def test_the_gradient_with_complex_numbers_matches_the_reference(case, names):
    problem, both = case
    problem = with_complex(problem, names)
    last = problem.get("dlast_state")
    if last is not None:
        problem["dlast_state"] = (last + 1j * last[::-1]).astype(problem["A"].dtype)
    check(problem, **both)


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("element", ELEMENTS)
def test_every_mapping_matches_the_reference(element, reverse, layout):
    for n, l, mapping in (
        (1, 197, Mapping(2, 1, 1, 1)),
        (16, 132, Mapping(4, 1, 2, 16)),
        (5, 64, Mapping(1, 2, 1, 2)),
        (3, 161, Mapping(1, 1, 6, 3)),
    ):
        problem = make_problem(b=1, d=34, g=1, n=n, l=l, layout=layout, reverse=reverse)
        problem = with_dtypes(with_gradients(problem), dict.fromkeys(UPSTREAM, element))
        check(problem, mapping=mapping)


@pytest.mark.parametrize("number", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_general_mapping_matches_the_reference(reverse, number):
    dtype = "float64" if number in ("float64", "complex128") else "float32"
    problem = make_problem(b=2, d=20, g=2, n=5, l=70, dtype=dtype, reverse=reverse)
    if number.startswith("complex"):
        problem = with_complex(problem, ("B", "C", "initial_state"))
    problem = with_gradients(with_dtypes(problem, {"u": "bfloat16", "z": "float16"}))
    for segments, staged in ((1, 5), (2, 2)):
        check(problem, mapping=Mapping(1, 1, segments, staged))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("l", [33, 600])
def test_every_forward_saves_the_states_that_the_backward_begins_from(l, lanes):
    problem = with_gradients(make_problem(b=2, d=10, g=2, n=5, l=l))
    want = scans.backward(**problem, forward=plan.Mapping(8, 1, 1, 5))
    scans.assert_gradients_right(problem, want)

    for warps, parts in ((1, 1), (3, 3)):
        found = scans.backward(**problem, forward=plan.Mapping(lanes, warps, parts, 4))
        scans.assert_gradients_right(problem, found)


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_dy_may_be_wider_than_the_inputs(layout, element):
    problem = make_problem(b=2, d=6, n=4, l=52, layout=layout)
    problem = with_dtypes(with_gradients(problem), dict.fromkeys(SEQUENCES, element))

    assert problem["dy"].dtype == np.float32
    check(problem)


@pytest.mark.parametrize("form", [behind_one, channels_last, every_other, sliced, transposed])
@pytest.mark.parametrize("element", ["float32", "bfloat16"])
@pytest.mark.parametrize("l", [49, 64])
def test_arrays_are_read_in_any_form(form, element, l):
    problem = with_gradients(make_problem(b=2, d=6, g=2, n=4, l=l))
    problem = with_dtypes(problem, dict.fromkeys(UPSTREAM, element))
    arrays = {x: form(v) for x, v in problem.items() if isinstance(v, np.ndarray)}
    check(problem | arrays)


def test_the_slope_of_softplus_keeps_the_digits_of_small_steps():
    delta = np.float32(np.concatenate([np.linspace(-80, 40, 400), np.linspace(-4, 4, 400)]))
    one = np.ones((1, delta.size, 1), np.float32)
    A, B = np.zeros_like(one[0]), one[:, :1]

    gradients = scans.backward(
        one, u=one, delta=delta.reshape(one.shape), A=A, B=B, C=B, delta_softplus=True
    )

    want = 1 / (1 + np.exp(-delta.astype(np.float64)))
    errors = abs(gradients[1].ravel() / want - 1)
    assert np.all(errors < 5e-6)  # the argument of the exponential is rounded
    assert np.all(errors[abs(delta) < 4] < 1e-6)


def check_infinities(problem, gradients):
    want, bounds = expected_gradients(problem)
    assert_like(type(want)(*gradients), want, bounds, problem)


@pytest.mark.parametrize("segments", [1, 3])
def test_a_nan_stays_in_its_channel_and_its_past(segments):
    problem = with_gradients(make_problem(b=1, d=6, n=4, l=70, given=()), last=False)
    mapping = Mapping(1, 1, segments, 4)
    problem["dy"][0, 3, 40] = np.nan
    got = scans.backward(**problem, mapping=mapping)

    touched = np.zeros((1, 6, 70), bool)
    touched[0, 3, :41] = True
    for found in got[:2]:  # du and ddelta
        assert np.array_equal(np.isnan(found), touched)
    check_infinities(problem, got)


def test_an_infinite_rate_forgets_and_a_step_past_the_end_does_not():
    problem = make_problem(b=1, d=4, n=2, l=37, given=("initial_state",))
    problem["A"][1] = -np.inf
    problem["delta"] = abs(problem["delta"]) + 0.1
    problem = with_gradients(problem)

    gradients = scans.backward(**problem)

    assert np.isfinite(gradients[0]).all()
    assert not gradients[8][0, 1].any()
    check_infinities(problem, gradients)


def test_segments_may_be_more_than_there_are_chunks():
    check(with_gradients(make_problem(b=1, d=4, n=3, l=40)), mapping=Mapping(1, 1, 5, 3))
