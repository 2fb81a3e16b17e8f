"""`scan_step` against the reference and against `scan`, in both of its kernels."""

import numpy as np
import pytest
from forms import ANY_FRAMEWORK, backwards, behind_a_byte, sliced
from harness import Backend
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import DTYPES, FORMS, make_problem, over_time, pairwise, problems
from tolerances import arithmetic, assert_within, expected, state_dtype, wide

import selscan
from selscan.backends import SIMULATED

# In float32 d_state > 8, real A, and B, C that change with the batch go to the kernel whose lanes
# are states, if the state is contiguous float32; all else to the one whose lanes are channels.
STATES = (1, 3, 8, 16, 17, 40) if not SIMULATED else (1, 3)
CHANNELS = {"d": 34, "g": 2} if not SIMULATED else {"d": 4, "g": 2}
# What is complex besides A: the state always, B and C perhaps.
COMPLEX_STATE = (("initial_state",), ("B", "initial_state"), ("C", "initial_state", "B"))
CASES = pairwise(
    n=STATES,
    dtype=DTYPES,
    imaginary=COMPLEX_STATE,
    form_b=FORMS,
    form_c=FORMS,
    given=((), ("D", "z"), ("delta_bias",), ("D", "z", "delta_bias")),
    delta_softplus=(False, True),
)
OTHERS = (("float16", 17), ("bfloat16", 3), ("complex64", 3), ("complex64", 17))
# b, d, g: rows of four channels and rests, several blocks, several runs, two threads.
SHAPES = ((1, 1, 1), (1, 3, 1), (2, 5, 5), (3, 16, 2), (2, 34, 2), (1, 300, 1), (3, 1400, 2))


def step_of(problem):
    """A problem of length 1 as the arguments of scan_step."""
    dropped = {"reverse", "layout", "initial_state"}
    step = {x: v for x, v in problem.items() if x not in dropped}
    for name in {"u", "delta", "z", "B", "C"} & step.keys():
        step[name] = step[name][..., 0] if step[name].ndim > 2 else step[name]
    return step | {"state": problem["initial_state"].copy()}


def assert_matches_reference(backend, problem, **changed):
    step = step_of(problem) | changed
    y, state = backend.scan_step(**step)
    want, bounds = expected(problem)
    dtype = arithmetic(problem)
    assert_within((y, state), (want[0][..., 0], want[1]), (bounds[0][..., 0], bounds[1]), dtype)
    assert (y.dtype, state.dtype) == (step["u"].dtype, step["state"].dtype)


def step_problem(*, given=(), **options):
    return make_problem(l=1, given=(*given, "initial_state"), **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_scan_step_with_any_two_options_matches_the_reference(backend, case):
    assert_matches_reference(backend, step_problem(b=2, **CHANNELS, **case))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scan_step_of_any_shape_matches_the_reference(backend, shape, dtype):
    b, d, g = shape
    optional = ("D", "z", "delta_bias")
    assert_matches_reference(
        backend, step_problem(b=b, d=d, g=g, n=16, given=optional, dtype=dtype)
    )


one_step = {"l": 1, "layout": "bdl", "reverse": False, "seq_idx": None, "out_dtype": None}
one_step["imaginary"] = st.sampled_from(COMPLEX_STATE)


@given(problem=problems(needed={"initial_state"}, **one_step))
def test_scan_step_of_any_problem_matches_the_reference(backend, problem):
    b, d, _ = problem["u"].shape
    ambiguous = b == d and 2 in (problem["B"].ndim, problem["C"].ndim)
    if not ambiguous:
        assert_matches_reference(backend, problem)


@pytest.mark.parametrize("form", ANY_FRAMEWORK)
@pytest.mark.parametrize(("dtype", "n"), [*(("float32", n) for n in STATES), *OTHERS])
def test_scan_step_reads_and_writes_a_strided_state_in_place(backend, form, dtype, n):
    problem = step_problem(**CHANNELS, n=n, dtype=dtype)
    assert_matches_reference(backend, problem, state=form(problem["initial_state"]))


@pytest.mark.parametrize("form", [backwards, behind_a_byte])
@pytest.mark.parametrize("n", STATES)
def test_scan_step_reads_and_writes_a_numpy_state_of_any_form_in_place(form, n):
    problem = step_problem(**CHANNELS, n=n)
    state = form(problem["initial_state"])
    assert_matches_reference(Backend("cpu", "numpy"), problem, state=state)


@pytest.mark.parametrize("form", [*ANY_FRAMEWORK, backwards, behind_a_byte])
@pytest.mark.parametrize("n", [3, 17])
def test_scan_step_reads_strided_inputs(form, n):
    problem = step_problem(**CHANNELS, n=n, given=("D", "z", "delta_bias"))
    arrays = {x: form(v) for x, v in step_of(problem).items() if isinstance(v, np.ndarray)}
    del arrays["state"]
    assert_matches_reference(Backend("cpu", "numpy"), problem, **arrays)


@pytest.mark.parametrize("n", STATES)
def test_scan_step_writes_nothing_around_its_state(backend, n):
    problem = step_problem(**CHANNELS, n=n)
    state = sliced(problem["initial_state"])
    backend.scan_step(**step_of(problem) | {"state": state})
    assert np.isnan(state.base).sum() == state.base.size - state.size


@pytest.mark.parametrize("n", STATES)
@pytest.mark.parametrize("form_b", FORMS)
@pytest.mark.parametrize("form_c", FORMS)
def test_scan_step_repeated_is_the_scan(backend, form_b, form_c, n):
    problem = make_problem(d=6, g=2, n=n, l=7, form_b=form_b, form_c=form_c)
    (y, last), bounds = backend.scan(**problem), expected(problem)[1]
    state, outputs = problem["initial_state"].copy(), []
    for t in range(7):
        step = step_of(over_time(problem, lambda x, t=t: x[..., t : t + 1]))
        outputs.append(backend.scan_step(**step | {"state": state})[0])
    got, want = (np.stack(outputs, axis=-1), state), (wide(y), wide(last))
    assert_within(got, want, tuple(2 * x for x in bounds), np.dtype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 16])
def test_scan_step_repeated_is_the_scan_in_every_dtype(backend, dtype, n):
    problem = make_problem(d=6, g=2, n=n, l=7, dtype=dtype)
    problem["initial_state"] = problem["initial_state"].astype(state_dtype(problem))
    state, outputs = problem["initial_state"].copy(), []
    for t in range(7):
        step = step_of(over_time(problem, lambda x, t=t: x[..., t : t + 1]))
        outputs.append(backend.scan_step(**step | {"state": state})[0])
    assert_within((np.stack(outputs, axis=-1), state), *expected(problem), arithmetic(problem))


@pytest.mark.parametrize("name", ["B", "C"])
def test_scan_step_reads_two_axes_as_batch_where_channels_are_as_many(backend, name):
    problem = step_problem(b=3, d=3, n=5)
    step = step_of(problem)  # grouped, (b, 1, n)
    want = backend.scan_step(**step | {"state": step["state"].copy()})
    got = backend.scan_step(**step | {name: step[name][:, 0]})
    for x, y in zip(got, want, strict=True):
        assert_array_equal(x, y)


@pytest.mark.parametrize("n", STATES)
def test_scan_step_returns_the_state_that_it_was_given(n):
    step = step_of(step_problem(n=n))
    assert selscan.scan_step(**step)[1] is step["state"]


@pytest.mark.parametrize("n", STATES)
def test_scan_step_refuses_a_read_only_state(n):
    step = step_of(step_problem(n=n))
    step["state"].flags.writeable = False
    before = step["state"].copy()
    with pytest.raises(ValueError, match="scan_step: state must be writable"):
        selscan.scan_step(**step)
    assert_array_equal(step["state"], before)


@pytest.mark.parametrize("shape", [(0, 3, 1), (2, 0, 1)], ids=str)
def test_scan_step_of_empty_arrays_is_empty(backend, shape):
    b, d, g = shape
    y, state = backend.scan_step(**step_of(step_problem(b=b, d=d, g=g)))
    assert (y.shape, state.shape) == ((b, d), (b, d, 4))


@pytest.mark.parametrize("n", [4, 16])
def test_nan_stays_in_its_channel_of_a_step(backend, n):
    step = step_of(step_problem(d=34, n=n))
    y, state = backend.scan_step(**step | {"state": step["state"].copy()})
    step["u"][1, 20] = y[1, 20] = state[1, 20] = np.nan
    y_bad, state_bad = backend.scan_step(**step)
    assert_array_equal(y_bad, y)
    assert_array_equal(state_bad, state)
