"""What is true of every scan, whatever the numbers: `backend` against itself, in layout "bdl"."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    DTYPES,
    HALF,
    PLAIN,
    WIDE,
    crossed,
    make_problem,
    over_time,
    problems,
    timed,
    with_gradients,
)
from tolerances import arithmetic, assert_same, assert_within, expected, unrounded, wide

from reference import dense_matrix

pytestmark = pytest.mark.usefixtures("small_pieces")
bdl = {"layout": "bdl"}
# With `unrounded`: what is rounded to a narrower dtype in between has no bound.
plain = bdl | {"dtype": st.sampled_from([*PLAIN, *HALF]), "out_dtype": None}


narrow = st.sampled_from([*HALF, "float32"])


def forward_bounds(problem):
    """The bounds of y and of the last state."""
    return expected(problem)[1]


def add(*arrays):
    """Bounds of a result that several computations lead to."""
    return tuple(map(sum, zip(*arrays, strict=True)))


def moved(problem, order, axes):
    """The problem with the entries of an axis in another order; `axes`: name -> axis."""
    return problem | {x: problem[x].take(order, a) for x, a in axes.items() if x in problem}


def rounded(x):
    """Multiples of 1/4, whose small integer combinations are exact in every dtype."""
    return np.rint(4 * x) / 4


def in_32_bits(x):
    """In float32 or complex64 at least, so that a power of two more or less is exact."""
    return x.astype(np.promote_types(x.dtype, np.float32))


@given(problems(without={"initial_state"}, **plain), st.integers(0, 2**32 - 1))
def test_scan_is_linear_in_u(backend, problem, seed):
    problem, u = unrounded(problem), rounded(problem["u"])
    v = rounded(np.random.default_rng(seed).normal(size=u.shape).astype(u.dtype))
    parts = [problem | {"u": x} for x in (2 * u, -3 * v)]
    whole = problem | {"u": 2 * u - 3 * v}
    y, last = map(sum, zip(*(backend.scan(**p) for p in parts), strict=True))
    bounds = add(*(forward_bounds(p) for p in (*parts, whole)))
    want = tuple(map(wide, backend.scan(**whole)))
    assert_within((y, last), want, bounds, arithmetic(problem))


@given(problems(**bdl), st.data())
def test_scan_of_a_split_sequence_carries_the_state(backend, problem, data):
    k = data.draw(st.integers(0, problem["u"].shape[-1]))
    halves = over_time(problem, lambda x: x[..., :k]), over_time(problem, lambda x: x[..., k:])
    first, second = halves[::-1] if problem["reverse"] else halves
    y_first, state = backend.scan(**first)
    state = crossed(problem, k, state)
    y_second, last = backend.scan(**second | {"initial_state": state})
    ys = (y_second, y_first) if problem["reverse"] else (y_first, y_second)
    y_whole, last_whole = backend.scan(**problem)
    # The state passes between the halves as it is: not even the last bit changes.
    assert_same(np.concatenate(ys, axis=-1), y_whole)
    assert_same(last, last_whole)


@given(problems(**bdl), st.data())
def test_scan_does_not_look_ahead(backend, problem, data):
    l = problem["u"].shape[-1]
    k = data.draw(st.integers(0, l))
    past = slice(l - k, None) if problem["reverse"] else slice(k)

    def spoil(x):
        spoiled = np.full_like(x, 9 if x.dtype.kind == "i" else np.nan)
        spoiled[..., past] = x[..., past]
        return spoiled

    y, _ = backend.scan(**over_time(problem, spoil))
    assert_same(y[..., past], backend.scan(**problem)[0][..., past])


@given(problems(delta_softplus=False, without={"delta_bias"}, **bdl), st.data())
def test_scan_with_a_step_of_length_zero_inserted_is_the_same(backend, problem, data):
    l = problem["u"].shape[-1]
    k = data.draw(st.integers(0, l))
    longer = over_time(problem, lambda x: np.ones((*x.shape[:-1], 1), x.dtype))
    if l:
        steps = np.insert(np.arange(l), k, max(k - 1, 0))
        longer = over_time(problem, lambda x: x[..., steps])
    longer["delta"][..., k] = 0
    y, last = backend.scan(**longer)
    y_shorter, last_shorter = backend.scan(**problem)
    assert_same(np.delete(y, k, axis=-1), y_shorter)
    assert_same(last, last_shorter)


@given(problems(without={"D"}, **plain), st.data())
def test_scan_is_the_sum_over_disjoint_states(backend, problem, data):
    problem, n = unrounded(problem), problem["A"].shape[1]
    k = data.draw(st.integers(1, n)) % n
    axes = {"A": 1, "initial_state": 2} | {x: problem[x].ndim // 2 for x in "BC"}
    halves = [moved(problem, states, axes) for states in np.split(np.arange(n), [k])]
    halves = [half for half in halves if half["A"].size]
    y = sum(np.float64(backend.scan(**half)[0]) for half in halves)
    bounds = sum(forward_bounds(p)[0] for p in (problem, *halves))
    assert_within(backend.scan(**problem)[0], y, bounds, arithmetic(problem))


@given(problems(**bdl), st.data())
def test_scan_of_permuted_batch_entries_is_permuted(backend, problem, data):
    order = np.array(data.draw(st.permutations(range(len(problem["u"])))))
    axes = dict.fromkeys((timed(problem) | {"initial_state"}), 0)
    for got, want in zip(
        backend.scan(**moved(problem, order, axes)), backend.scan(**problem), strict=True
    ):
        assert_same(got, want[order])


@given(problems(**bdl), st.data())
def test_scan_of_permuted_channels_of_a_group_is_permuted(backend, problem, data):
    d = problem["u"].shape[1]
    groups = max(problem[x].shape[1] if problem[x].ndim == 4 else 1 for x in "BC")
    inner = data.draw(st.permutations(range(d // groups)))
    order = np.arange(d).reshape(groups, -1)[:, inner].ravel()
    axes = dict.fromkeys(("u", "delta", "z", "initial_state"), 1)
    axes |= dict.fromkeys(("A", "D", "delta_bias"), 0)
    axes |= {x: 0 for x in "BC" if problem[x].ndim == 2}
    for got, want in zip(
        backend.scan(**moved(problem, order, axes)), backend.scan(**problem), strict=True
    ):
        assert_same(got, want[:, order])


@given(problems(**bdl), st.data())
def test_scan_does_not_depend_on_the_order_of_the_states(backend, problem, data):
    problem = unrounded(problem)
    order = np.array(data.draw(st.permutations(range(problem["A"].shape[1]))))
    axes = {"A": 1, "initial_state": 2} | {x: problem[x].ndim // 2 for x in "BC"}
    y, last = backend.scan(**moved(problem, order, axes))
    y_here, last_here = backend.scan(**problem)
    bound = 2 * forward_bounds(problem)[0]
    assert_within(y, np.float64(y_here), bound, arithmetic(problem))
    assert_same(last, last_here[..., order])


@given(problems(**bdl), st.integers(-3, 3))
def test_scan_does_not_depend_on_the_unit_of_the_state(backend, problem, exponent):
    s = np.float32(2.0**exponent)
    scaled = {"B": in_32_bits(problem["B"]) * s, "C": in_32_bits(problem["C"]) / s}
    if "initial_state" in problem:
        scaled["initial_state"] = in_32_bits(problem["initial_state"]) * s
    y, last = backend.scan(**problem | scaled)
    y_here, last_here = backend.scan(**problem)
    assert_same(y, y_here)
    assert_same(last, last_here * s)


@given(problems(delta_softplus=False, without={"delta_bias"}, **bdl))
def test_scan_does_not_depend_on_the_unit_of_time(backend, problem):
    B, delta = in_32_bits(problem["B"]), in_32_bits(problem["delta"])
    scaled = {"A": problem["A"] / 4, "B": B / 4, "delta": delta * 4}
    for got, want in zip(backend.scan(**problem | scaled), backend.scan(**problem), strict=True):
        assert_same(got, want)


@given(problems(**bdl))
def test_reverse_scan_is_the_scan_of_the_flipped_arrays(backend, problem):
    flipped = over_time(problem, lambda x: x[..., ::-1].copy())
    y, last = backend.scan(**flipped | {"reverse": not problem["reverse"]})
    y_here, last_here = backend.scan(**problem)
    assert_same(y[..., ::-1], y_here)
    assert_same(last, last_here)


@given(problems(**bdl))
def test_layout_bld_is_the_transposed_layout_bdl(backend, problem):
    problem = with_gradients(problem)
    names = timed(problem)

    def to_bld(arrays):
        return {
            x: np.ascontiguousarray(np.moveaxis(v, -1, 1)) if x in names else v
            for x, v in arrays.items()
        }

    grads = backend.scan_backward(**to_bld(problem) | {"layout": "bld"})._asdict()
    expected = to_bld(backend.scan_backward(**problem)._asdict())
    for name, grad in grads.items():
        assert_same(grad, expected[name], name)


@given(problems(needed={"D"}, without={"z"}, **plain))
def test_D_adds_its_multiple_of_u(backend, problem):
    problem = unrounded(problem)
    without = {x: v for x, v in problem.items() if x != "D"}
    skip = np.float64(problem["D"])[:, None] * problem["u"]
    y = backend.scan(**without)[0] + skip
    bounds = forward_bounds(problem)[0] + forward_bounds(without)[0]
    assert_within(backend.scan(**problem)[0], y, bounds, arithmetic(problem))


@given(problems(delta_softplus=True, needed={"delta_bias"}, **bdl | {"dtype": narrow}))
def test_softplus_and_bias_may_be_taken_outside(backend, problem):
    x = np.float64(problem["delta"]) + problem["delta_bias"][:, None]
    outside = {"delta": np.where(x > 20, x, np.logaddexp(0, x)), "delta_softplus": False}
    outside = {x: v for x, v in problem.items() if x != "delta_bias"} | outside
    want, bounds = backend.scan(**unrounded(outside)), forward_bounds(problem)
    assert_within(backend.scan(**problem), want, bounds, arithmetic(problem))


@given(problems(without={"z", "initial_state"}, **bdl))
def test_scan_is_the_product_with_the_dense_matrix(backend, problem):
    # For the last batch element, channel and group; bias and softplus are taken outside.
    delta = wide(problem["delta"][-1, -1]) + float(problem.get("delta_bias", [0])[-1])
    if problem["delta_softplus"]:
        delta = np.where(delta > 20, delta, np.logaddexp(0, delta))
    lasts = {2: (-1, ...), 3: (-1, ...), 4: (-1, -1)}
    B, C = (wide(problem[x][lasts[problem[x].ndim]]).T for x in "BC")
    D, A = problem.get("D", [0])[-1], wide(problem["A"][-1])
    options = {"reverse": problem["reverse"], "seq_idx": problem.get("seq_idx", [None])[-1]}
    M = dense_matrix(delta, A, B, C, float(D), **options)
    got, bound = backend.scan(**problem)[0], forward_bounds(problem)[0]
    dtype = arithmetic(problem)
    assert_within(got[-1, -1], M @ wide(problem["u"][-1, -1]), bound[-1, -1], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scan_gives_the_same_bits_every_time(backend, dtype):
    problem = make_problem(b=2, **WIDE, dtype=dtype, seq_idx="many")
    results = [*backend.scan(**problem), *backend.scan_backward(**with_gradients(problem))]
    again = [*backend.scan(**problem), *backend.scan_backward(**with_gradients(problem))]
    assert [x.tobytes() for x in results] == [x.tobytes() for x in again]
