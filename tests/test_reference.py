"""The reference itself, against closed forms, symmetries, finite differences and torch."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reference import dense_matrix, scan, scan_backward, scan_step

OPTIONAL = {"D", "z", "delta_bias", "initial_state", "seq_idx"}


@st.composite
def problems(draw, needed=(), without=(), batch=(1, 2), length=(0, 6), is_complex=(False, True)):
    """The arguments of scan by name, in random shapes, forms and scales; layout "bdl"."""
    b, l = draw(st.integers(*batch)), draw(st.integers(*length))
    g, n = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    d = g * draw(st.integers(1, 2))
    is_complex, softplus = draw(st.sampled_from(is_complex)), draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = st.sampled_from([(b, g, n, l), (b, n, l), (d, n)])

    def numbers(shape, imaginary=False):
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0)

    decay = draw(st.sampled_from([1, 1e-3, 16])) * rng.random((d, n))
    delta = draw(st.sampled_from([1, 0.1, 5])) * numbers((b, d, l))
    problem = {
        "u": numbers((b, d, l)),
        "delta": delta if softplus else abs(delta),
        "A": -decay + 1j * numbers((d, n)) if is_complex else -decay,
        "B": numbers(draw(shapes), imaginary=is_complex and draw(st.booleans())),
        "C": numbers(draw(shapes), imaginary=is_complex and draw(st.booleans())),
        "D": numbers(d),
        "z": draw(st.sampled_from([1, 8])) * numbers((b, d, l)),
        "delta_bias": rng.random(d),
        "initial_state": numbers((b, d, n), imaginary=is_complex),
        "seq_idx": np.sort(rng.integers(0, 3, (b, l))),
        "delta_softplus": softplus,
        "reverse": draw(st.booleans()),
    }
    absent = draw(st.sets(st.sampled_from(sorted(OPTIONAL)))) - set(needed) | set(without)
    return {name: value for name, value in problem.items() if name not in absent}


def over_time(problem, change):
    """The problem with `change` applied to every array whose last axis is time."""
    timed = {"u", "delta", "z", "seq_idx"} | {x for x in "BC" if problem[x].ndim > 2}
    return {x: change(value) if x in timed else value for x, value in problem.items()}


def scan_both(problem):
    """y and the last state."""
    return scan(**problem, return_last_state=True)


def wave(like):
    """Numbers in the shape of an array, complex where it is."""
    amplitude = 1 + 2j if np.iscomplexobj(like) else 1
    return amplitude * np.cos(np.arange(like.size)).reshape(like.shape)


def cotangents(problem):
    """Gradients of y and of the last state."""
    return tuple(map(wave, scan_both(problem)))


def assert_close(got, want):
    """Two arrays, or two tuples of arrays and None, agree to float64's accuracy."""
    if isinstance(want, tuple):
        assert [x is None for x in got] == [x is None for x in want]
        got, want = (np.concatenate([x.ravel() for x in xs if x is not None]) for xs in (got, want))
    assert_allclose(got, want, rtol=1e-10, atol=1e-10 * np.max(abs(want), initial=1))


def test_scan_with_constant_coefficients_is_a_geometric_series():
    t, delta, A = np.arange(9), 0.3, -0.7
    one, q = np.ones((1, 1, 9)), np.exp(delta * A)
    y = scan(2 * one, delta * one, [[A]], 3 * one, 5 * one)
    assert_close(y[0, 0], 30 * delta * (1 - q ** (t + 1)) / (1 - q))


def test_scan_with_zero_A_is_a_cumulative_sum():
    u, delta, B, C = np.random.default_rng(0).normal(size=(4, 1, 1, 7))
    assert_close(scan(u, delta, [[0.0]], B, C), C * np.cumsum(delta * B * u, axis=-1))


def test_scan_of_one_state_matches_a_calculation_by_hand():
    ln2, ln3 = np.log(2), np.log(3)
    u, delta, z = [[[3.0, 5.0]]], [[[ln2, 2 * ln2]]], [[[0.0, ln3]]]
    A, B, C, D, initial_state = [[-1.0]], [[2.0]], [[[7.0, 11.0]]], [10.0], [[[8.0]]]
    y, h = scan(u, delta, A, B, C, D, z, initial_state=initial_state, return_last_state=True)
    # h: 8, then 8 / 2 + ln2 * 2 * 3, then a quarter of that + 2 ln2 * 2 * 5.
    assert_close(h, np.array([[[1 + 21.5 * ln2]]]))
    assert_close(y, np.array([[[0, (11 * (1 + 21.5 * ln2) + 50) * 0.75 * ln3]]]))


def test_softplus_is_the_identity_above_20():
    delta, one = np.array([[[20.5], [20.0], [-30.0]]]), np.ones((1, 3, 1))
    A = B = np.ones((3, 1))
    y = scan(one, delta, -A, B, B, delta_softplus=True)
    slope = scan_backward(one, one, delta, -A, B, B, delta_softplus=True).delta
    assert_array_equal([y[0, 0], slope[0, 0]], [[20.5], [1]])
    assert_allclose(y[0, 1:], np.log1p(np.exp([[20.0], [-30.0]])), rtol=1e-14)
    assert_allclose(slope[0, 1:], 1 / (1 + np.exp([[-20.0], [30.0]])), rtol=1e-14)


def test_scan_passes_infinities_on_without_a_warning():
    delta, z = np.array([[[np.inf, 1.0], [1.0, 1.0]]]), np.array([[[1.0, 1.0], [-np.inf, 1.0]]])
    A = B = np.ones((2, 1))
    y = scan(np.ones((1, 2, 2)), delta, -A, B, B, z=z)
    assert_array_equal(np.isfinite(y), [[[False, False], [False, True]]])


@pytest.mark.parametrize("empty", ["b", "d", "n", "l"])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_of_empty_arrays_passes_the_state_on(empty, reverse):
    b, d, n, l = (0 if axis == empty else 2 for axis in "bdnl")
    u, A, B, h = (np.ones(shape) for shape in [(b, d, l), (d, n), (b, n, l), (b, d, n)])
    options = {"initial_state": h, "reverse": reverse, "seq_idx": np.zeros((b, l), int)}
    y, last = scan(u, u, A, B, B, z=u, **options, return_last_state=True)
    grads = scan_backward(u, u, u, A, B, B, z=u, **options, dlast_state=2 * h)
    assert (y.shape, last.shape) == (u.shape, h.shape)
    assert [g.shape for g in (grads.u, grads.A, grads.B)] == [u.shape, A.shape, B.shape]
    if l == 0:
        assert_array_equal(last, h)
        assert_array_equal(grads.initial_state, 2 * h)


@given(problems(without={"z", "initial_state"}))
def test_scan_is_the_product_with_the_dense_matrix(problem):
    # For the last batch element, channel and group; bias and softplus are taken outside.
    delta = problem["delta"][-1, -1] + problem.get("delta_bias", [0])[-1]
    if problem["delta_softplus"]:
        delta = np.where(delta > 20, delta, np.log1p(np.exp(delta)))
    B, C = (problem[x][-1, -1] if problem[x].ndim == 4 else problem[x][-1] for x in "BC")
    seq_idx = problem["seq_idx"][-1] if "seq_idx" in problem else None
    D, reverse = problem.get("D", [0])[-1], problem["reverse"]
    M = dense_matrix(delta, problem["A"][-1], B.T, C.T, D, reverse=reverse, seq_idx=seq_idx)
    assert_close(scan(**problem)[-1, -1], M @ problem["u"][-1, -1])


@given(problems(without={"seq_idx"}), st.data())
def test_scan_of_a_split_sequence_carries_the_state(problem, data):
    k = data.draw(st.integers(0, problem["u"].shape[-1]))
    halves = over_time(problem, lambda x: x[..., :k]), over_time(problem, lambda x: x[..., k:])
    first, second = halves[::-1] if problem["reverse"] else halves
    y_first, state = scan_both(first)
    y_second, last = scan_both(second | {"initial_state": state})
    ys = (y_second, y_first) if problem["reverse"] else (y_first, y_second)
    assert_close((np.concatenate(ys, axis=-1), last), scan_both(problem))


@given(problems())
def test_reverse_scan_is_the_scan_of_the_flipped_arrays(problem):
    flipped = over_time(problem, lambda x: x[..., ::-1]) | {"reverse": not problem["reverse"]}
    y, last = scan_both(flipped)
    assert_close((y[..., ::-1], last), scan_both(problem))


@given(problems(needed={"seq_idx"}, without={"initial_state"}, batch=(1, 1)), st.integers(0, 2))
def test_seq_idx_gives_each_segment_a_scan_of_its_own(problem, segment):
    mine = problem["seq_idx"][0] == segment
    alone = over_time(problem, lambda x: x[..., mine])
    del alone["seq_idx"]
    assert_close(scan(**alone), scan(**problem)[..., mine])


@given(problems(needed={"initial_state", "seq_idx"}, length=(1, 6)))
def test_initial_state_feeds_only_the_segment_visited_first(problem):
    first = problem["seq_idx"][:, [-1 if problem["reverse"] else 0]]
    grads = scan_backward(cotangents(problem)[0], **problem)
    changed = scan(**problem | {"initial_state": problem["initial_state"] + 1})
    moved = (changed != scan(**problem)).any(axis=1)
    assert not moved[problem["seq_idx"] != first].any()
    assert grads.initial_state.any()


@given(problems(without={"initial_state"}))
def test_scan_is_linear_in_u(problem):
    u, v = problem["u"], np.sin(problem["u"])
    y = 2 * scan(**problem) - 3 * scan(**problem | {"u": v})
    assert_close(scan(**problem | {"u": 2 * u - 3 * v}), y)


@given(problems(), st.data())
def test_scan_does_not_depend_on_the_order_of_the_states(problem, data):
    order = data.draw(st.permutations(range(problem["A"].shape[1])))
    axes = {"A": 1, "initial_state": 2} | {x: 2 if problem[x].ndim == 4 else 1 for x in "BC"}
    moved = {x: problem[x].take(order, axis) for x, axis in axes.items() if x in problem}
    assert_close(scan(**problem | moved), scan(**problem))


@given(problems())
def test_scan_of_flipped_batch_and_channels_is_flipped(problem):
    # Arrays (b, d, ...) and (b, g, ...) flip in both, (d, ...) in the first, (b, l) in the batch.
    both = {"u", "delta", "z", "initial_state"} | {x for x in "BC" if problem[x].ndim == 4}
    flipped = {
        x: value if np.isscalar(value) else value[::-1, ::-1] if x in both else value[::-1]
        for x, value in problem.items()
    }
    y, last = scan_both(problem)
    assert_close(scan_both(flipped), (y[::-1, ::-1], last[::-1, ::-1]))


@given(problems())
def test_scan_does_not_depend_on_the_unit_of_the_state(problem):
    s = np.arange(1, problem["A"].shape[1] + 1) * (1j if np.iscomplexobj(problem["A"]) else -1)
    columns = {x: s if problem[x].ndim == 2 else s[:, None] for x in "BC"}
    scaled = {"B": problem["B"] * columns["B"], "C": problem["C"] / columns["C"]}
    if "initial_state" in problem:
        scaled["initial_state"] = problem["initial_state"] * s
    y, last = scan_both(problem)
    assert_close(scan_both(problem | scaled), (y, last * s))


@given(problems(without={"delta_bias"}))
def test_scan_does_not_depend_on_the_unit_of_time(problem):
    problem |= {"delta_softplus": False, "delta": abs(problem["delta"])}
    A, B, delta = problem["A"] / 4, problem["B"] / 4, 4 * problem["delta"]
    assert_close(scan_both(problem | {"A": A, "B": B, "delta": delta}), scan_both(problem))


@given(problems(needed={"initial_state"}, without={"seq_idx"}, length=(1, 6)))
def test_scan_step_repeated_is_the_scan(problem):
    b, d, l = problem["u"].shape
    assume(b != d or min(problem["B"].ndim, problem["C"].ndim) > 2)
    y, last = scan_both(problem | {"reverse": False})
    state = problem["initial_state"]
    step = {x: problem[x] for x in problem.keys() - {"initial_state", "reverse"}}
    outputs = []
    for t in range(l):
        output, state = scan_step(state, **over_time(step, lambda x, t=t: x[..., t]))
        outputs.append(output)
    assert_close((np.stack(outputs, axis=-1), state), (y, last))


@given(problems(without={"D"}, is_complex=(False,)))
def test_scan_of_complex_arrays_without_imaginary_part_is_twice_the_real_one(problem):
    y, last = scan_both(problem)
    y_complex, last_complex = scan_both(problem | {x: problem[x] + 0j for x in "ABC"})
    assert_close((y_complex, last_complex), (2 * y, last))


@given(problems())
def test_layout_bld_is_the_transposed_layout_bdl(problem):
    def to_bld(x):
        return x if x is None or x.ndim < 3 else np.moveaxis(x, -1, 1)

    bld = over_time(problem, to_bld) | {"layout": "bld"}
    y, last = scan_both(problem)
    assert_close(scan_both(bld), (to_bld(y), last))
    dy, dlast = cotangents(problem)
    grads = scan_backward(dy, **problem, dlast_state=dlast)._asdict()
    grads_bld = scan_backward(to_bld(dy), **bld, dlast_state=dlast)
    assert_close(grads_bld, tuple(over_time(grads, to_bld).values()))
