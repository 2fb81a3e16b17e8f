"""The contract of equal bits, a test for each line of the table in docs/bits.md.

`HOLDS` says on which backends a line holds; tests/emulator/test_bits.py has those of cupy.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from map_strategies import make_map_problem, with_dy
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


def forward_of(problem):
    """What a scan takes of the arguments of its gradient."""
    upstream = ("dy", "dlast_state", "dstates_at", "return_states_at")
    return {x: v for x, v in problem.items() if x not in upstream}


def run(backend, problem, names=(*BY_STEP, "initial_state")):
    """By name: y, the last state, and gradients; by default those that are no sums."""
    y, last = backend.scan(**forward_of(problem))
    backward = {x: v for x, v in problem.items() if x != "out_dtype"}
    found = backend.scan_backward(**backward)._asdict()
    return {"y": y, "last_state": last} | {f"d{x}": found[x] for x in names}


def entries(problem, index, axes):
    return problem | {x: problem[x].take(index, a) for x, a in axes.items() if x in problem}


# Every line has one problem whose numbers are not rounded to fewer bits, in several chunks.
SIZES = {"b": 2, "d": 21, "n": 6, "l": 20} if not SIMULATED else {"b": 2, "d": 4, "n": 3, "l": 9}
PLAIN = make_problem(**SIZES)
PER_STEP = ("u", "delta", "z", "dy")
STATES = ("initial_state", "dlast_state")
drawn = problems(**bdl, out_dtype=None)
longer = problems(**bdl, out_dtype=None, l=st.sampled_from([1, 9, 17, 20]))  # chunks have 8 steps


@few
@given(problem=drawn)
@example(PLAIN)
def test_run_to_run(backend, problem):
    only_on(backend, "run")
    problem, every = with_gradients(problem), selscan.ScanGrads._fields
    assert_all(run(backend, problem, every), run(backend, problem, every))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_number_of_threads(backend, scan_threads, dtype):
    only_on(backend, "threads")
    problem = with_gradients(make_problem(b=2, d=70, n=9, l=70, dtype=dtype, seq_idx="many"))
    every = selscan.ScanGrads._fields
    scan_threads(1)
    alone = run(backend, problem, every)
    scan_threads(3)
    assert_all(run(backend, problem, every), alone)


@few
@given(problem=drawn)
@example(PLAIN)
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
@example(PLAIN)
def test_B_and_C_of_a_group_or_of_each_channel(backend, problem):
    only_on(backend, "groups")
    problem = with_gradients(problem)
    d = problem["u"].shape[1]
    own = {x: problem[x].repeat(d // problem[x].shape[1], axis=1) for x in "BC"}
    assert_all(run(backend, problem | own), run(backend, problem))


@few
@given(problem=longer, data=st.data())
def test_a_sequence_whole_or_cut(backend, problem, data):
    only_on(backend, "cut")
    problem = with_gradients(problem)
    k = data.draw(st.integers(0, problem["u"].shape[-1]))
    assert_cut(backend, problem, k, run(backend, problem))


@pytest.mark.parametrize("k", [3, 8, 13])
def test_a_sequence_cut_within_a_chunk_or_between_two(backend, k):
    only_on(backend, "cut")
    problem = with_gradients(make_problem(**SIZES | {"l": 20}))
    assert_cut(backend, problem, k, run(backend, problem))


def assert_cut(backend, problem, k, whole, dstate=0):
    """The same from two calls, cut before step k; `dstate` is the gradient of the state there."""
    parts = over_time(problem, lambda x: x[..., :k]), over_time(problem, lambda x: x[..., k:])
    first, second = parts[::-1] if problem["reverse"] else parts
    state = crossed(problem, k, backend.scan(**forward_of(first))[1])
    second = second | {"initial_state": state}
    behind = run(backend, second)
    passed = crossed(problem, k, behind["dinitial_state"]) + dstate
    before = run(backend, first | {"dlast_state": passed})
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
@example(make_problem(**SIZES, given=("D", "z", "delta_bias"), seq_idx="two"))
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
@example(PLAIN)
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
@example(PLAIN)
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
        needed={"initial_state"}, **bdl, out_dtype=None, seq_idx=None, l=st.integers(1, 6)
    )
)
def test_a_scan_or_a_loop_of_steps(backend, problem):
    only_on(backend, "step")
    b, d, _ = problem["u"].shape
    if b == d and 2 in (problem["B"].ndim, problem["C"].ndim):
        return  # two axes are read as (b, n)
    assert_steps(backend, problem)


@pytest.mark.parametrize("n", [1, 3, 16, 17, 40] if not SIMULATED else [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_scan_or_a_loop_of_steps_over_neighbouring_states(backend, dtype, n):
    only_on(backend, "step")
    assert_steps(backend, make_problem(b=2, d=21 if not SIMULATED else 4, n=n, l=3, dtype=dtype))


def assert_steps(backend, problem):
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


@few
@given(problem=longer, data=st.data())
def test_the_gradient_of_a_state_is_that_of_a_scan_cut_there(backend, problem, data):
    only_on(backend, "states_at")
    t = data.draw(st.integers(0, problem["u"].shape[-1] - 1))
    problem = with_gradients(problem)
    dstate = (problem["dlast_state"] * 0.7).astype(state_dtype(problem))
    more = {"dstates_at": dstate[:, :, None], "return_states_at": [t]}
    assert_cut(
        backend, problem, t if problem["reverse"] else t + 1, run(backend, problem | more), dstate
    )


# All that the plan of a scan of maps chooses from: no copies, planes, windows, numbers one by one.
PATHS = {
    "cross": selscan.paths.cross(3, 4),
    "unidirectional": selscan.paths.unidirectional(3, 4),
    "padded": selscan.paths.window(3, 4, 2),
    "frames": selscan.paths.cross3d(2, 3, 2),
}
FORMS = {
    "few states": {"n": 2},
    "gaps": {"n": 5, "forms": ("sliced",) * 4},
    "u of each route": {"n": 5, "per_route": True},
}


def along(x, path):
    """Each route of maps (b, k, c, *size) in its order, (b, k, c, l); zeros at padding."""
    flat, table = x.reshape(*x.shape[:3], -1), path.table
    rows = [flat[:, r][..., table[r]] * (table[r] >= 0) for r in range(path.routes)]
    return np.stack(rows, 1).astype(x.dtype)


def rows_of(problem):
    """The scan of sequences behind a scan of maps, each route with channels of its own."""
    path, b = problem["path"], len(problem["u"])
    k, d, n = problem["A"].shape
    u = problem["u"]
    if u.ndim < problem["delta"].ndim:
        u = np.broadcast_to(u[:, None], problem["delta"].shape)
    return {
        "u": along(u, path).reshape(b, k * d, -1),
        "delta": along(problem["delta"], path).reshape(b, k * d, -1),
        "A": problem["A"].reshape(k * d, n),
        **{x: along(problem[x], path) for x in "BC"},
        **{x: problem[x].reshape(k * d) for x in ("D", "delta_bias")},
        "delta_softplus": problem["delta_softplus"],
    }


@pytest.mark.parametrize(
    ("path", "form", "dtype"),
    [*((x, form, "float32") for x in PATHS for form in FORMS), ("cross", "gaps", "float64")],
)
def test_maps_or_gather_scan_and_scatter(backend, path, form, dtype):
    only_on(backend, "scan2d")
    problem = with_dy(make_map_problem(PATHS[path], b=2, dtype=dtype, **FORMS[form]))
    dy, path, rows = problem.pop("dy"), problem["path"], rows_of(problem)
    shape = (2, *problem["A"].shape[:2], path.length)

    def scatter(y, merge):
        def move(y, backend):
            return (selscan.scatter(y, path=path, merge=merge, backend=backend),)

        return backend._call(move, {"y": y.reshape(shape)})[0]

    y = scatter(backend.scan(**rows)[0], True)
    assert_bits(backend.scan2d(**problem), y, "y")
    every_route = np.broadcast_to(dy[:, None], (2, path.routes, *dy.shape[1:]))
    rows["dy"] = along(every_route, path).reshape(rows["u"].shape)
    du, ddelta = backend.scan_backward(**rows)[:2]
    found = backend.scan2d_backward(dy, **problem)
    assert_bits(found[0], scatter(du, problem["u"].ndim < problem["delta"].ndim), "du")
    assert_bits(found[1], scatter(ddelta, False), "ddelta")
