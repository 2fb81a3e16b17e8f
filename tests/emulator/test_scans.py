"""The forward scan and the step of the CUDA backend, in the emulator, against the reference."""

import numpy as np
import pytest
from forms import (
    backwards,
    behind_one,
    channels_last,
    every_other,
    every_other_row,
    sliced,
    transposed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from infinities import assert_like
from strategies import make_problem
from tolerances import expected

from selscan.backends.cupy.instances import GENERAL_LANES, LANES
from selscan.backends.cupy.plan import MOST_STAGED, Mapping

from . import scan_cases, scans
from .scan_cases import with_dtypes, with_sequences

ELEMENTS = ("float32", "float16", "bfloat16")
# Around the tiles of 16, 32, 128 and 512 steps; rows aligned to 16, 8, 4 and 2 bytes.
LENGTHS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 49, 64, 127, 128, 130, 196, 197, 513)
STATES = (1, 2, 3, 4, 8, 16, 17, 20)
# d and g: pairs of channels, a half, groups of one; one warp's tile and less; several warps.
CHANNELS = ((1, 1), (2, 1), (3, 1), (4, 4), (6, 2), (9, 3), (70, 1), (130, 2))
FORMS = (behind_one, channels_last, every_other, every_other_row, sliced, transposed)
LARGEST = 6000  # b * d * l of what is drawn


def check(problem, **options):
    """One launch, in the order of threads that is in force."""
    scans.assert_right(problem, scans.forward(**problem, **options))


@st.composite
def mappings(draw, lanes, n):
    """Any mapping, whether planning would pick it or not."""
    warps = draw(st.integers(1, 4))
    parts = draw(st.sampled_from([p for p in (1, 2, 3, 4) if warps % p == 0])) if n > 1 else 1
    return Mapping(
        draw(st.sampled_from(lanes)),
        warps,
        parts,
        min(n, draw(st.sampled_from((3, 8, 16)))),
        draw(st.sampled_from((1, 2, 5))),
    )


@st.composite
def drawn(draw, elements=ELEMENTS, lanes=LANES, mixed=False):
    """A problem, and a mapping for it."""
    d, g = draw(st.sampled_from(CHANNELS))
    b = draw(st.integers(1, 2))
    l = draw(st.sampled_from([l for l in LENGTHS if b * d * l <= LARGEST]))
    n = draw(st.sampled_from([n for n in STATES if b * d * l * n <= 8 * LARGEST]))
    problem = make_problem(
        b=b,
        d=d,
        g=g,
        n=n,
        l=l,
        form_b=draw(st.sampled_from(("shared", "grouped", "grouped", "constant"))),
        form_c=draw(st.sampled_from(("shared", "grouped", "grouped", "constant"))),
        given=draw(st.sets(st.sampled_from(("D", "z", "delta_bias", "initial_state")))),
        delta_softplus=draw(st.booleans()),
        reverse=draw(st.booleans()),
        layout=draw(st.sampled_from(("bdl", "bld"))),
        decay=draw(st.sampled_from((1, 1e-3, 16))),
        step=draw(st.sampled_from((1, 0.1, 5))),
        seed=draw(st.integers(0, 99)),
    )
    element = draw(st.sampled_from(elements))
    problem = with_dtypes(problem, dict.fromkeys(scan_cases.SEQUENCES, element))
    if mixed:
        names = sorted(problem.keys() & {*scan_cases.SEQUENCES, "D", "delta_bias", "initial_state"})
        dtypes = st.sampled_from(elements)
        problem = with_dtypes(problem, {name: draw(dtypes) for name in names})
    if draw(st.booleans()):
        problem = with_sequences(problem, draw(st.integers(1, 5)))
    return problem, draw(mappings(lanes, n))


@given(case=drawn())
def test_a_scan_of_any_problem_matches_the_reference(case):
    problem, mapping = case
    check(problem, mapping=mapping)


@settings(max_examples=15)
@given(case=drawn((*ELEMENTS, "float64"), GENERAL_LANES, mixed=True))
def test_a_scan_of_mixed_dtypes_matches_the_reference(case):
    problem, mapping = case
    check(problem, mapping=mapping if mapping.lanes in GENERAL_LANES else None)


@settings(max_examples=15)
@given(
    case=drawn(("float32", "float64"), GENERAL_LANES),
    names=st.sets(st.sampled_from(("B", "C", "initial_state"))),
)
def test_a_scan_with_complex_numbers_matches_the_reference(case, names):
    problem, mapping = case
    check(scan_cases.with_complex(problem, names), mapping=mapping)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("element", ELEMENTS)
def test_every_mapping_matches_the_reference(element, reverse, layout, lanes):
    for n, l, warps, parts in ((1, 197, 2, 1), (16, 196, 4, 1), (19, 49, 4, 4), (5, 600, 3, 3)):
        problem = make_problem(b=1, d=10, g=1, n=n, l=l, layout=layout, reverse=reverse)
        problem = with_dtypes(problem, dict.fromkeys(scan_cases.SEQUENCES, element))
        for segments in (1, 3):
            check(problem, mapping=Mapping(lanes, warps, parts, min(n, MOST_STAGED), segments))


@pytest.mark.parametrize("number", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("lanes", GENERAL_LANES)
@pytest.mark.parametrize("reverse", [False, True])
def test_every_general_mapping_matches_the_reference(reverse, lanes, number):
    dtype = "float64" if number in ("float64", "complex128") else "float32"
    problem = make_problem(b=2, d=6, g=2, n=5, l=70, dtype=dtype, reverse=reverse)
    if number.startswith("complex"):
        problem = scan_cases.with_complex(problem, ("B", "C", "initial_state"))
    problem = with_dtypes(problem, {"u": "bfloat16", "z": "float16"})
    for parts, staged in ((1, 5), (2, 2)):
        check(problem, mapping=Mapping(lanes, 2, parts, staged))


@pytest.mark.parametrize("form", [*FORMS, backwards])
@pytest.mark.parametrize("element", ["float32", "bfloat16"])
@pytest.mark.parametrize("l", [49, 64])
def test_arrays_are_read_in_any_form(form, element, l):
    problem = make_problem(b=2, d=6, g=2, n=4, l=l)
    problem = with_dtypes(problem, dict.fromkeys(scan_cases.SEQUENCES, element))
    arrays = {x: form(v) for x, v in problem.items() if isinstance(v, np.ndarray)}
    check(problem | arrays, mapping=Mapping(8, 2, 1, 4))


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("out_dtype", ["float32", "float16", "bfloat16"])
def test_y_has_the_dtype_that_is_asked_for(out_dtype, layout, element):
    problem = make_problem(b=2, d=6, n=4, l=52, layout=layout)
    problem = with_dtypes(problem, dict.fromkeys(scan_cases.SEQUENCES, element))
    y, last = scans.forward(**problem, out_dtype=out_dtype)

    assert y.dtype.name == out_dtype
    scans.assert_right(problem, (y, last))


@pytest.mark.parametrize("name", scan_cases.ORDERED)
def test_the_order_of_threads_changes_no_bit(name):
    scan_cases.ORDERED[name]()


def test_softplus_keeps_the_digits_of_very_negative_arguments():
    delta = np.float32(np.concatenate([np.linspace(-80, 90, 400), np.linspace(-4, 4, 400)]))
    one = np.ones((1, delta.size, 1), np.float32)
    A, B = -one[0], one[:, :1]

    y, _ = scans.forward(u=one, delta=delta.reshape(one.shape), A=A, B=B, C=B, delta_softplus=True)

    want = np.logaddexp(0, delta.astype(np.float64))
    assert np.all(abs(y.ravel() / want - 1) < 5e-6)  # the argument times log2(e) is rounded
    near = abs(delta) < 4
    assert np.all(abs(y.ravel() / want - 1)[near] < 5e-7)


@pytest.mark.parametrize("lanes", LANES)
def test_a_nan_stays_in_its_channel_and_its_future(lanes):
    problem = make_problem(b=1, d=6, n=4, l=70)
    problem["u"][0, 3, 40] = np.nan
    got = scans.forward(**problem, mapping=Mapping(lanes, 1, 1, 4))

    touched = np.zeros((1, 6, 70), bool)
    touched[0, 3, 40:] = True
    assert np.array_equal(np.isnan(got[0]), touched)
    assert_like(got, *expected(problem), problem)
    assert np.isnan(got[1][0, 3]).all()
    assert not np.isnan(got[1][0, [0, 1, 2, 4, 5]]).any()


@pytest.mark.parametrize("lanes", LANES)
def test_infinite_rates_forget_at_once_and_steps_past_the_end_keep_the_state(lanes):
    problem = make_problem(b=1, d=4, n=2, l=9, given=())
    problem["A"][:] = -np.inf
    got = scans.forward(**problem, mapping=Mapping(lanes, 1, 1, 2))

    assert all(np.isfinite(x).all() for x in got)
    assert_like(got, *expected(problem), problem)


def test_many_channels_are_scanned():
    problem = make_problem(b=1, d=66_000, n=1, l=2, given=())
    y, last = scans.forward(**problem)

    decay = np.exp(np.logaddexp(0, problem["delta"].astype(np.float64)) * problem["A"])
    x = np.logaddexp(0, problem["delta"].astype(np.float64)) * problem["u"] * problem["B"][:, 0]
    h = decay[..., 1] * x[..., 0] + x[..., 1]
    assert np.allclose(last[..., 0], h, rtol=1e-5, atol=1e-6)
    assert np.allclose(y[..., 1], h * problem["C"][0, 0, 0, 1], rtol=1e-5, atol=1e-6)


def test_steps_of_more_than_two_gigabytes_are_followed():
    # Rows of one allocation that is never touched between them.
    far = np.lib.stride_tricks.as_strided
    memory = np.zeros(2**30 + 2**10, np.float32)
    rng = np.random.default_rng(0)
    u = far(memory, (1, 4, 20), (0, 2**30, 4))
    u[...] = rng.normal(size=u.shape)
    problem = make_problem(b=1, d=4, n=3, l=20)
    check(problem | {"u": u}, mapping=Mapping(8, 1, 1, 3))


# ---- one step ----------------------------------------------------------------------------------

STEP_NUMBERS = ("float32", "float64", "complex64", "complex128")


def step_of(problem):
    """A problem of length 1 as the arguments of a step."""
    names = {"u", "delta", "z", "B", "C"} & problem.keys()
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: step[x][..., 0] for x in names if step[x].ndim > 2}
    return step | {"state": problem["initial_state"].copy()}


def check_step(problem, form=np.copy):
    step = step_of(problem)
    step["state"] = form(step["state"])
    y, state = scans.step(**step)
    scans.assert_right(problem, (y[..., None], state))


@pytest.mark.parametrize("number", STEP_NUMBERS)
@pytest.mark.parametrize("n", [1, 3, 16, 40])
@pytest.mark.parametrize("form_b", ["shared", "grouped", "constant"])
@pytest.mark.parametrize("given", [(), ("D", "z", "delta_bias")])
def test_a_step_matches_the_reference(given, form_b, n, number):
    dtype = "float64" if number in ("float64", "complex128") else "float32"
    problem = make_problem(
        b=3, d=10, g=2, n=n, l=1, dtype=dtype, form_b=form_b, given=(*given, "initial_state")
    )
    if number.startswith("complex"):
        problem = scan_cases.with_complex(problem, ("B", "C", "initial_state"))
    check_step(problem)


@pytest.mark.parametrize("form", [transposed, sliced, every_other])
def test_a_step_updates_a_strided_state_and_nothing_around_it(form):
    problem = make_problem(b=3, d=10, g=2, n=5, l=1)
    check_step(problem, form)


@pytest.mark.parametrize("element", ["float16", "bfloat16"])
def test_a_step_takes_inputs_of_sixteen_bits(element):
    problem = make_problem(b=2, d=5, n=7, l=1)
    check_step(with_dtypes(problem, dict.fromkeys(scan_cases.SEQUENCES, element)))
