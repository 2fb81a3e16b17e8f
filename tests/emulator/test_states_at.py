"""States after some steps on CUDA: the scan is cut there, its kernels emulated."""

import numpy as np
import pytest
from harness import to_numpy
from infinities import assert_like
from strategies import make_problem, over_time, with_gradients
from tolerances import arithmetic, assert_within, expected, expected_gradients

import selscan
from selscan.ops import scan as ops

from . import scan_cases
from .test_calls import LIBRARIES, call, devices, tensors_of  # noqa: F401 a fixture


def restarting(problem, step):
    """The problem with a sequence that begins at a step, of the last batch entry alone."""
    seq_idx = np.zeros((2, 40), np.int64)
    seq_idx[1, step:] = 1
    return problem | {"seq_idx": seq_idx}


CASES = {
    "plain": (make_problem(b=2, d=6, n=4, l=52), [0, 31, 40]),
    "no z": (make_problem(b=1, d=6, g=2, n=3, l=40, given=(), layout="bld"), [12, 39]),
    "reverse": (make_problem(b=2, d=4, n=3, l=37, reverse=True), [0, 5, 36]),
    "packed": (scan_cases.with_sequences(make_problem(b=2, d=4, n=2, l=40), 3), [7, 19, 39]),
    # A sequence begins where a piece does.
    "at a cut": (restarting(make_problem(b=2, d=4, n=2, l=40), 8), [7, 19]),
    "at a cut in reverse": (restarting(make_problem(b=2, d=4, n=2, l=40, reverse=True), 8), [8, 9]),
    "a cut alone": (restarting(make_problem(b=2, d=4, n=2, l=40), 8), [7, 8]),
    "every": (make_problem(b=1, d=2, n=2, l=4, form_b="constant"), [0, 1, 2, 3]),
    "complex": (scan_cases.with_complex(make_problem(b=1, d=4, n=3, l=30), ("B", "C")), [9, 10]),
}
case = pytest.mark.parametrize("case", CASES)


def states_of(problem, steps):
    """By the reference: the last states of shorter sequences, and their bounds."""
    found = []
    for t in steps:
        some = slice(t, None) if problem["reverse"] else slice(t + 1)
        layout = problem["layout"]
        dense = problem if layout == "bdl" else turned(problem)
        short = over_time(dense, lambda x, some=some: x[..., some]) | {"layout": "bdl"}
        (_, last), (_, bound) = expected(short)
        found.append((last, bound))
    return tuple(np.stack(x, 2) for x in zip(*found, strict=True))


def turned(problem):
    names = {"u", "delta", "z"} | {x for x in "BC" if problem[x].ndim > 2}
    return {
        x: np.moveaxis(v, 1, -1) if x in names & problem.keys() else v for x, v in problem.items()
    }


@case
@pytest.mark.parametrize("library", LIBRARIES)
def test_states_match_the_reference(devices, case, library):  # noqa: F811
    problem, steps = CASES[case]
    options = {"return_last_state": True, "return_states_at": steps}

    y, last, states = call(selscan.scan, library, problem, **options)

    want, bounds = expected(problem)
    more, more_bounds = states_of(problem, steps)
    pairs = (y, last, states), (*want, more), (*bounds, more_bounds)
    assert_within(*pairs, arithmetic(problem))


@case
def test_the_gradient_with_that_of_states_is_right(devices, case):  # noqa: F811
    problem, steps = CASES[case]
    problem = with_gradients(problem)
    shape = (*problem["dlast_state"].shape[:2], len(steps), problem["A"].shape[1])
    dstates = np.random.default_rng(5).normal(size=shape).astype(problem["dlast_state"].dtype)
    given = tensors_of(problem | {"dstates_at": dstates})

    found = selscan.scan_backward(**given, return_states_at=steps)

    # By linearity: the gradient of dy and dlast_state alone, and of each state alone.
    parts = [expected_gradients(problem)]
    parts += [gradient_of(problem, t, dstates[:, :, i]) for i, t in enumerate(steps)]
    for name, got in zip(ops.GRADIENT_OF, found, strict=True):
        if got is not None:
            want = sum(getattr(x, name) for x, _ in parts)
            bound = sum(getattr(x, name) for _, x in parts)
            assert_within(to_numpy(got), want, bound, arithmetic(problem))


def gradient_of(problem, t, dstate):
    """What one state's gradient adds: that of the last state of a shorter sequence, filled up."""
    dense = problem if problem["layout"] == "bdl" else turned(problem)
    if problem["layout"] == "bld":
        dense |= {"dy": np.moveaxis(problem["dy"], 1, -1)}
    some = slice(t, None) if problem["reverse"] else slice(t + 1)
    short = over_time(dense, lambda x: x[..., some]) | {"layout": "bdl"}
    short |= {"dy": np.zeros_like(short["dy"]), "dlast_state": dstate}
    return tuple(filled(x, problem, some) for x in expected_gradients(short))


def filled(gradients, problem, some):
    """Gradients of a part of the steps as those of all, in the layout of the problem."""
    timed = {"u", "delta", "z"} | {x for x in "BC" if problem[x].ndim > 2}
    found = {}
    for name, x in gradients._asdict().items():
        if x is None or name not in timed:
            found[name] = x
            continue
        length = problem["u"].shape[1 if problem["layout"] == "bld" else 2]
        whole = np.zeros((*x.shape[:-1], length), x.dtype)
        whole[..., some] = x
        found[name] = np.moveaxis(whole, -1, 1) if problem["layout"] == "bld" else whole
    return gradients._replace(**found)


def test_autograd_and_scan_backward_agree(devices):  # noqa: F811
    problem, steps = CASES["packed"]
    given = tensors_of(problem)
    given["u"].requires_grad_()

    y, states = selscan.scan(**given, return_states_at=steps)
    (y.square().sum() + states.square().sum()).backward()

    upstream = {"dy": 2 * y.detach(), "dstates_at": 2 * states.detach()}
    given["u"].requires_grad_(False)
    want = selscan.scan_backward(**given, **upstream, return_states_at=steps)
    assert given["u"].grad.equal(want.u)


@case
@pytest.mark.parametrize("where", [("u", 2), ("u", -7), ("A", 1), ("dy", 3), ("dy", -3)])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_infinities_are_where_the_reference_has_them(devices, case, where, value):  # noqa: F811
    """A launch that works again reads its inputs twice, and no state is a zero at a restart."""
    problem, steps = CASES[case]
    problem = with_gradients(problem)
    name, place = where
    problem[name] = problem[name].copy()
    problem[name].reshape(-1)[place] = value
    given = tensors_of(problem)
    forward = {x: v for x, v in given.items() if x not in ("dy", "dlast_state")}

    y, last, _ = selscan.scan(**forward, return_states_at=steps, return_last_state=True)
    found = selscan.scan_backward(**given, return_states_at=steps)

    known = {x: problem[x] for x in forward}
    assert_like((to_numpy(y), to_numpy(last)), *expected(known), problem)
    want, bounds = expected_gradients(problem)
    found = type(want)(*(x if x is None else to_numpy(x) for x in found))
    assert_like(found, want, bounds, problem)


def test_a_launch_for_each_piece_and_no_more(devices):  # noqa: F811
    problem, steps = CASES["plain"]

    selscan.scan(**tensors_of(problem), return_states_at=steps)

    assert len(devices.launches) == 1 + len(steps)


def test_no_steps_are_no_launches_more(devices):  # noqa: F811
    problem, _ = CASES["plain"]

    _, states = selscan.scan(**tensors_of(problem), return_states_at=[])

    assert states.shape == (2, 6, 0, 4)
    assert len(devices.launches) == 1


def test_pieces_are_cut_into_segments(devices):  # noqa: F811
    problem, steps = make_problem(b=1, d=2, n=1, l=10000), [4999]
    packed = scan_cases.with_sequences(problem, 3)

    for one in (problem, packed):
        before = len(devices.launches)
        y, states = selscan.scan(**tensors_of(one), return_states_at=steps)
        want, bound = expected(one)
        assert_within(to_numpy(y), want[0], bound[0], arithmetic(one))
        wanted, bounds = states_of(one, steps)
        assert_within(to_numpy(states), wanted, bounds, arithmetic(one))
        assert len(devices.launches) - before == 4


def test_an_infinity_stays_before_a_cut_in_segments(devices):  # noqa: F811
    problem = make_problem(b=1, d=2, n=1, l=10000, decay=0.3, step=0.1)
    wide = np.zeros((1, 20000), np.int32)
    wide[:, 10000:] = 1
    problem = with_gradients(problem | {"seq_idx": wide[:, ::2]})
    problem["u"][0, 1, 4000] = np.inf
    given = tensors_of(problem)
    forward = {x: v for x, v in given.items() if x not in ("dy", "dlast_state")}

    y, _ = selscan.scan(**forward, return_states_at=[4999])
    found = selscan.scan_backward(**given, return_states_at=[4999])

    want, bounds = expected({x: problem[x] for x in forward})
    assert_like((to_numpy(y),), want[:1], bounds[:1], problem)
    want, bounds = expected_gradients(problem)
    found = type(want)(*(x if x is None else to_numpy(x) for x in found))
    assert_like(found, want, bounds, problem)
