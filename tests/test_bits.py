"""The contract of equal bits, a test for each line of the table in docs/bits.md.

`HOLDS` says on which backends a line holds; tests/emulator/test_bits.py has those of cupy.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import crossed, make_problem, over_time, problems, timed, with_gradients
from tolerances import state_dtype

import selscan
from selscan.backends import SIMULATED

pytestmark = pytest.mark.usefixtures("small_pieces")
few = settings(max_examples=3 if SIMULATED else 8)
bdl = {"layout": "bdl"}
CPU, NUMBA = "cpu", "numba_cuda"
HOLDS = {
    "run": (CPU, NUMBA, "cupy"),
    "threads": (CPU,),
    "batch": (CPU, NUMBA),
    "channels": (CPU, NUMBA),
    "groups": (CPU, NUMBA),
    "cut": (CPU, NUMBA),
    "packed": (CPU, NUMBA),
    "reverse": (CPU, NUMBA, "cupy"),
    "memory": (CPU, NUMBA),
    "step": (CPU, NUMBA),
    "states_at": (CPU, NUMBA),
    "scan2d": (CPU, NUMBA),
}
BY_STEP = ("u", "delta", "z")  # gradients that are no sum over batch or channels


def only_on(backend, line):
    """Skip a line that docs/bits.md does not have for a backend."""
    if backend.name not in HOLDS[line]:
        pytest.skip(f"docs/bits.md: not promised on {backend.name}")


def assert_bits(got, want, name=""):
    """The same dtype and the same bits; zeros have signs, and NaN is NaN."""
    assert (got is None) == (want is None), name
    if want is not None:
        assert (got.dtype, got.shape) == (want.dtype, want.shape), name
        got, want = np.ascontiguousarray(got), np.ascontiguousarray(want)
        same = (got.view(f"V{got.itemsize}") == want.view(f"V{got.itemsize}")) | (
            np.isnan(got) & np.isnan(want)
        )
        assert same.all(), f"{name}: {(~same).sum()} of {same.size} differ"


def part(values, index, axis):
    """Some entries of an axis of each result that has it."""
    return {x: v if v is None else v.take(index, axis) for x, v in values.items()}


def assert_all(got, want, names=None):
    for name in names or want:
        assert_bits(got[name], want[name], name)


def run(backend, problem):
    """By name: y, the last state, and the gradients that are no sums over batch or channels."""
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    y, last = backend.scan(**forward)
    backward = {x: v for x, v in problem.items() if x != "out_dtype"}
    found = backend.scan_backward(**backward)._asdict()
    return {"y": y, "last_state": last} | {f"d{x}": found[x] for x in (*BY_STEP, "initial_state")}


def entries(problem, index, axes):
    return problem | {x: problem[x].take(index, a) for x, a in axes.items() if x in problem}


PER_STEP = ("u", "delta", "z", "dy")
STATES = ("initial_state", "dlast_state")
drawn = problems(**bdl, out_dtype=None)


@few
@given(problem=drawn)
def test_run_to_run(backend, problem):
    only_on(backend, "run")
    problem = with_gradients(problem)
    assert_all(run(backend, problem), run(backend, problem))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_number_of_threads(backend, scan_threads, dtype):
    only_on(backend, "threads")
    problem = with_gradients(make_problem(b=2, d=70, n=9, l=70, dtype=dtype, seq_idx="many"))
    scan_threads(1)
    alone = run(backend, problem)
    scan_threads(3)
    assert_all(run(backend, problem), alone)


@few
@given(problem=drawn)
def test_a_batch_entry_alone_or_among_others(backend, problem):
    only_on(backend, "batch")
    problem = with_gradients(problem)
    whole = run(backend, problem)
    axes = dict.fromkeys(timed(problem) | set(STATES), 0)
    for i in range(len(problem["u"])):
        assert_all(run(backend, entries(problem, [i], axes)), part(whole, [i], 0))


@few
@given(problem=problems(**bdl, out_dtype=None, form_b="shared", form_c="shared"), data=st.data())
def test_channels_alone_or_with_others(backend, problem, data):
    only_on(backend, "channels")
    problem = with_gradients(problem)
    d = problem["u"].shape[1]
    index = sorted(data.draw(st.sets(st.integers(0, d - 1), min_size=1, max_size=5)))
    axes = dict.fromkeys((*PER_STEP, *STATES), 1) | dict.fromkeys(("A", "D", "delta_bias"), 0)
    some = run(backend, entries(problem, index, axes))
    assert_all(some, part(run(backend, problem), index, 1))


@few
@given(problem=problems(**bdl, out_dtype=None, form_b="grouped", form_c="grouped"))
def test_B_and_C_of_a_group_or_of_each_channel(backend, problem):
    only_on(backend, "groups")
    problem = with_gradients(problem)
    d = problem["u"].shape[1]
    own = {x: problem[x].repeat(d // problem[x].shape[1], axis=1) for x in "BC"}
    assert_all(run(backend, problem | own), run(backend, problem))


@few
@given(problem=drawn, data=st.data())
def test_a_sequence_whole_or_cut(backend, problem, data):
    only_on(backend, "cut")
    problem = with_gradients(problem)
    k = data.draw(st.integers(0, problem["u"].shape[-1]))
    parts = over_time(problem, lambda x: x[..., :k]), over_time(problem, lambda x: x[..., k:])
    first, second = parts[::-1] if problem["reverse"] else parts
    forward = {x: v for x, v in first.items() if x not in ("dy", "dlast_state")}
    state = crossed(problem, k, backend.scan(**forward)[1])
    second = second | {"initial_state": state}
    behind = run(backend, second)
    passed = crossed(problem, k, behind["dinitial_state"])
    before = run(backend, first | {"dlast_state": passed})
    whole = run(backend, problem)
    pair = (behind, before) if problem["reverse"] else (before, behind)
    # Where seq_idx changes at the cut, or nothing came before it, a state begins there.
    begins = "initial_state" not in problem or problem.get("seq_idx") is not None
    for name in ("y", "du", "ddelta", "dz"):
        if whole[name] is not None:
            joined = np.concatenate([x[name] for x in pair], axis=-1)
            assert_same_or_signed(joined, whole[name], name, begins)
    assert_same_or_signed(behind["last_state"], whole["last_state"], "last_state", begins)


def assert_same_or_signed(got, want, name, may_differ_in_signs_of_zero):
    """The same bits; zeros may differ in their sign where the state before was zero, not none."""
    if may_differ_in_signs_of_zero:
        got, want = got + np.zeros_like(got), want + np.zeros_like(want)
    assert_bits(got, want, name)


@few
@given(problem=problems(without={"initial_state"}, **bdl, out_dtype=None, seq_idx="two"))
def test_packed_or_separate(backend, problem):
    only_on(backend, "packed")
    problem = {x: v for x, v in with_gradients(problem).items() if x != "dlast_state"}
    whole, names = run(backend, problem), timed(problem)
    for i, numbers in enumerate(problem["seq_idx"]):
        for number in set(numbers.tolist()):
            steps = np.flatnonzero(numbers == number)
            own = {x: v[i : i + 1][..., steps] if x in names else v for x, v in problem.items()}
            found = run(backend, {x: v for x, v in own.items() if x != "seq_idx"})
            for name in ("y", "du", "ddelta", "dz"):
                if whole[name] is not None:
                    assert_bits(found[name], whole[name][i : i + 1][..., steps], name)


@few
@given(problem=drawn)
def test_reverse_or_flipped(backend, problem):
    only_on(backend, "reverse")
    problem = with_gradients(problem)
    flipped = over_time(problem, lambda x: x[..., ::-1].copy())
    found = run(backend, flipped | {"reverse": not problem["reverse"]})
    turned = {"y", "du", "ddelta", "dz"}
    found = {x: v[..., ::-1] if x in turned and v is not None else v for x, v in found.items()}
    assert_all(found, run(backend, problem))


@few
@given(problem=drawn)
def test_any_layout_and_strides(backend, problem):
    only_on(backend, "memory")
    problem = with_gradients(problem)
    names, by_step = timed(problem), {"y", "du", "ddelta", "dz"}
    dense = {x: np.moveaxis(v, -1, 1) if x in names else v for x, v in problem.items()}
    gaps = {
        x: np.repeat(v, 2, axis=-1)[..., ::2] if isinstance(v, np.ndarray) else v
        for x, v in dense.items()
    }
    want = run(backend, problem)
    found = run(backend, gaps | {"layout": "bld"})
    found = {
        x: np.moveaxis(v, 1, -1) if x in by_step and v is not None else v for x, v in found.items()
    }
    assert_all(found, want)


def step_at(problem, t, state):
    """The arguments of scan_step at one step."""
    left_out = {"reverse", "layout", "initial_state", "seq_idx"}
    step = {x: v for x, v in problem.items() if x not in left_out}
    step |= {x: problem[x][..., t] for x in timed(problem) - left_out}
    return step | {"state": state}


@few
@given(
    problem=problems(
        needed={"initial_state"}, **bdl, out_dtype=None, seq_idx=None, l=st.integers(1, 6),
        n=st.sampled_from([1, 3, 16, 17, 40] if not SIMULATED else [1, 3]),
    )
)  # fmt: skip
def test_a_scan_or_a_loop_of_steps(backend, problem):
    only_on(backend, "step")
    b, d, _ = problem["u"].shape
    if b == d and 2 in (problem["B"].ndim, problem["C"].ndim):
        return  # two axes are read as (b, n)
    state = problem["initial_state"].astype(state_dtype(problem))
    problem = problem | {"initial_state": state}
    y, last = backend.scan(**problem)
    state = state.copy()
    order = range(y.shape[-1])[::-1] if problem["reverse"] else range(y.shape[-1])
    for t in order:
        got, _ = backend.scan_step(**step_at(problem, t, state))
        assert_bits(got, y[..., t], f"y at {t}")
    assert_bits(state, last, "state")


@few
@given(problem=drawn, data=st.data())
def test_states_at_steps_are_last_states(backend, problem, data):
    only_on(backend, "states_at")
    l = problem["u"].shape[-1]
    steps = sorted(data.draw(st.sets(st.integers(0, l - 1), max_size=4))) if l else []
    y, last, states = backend.scan(**problem, return_states_at=steps)
    want = backend.scan(**problem)
    assert_bits(y, want[0], "y")
    assert_bits(last, want[1], "last_state")
    for i, t in enumerate(steps):
        some = slice(t, None) if problem["reverse"] else slice(t + 1)
        _, state = backend.scan(**over_time(problem, lambda x, some=some: x[..., some]))
        assert_bits(states[:, :, i], state, f"state at {t}")


PATHS = {
    "cross": selscan.paths.cross(3, 4),
    "bidirectional": selscan.paths.bidirectional(3, 4),
    "unidirectional": selscan.paths.unidirectional(3, 4),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scan2d_or_gather_scan_and_scatter(backend, path, dtype):
    only_on(backend, "scan2d")
    path, rng = PATHS[path], np.random.default_rng(0)
    b, k, d, n, l = 2, path.routes, 3, 2, path.length

    def numbers(*shape):
        return rng.normal(size=shape).astype(dtype)

    u, delta = numbers(b, d, 3, 4), numbers(b, k, d, 3, 4)
    A, D = -abs(numbers(k, d, n)), numbers(k, d)
    B, C = numbers(b, k, n, 3, 4), numbers(b, k, n, 3, 4)
    given = {"delta_softplus": True}
    y = backend.scan2d(u=u, delta=delta, A=A, B=B, C=C, D=D, path=path, merge=True, **given)

    def along(x):
        """Each route of x (b, k, c, h, w) in its order, (b, k, c, l)."""
        flat = x.reshape(*x.shape[:3], -1)
        return np.stack([flat[:, r][..., path.table[r]] for r in range(k)], 1)

    rows = {
        "u": along(np.broadcast_to(u[:, None], delta.shape)).reshape(b, k * d, l),
        "delta": along(delta).reshape(b, k * d, l),
        "A": A.reshape(k * d, n),
        "B": along(B),
        "C": along(C),
        "D": D.reshape(k * d),
    }
    found = backend.scan(**rows, **given)[0].reshape(b, k, d, l)
    scatter = backend._call(
        lambda y, backend: (selscan.scatter(y, path=path, merge=True, backend=backend),),
        {"y": found},
    )
    assert_bits(y, scatter[0], "y")
