"""What is true of the gradients of every scan: `scan_backward` against itself and the forward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    OPTIONAL,
    PLAIN,
    crossed,
    make_problem,
    over_time,
    problems,
    timed,
    with_gradients,
)
from tolerances import (
    arithmetic,
    assert_same,
    assert_within,
    expected,
    expected_gradients,
    wide,
)

from selscan import ScanGrads

pytestmark = pytest.mark.usefixtures("small_pieces")
bdl = {"layout": "bdl"}
plain = bdl | {"dtype": st.sampled_from(PLAIN), "out_dtype": None}
SUMMED = ("A", "B", "C", "D", "delta_bias")


def widened(grads):
    """Gradients in float64, to be added up exactly enough."""
    return ScanGrads(*map(wide, grads))


def bounds_of(problem):
    return expected_gradients(problem)[1]


def plus(*grads, only=ScanGrads._fields):
    """The sum of gradients, or of their bounds, where they are in `only`."""
    return ScanGrads(*(_sum(x) if name in only else None for name, x in _by_name(*grads)))


def _by_name(*grads):
    return zip(ScanGrads._fields, zip(*grads, strict=True), strict=True)


def _sum(values):
    return None if values[0] is None else sum(map(wide, values))


def expanded(problem, names):
    """The problem with B or C given for each channel and time step, (b, d, n, l)."""
    b, d, l = problem["u"].shape

    def full(x):
        x = x[None, :, :, None] if x.ndim == 2 else x[:, None] if x.ndim == 3 else x
        return np.broadcast_to(np.repeat(x, d // x.shape[1], 1), (b, d, x.shape[2], l)).copy()

    return problem | {x: full(problem[x]) for x in names}


def collected(grad, like):
    """The adjoint of `expanded`."""
    if like.ndim == 2:
        return grad.sum((0, 3))
    b, d, n, l = grad.shape
    g = 1 if like.ndim == 3 else like.shape[1]
    return grad.reshape(b, g, d // g, n, l).sum(2).reshape(like.shape)


@given(problems(**plain), st.data())
def test_gradients_of_a_split_sequence_are_those_of_the_whole(backend, problem, data):
    problem = with_gradients(problem)
    dlast, u = problem.pop("dlast_state"), problem["u"]
    k = data.draw(st.integers(0, u.shape[-1]))
    halves = over_time(problem, lambda x: x[..., :k]), over_time(problem, lambda x: x[..., k:])
    first, second = halves[::-1] if problem["reverse"] else halves
    _, state = backend.scan(**{x: v for x, v in first.items() if x != "dy"})

    state = crossed(problem, k, state)
    after = backend.scan_backward(**second | {"initial_state": state, "dlast_state": dlast})
    dstate = crossed(problem, k, after.initial_state)
    before = backend.scan_backward(**first | {"dlast_state": dstate})

    parts = {x: getattr(before, x) for x in ScanGrads._fields}
    for name in SUMMED:
        if name in problem and name not in timed(problem):
            parts[name] = wide(parts[name]) + getattr(after, name)
    for name in timed(problem) - {"dy", "seq_idx"}:
        pair = (after, before) if problem["reverse"] else (before, after)
        parts[name] = np.concatenate([getattr(x, name) for x in pair], axis=-1)
    whole = problem | {"dlast_state": dlast}
    bounds = bounds_of(whole)
    want = widened(backend.scan_backward(**whole))
    assert_within(ScanGrads(**parts), want, plus(bounds, bounds), arithmetic(problem))


@given(problems(without={"initial_state"}, **plain))
def test_gradient_of_u_is_the_adjoint_of_the_scan(backend, problem):
    y = np.float64(backend.scan(**problem)[0])
    y_bound = expected(problem)[1][0]
    problem = with_gradients(problem, last=False)
    du = np.float64(backend.scan_backward(**problem).u)
    u, dy = np.float64(problem["u"]), np.float64(problem["dy"])
    bound = np.vdot(abs(dy), y_bound) + np.vdot(abs(u), bounds_of(problem).u)
    assert_within(np.vdot(dy, y), np.vdot(u, du), np.float64(bound), arithmetic(problem))


@given(problems(**plain), st.integers(0, 2**32 - 1))
def test_gradients_are_linear_in_the_gradients_of_the_results(backend, problem, seed):
    one, other = with_gradients(problem, seed), with_gradients(problem, seed + 1)
    both = dict(one)
    for name in ("dy", "dlast_state"):
        one[name], other[name] = (np.round(16 * x[name]) / 16 for x in (one, other))
        both[name] = one[name] + other[name]
    grads = [widened(backend.scan_backward(**x)) for x in (one, other)]
    bounds = plus(*map(bounds_of, (one, other, both)))
    assert_within(plus(*grads), widened(backend.scan_backward(**both)), bounds, arithmetic(problem))


@given(problems(**bdl))
def test_gradients_are_zero_where_those_of_the_results_are(backend, problem):
    problem = with_gradients(problem)
    zeros = {x: np.zeros_like(problem[x]) for x in ("dy", "dlast_state")}
    for grad in backend.scan_backward(**problem | zeros):
        assert grad is None or not grad.any()


@given(problems(**bdl))
def test_gradient_of_the_last_state_left_out_is_zero(backend, problem):
    problem = with_gradients(problem)
    dlast = problem.pop("dlast_state")
    zero = backend.scan_backward(**problem | {"dlast_state": np.zeros_like(dlast)})
    for name, grad in backend.scan_backward(**problem)._asdict().items():
        assert_same(grad, getattr(zero, name), name)


@given(problems(**plain))
def test_gradients_of_B_and_C_are_sums_over_channels(backend, problem):
    problem = with_gradients(problem)
    full = expanded(problem, "BC")
    grads = widened(backend.scan_backward(**full))
    grads = grads._replace(**{x: collected(getattr(grads, x), problem[x]) for x in "BC"})
    bounds = bounds_of(problem)
    want = widened(backend.scan_backward(**problem))
    assert_within(grads, want, plus(bounds, bounds), arithmetic(problem))


@given(problems(**plain))
def test_gradients_of_parameters_are_sums_over_the_batch(backend, problem):
    problem = with_gradients(problem)
    per_entry = (timed(problem) | {"initial_state", "dlast_state"}) & problem.keys()
    entries = [
        problem | {x: problem[x][i : i + 1] for x in per_entry} for i in range(len(problem["u"]))
    ]
    only = set(ScanGrads._fields) - per_entry
    got = plus(*(widened(backend.scan_backward(**x)) for x in entries), only=only)
    want = plus(backend.scan_backward(**problem), only=only)
    bounds = plus(*[bounds_of(problem)] * 2, only=only)
    assert_within(got, want, bounds, arithmetic(problem))


@given(problems(**plain))
def test_gradients_of_a_reverse_scan_are_those_of_the_flipped_arrays(backend, problem):
    problem = with_gradients(problem)
    flipped = over_time(problem, lambda x: x[..., ::-1].copy())
    grads = backend.scan_backward(**flipped | {"reverse": not problem["reverse"]})
    names = timed(problem)
    grads = ScanGrads(**{x: v[..., ::-1] if x in names else v for x, v in grads._asdict().items()})
    bounds = bounds_of(problem)
    want = widened(backend.scan_backward(**problem))
    assert_within(grads, want, plus(bounds, bounds), arithmetic(problem))


@pytest.mark.parametrize("absent", OPTIONAL)
def test_gradient_of_an_argument_left_out_is_none(backend, absent):
    problem = with_gradients(make_problem(given=set(OPTIONAL) - {absent}))
    grads = backend.scan_backward(**problem)
    assert [x for x in ScanGrads._fields if getattr(grads, x) is None] == [absent]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("name", ["dy", "dlast_state"])
def test_a_gradient_in_float64_makes_the_arithmetic_float64(backend, name, dtype):
    problem = with_gradients(make_problem(d=19, l=40, dtype=dtype))
    problem[name] = wide(problem[name]) * 1.1
    grads = backend.scan_backward(**problem)
    assert [x.dtype for x in grads] == [problem[x].dtype for x in ScanGrads._fields]
    assert_within(grads, *expected_gradients(problem), np.dtype(np.float64))
