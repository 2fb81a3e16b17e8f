"""Packed sequences: the state restarts where seq_idx changes, forward and backward."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategies import PLAIN, SEGMENTS, problems, timed, with_gradients
from tolerances import arithmetic, assert_same, assert_within, expected_gradients, wide

from selscan import ScanGrads

pytestmark = pytest.mark.usefixtures("small_pieces")
packed = {
    "layout": "bdl",
    "seq_idx": st.sampled_from([x for x in SEGMENTS if x]),
    "channels": (21, 3),
    "b": st.integers(1, 2),
    "l": st.sampled_from([1, 2, 7, 8, 9, 17, 33]),
}
plain = packed | {"dtype": st.sampled_from(PLAIN), "out_dtype": None}


def segments_of(problem, i):
    """The segments of a batch entry as slices, in the order of the scan."""
    row = problem["seq_idx"][i]
    ends = [0, *(np.flatnonzero(row[1:] != row[:-1]) + 1).tolist(), len(row)]
    slices = [slice(*pair) for pair in itertools.pairwise(ends)]
    return slices[::-1] if problem["reverse"] else slices


def alone(problem, i, segment):
    """A segment of a batch entry as a problem of its own."""
    whole = {"initial_state", "dlast_state"} & problem.keys()
    own = {x: problem[x][i : i + 1, ..., segment] for x in timed(problem) - {"seq_idx"}}
    own |= {x: problem[x][i : i + 1] for x in whole}
    segments = segments_of(problem, i)
    if "initial_state" in own and segment != segments[0]:
        own["initial_state"] = np.zeros_like(own["initial_state"])
    if "dlast_state" in own and segment != segments[-1]:
        own["dlast_state"] = np.zeros_like(own["dlast_state"])
    return {x: v for x, v in problem.items() if x != "seq_idx"} | own


def place_of(problem, name, i, segment):
    """Where a gradient of `alone` belongs in that of the whole."""
    if name in timed(problem):
        return np.s_[i : i + 1, ..., segment]
    if name == "initial_state":  # that of a later segment is zeros, not an input
        return np.s_[i : i + int(segment == segments_of(problem, i)[0])]
    return ...


def results(backend, problem):
    """Of the forward and the backward pass, by name."""
    y, last = backend.scan(**problem)
    return {"y": y, "last": last} | backend.scan_backward(**with_gradients(problem))._asdict()


@given(problems(**packed))
def test_packed_sequences_give_the_bits_of_each_alone(backend, problem):
    y, last = backend.scan(**problem)
    for i in range(len(y)):
        for segment in segments_of(problem, i):
            y_alone, last_alone = backend.scan(**alone(problem, i, segment))
            assert_same(y[i, :, segment], y_alone[0])
        assert_same(last[i], last_alone[0])


@given(problems(**plain))
def test_gradients_of_packed_sequences_are_those_of_each_alone(backend, problem):
    problem = with_gradients(problem)
    given = [x for x in ScanGrads._fields if x in problem]
    sums = {x: np.zeros_like(wide(problem[x])) for x in given}
    for i in range(len(problem["u"])):
        for segment in segments_of(problem, i):
            grads = backend.scan_backward(**alone(problem, i, segment))
            for name in given:
                sums[name][place_of(problem, name, i, segment)] += getattr(grads, name)
    bounds = ScanGrads(*(x if x is None else 2 * x for x in expected_gradients(problem)[1]))
    want = ScanGrads(*(sums.get(x) for x in ScanGrads._fields))
    assert_within(backend.scan_backward(**problem), want, bounds, arithmetic(problem))


@given(problems(**packed | {"seq_idx": "one"}))
def test_one_sequence_gives_the_bits_of_no_seq_idx(backend, problem):
    got = results(backend, problem)
    want = results(backend, {x: v for x, v in problem.items() if x != "seq_idx"})
    for name, value in got.items():
        assert_same(value, want[name], name)


@given(problems(**packed))
def test_only_the_changes_of_seq_idx_matter(backend, problem):
    seq_idx = problem["seq_idx"]
    changes = np.diff(seq_idx, axis=1, prepend=seq_idx[:, :1]) != 0
    other = np.dtype({"int32": "int64", "int64": "int32"}[seq_idx.dtype.name])
    numbered = problem | {"seq_idx": -np.cumsum(changes, axis=1).astype(other)}
    got, want = results(backend, numbered), results(backend, problem)
    for name, value in got.items():
        assert_same(value, want[name], name)


@given(problems(needed={"initial_state"}, **packed))
def test_the_initial_state_does_not_reach_a_later_segment(backend, problem):
    y, last = backend.scan(**problem)
    y_other, last_other = backend.scan(**problem | {"initial_state": problem["initial_state"] + 1})
    for i in range(len(y)):
        _, *later = segments_of(problem, i)
        for segment in later:
            assert_same(y[i, :, segment], y_other[i, :, segment])
        if later:
            assert_same(last[i], last_other[i])


@given(problems(**packed), st.data())
def test_gradients_do_not_cross_a_restart(backend, problem, data):
    problem = with_gradients(problem)
    i = data.draw(st.integers(0, len(problem["u"]) - 1))
    segments = segments_of(problem, i)
    changed = data.draw(st.sampled_from(segments))
    dy = problem["dy"].copy()
    dy[i, :, changed] += 1
    grads = backend.scan_backward(**problem)._asdict()
    other = backend.scan_backward(**problem | {"dy": dy})._asdict()
    for name in timed(problem) - {"dy", "seq_idx"}:
        for segment in [x for x in segments if x != changed]:
            assert_same(grads[name][i, ..., segment], other[name][i, ..., segment])
    if "initial_state" in problem and changed != segments[0]:
        assert_same(grads["initial_state"], other["initial_state"])


def test_a_sum_starts_again_where_seq_idx_changes(backend):
    one, A = np.ones((1, 1, 6), np.float32), np.zeros((1, 1), np.float32)
    problem = {"u": one, "delta": one, "A": A, "B": one, "C": one}
    problem["initial_state"] = np.full((1, 1, 1), 10, np.float32)
    problem["seq_idx"] = np.array([[0, 0, 5, -1, -1, 0]], np.int32)
    y, last = backend.scan(**problem)
    y_reverse, last_reverse = backend.scan(**problem, reverse=True)
    grads = backend.scan_backward(**problem | {"dy": one})
    assert_array_equal([y[0, 0], y_reverse[0, 0]], [[11, 12, 1, 1, 2, 1], [2, 1, 1, 2, 1, 11]])
    assert_array_equal([last[0, 0], last_reverse[0, 0]], [[1], [2]])
    assert_array_equal(grads.u[0, 0], [2, 1, 1, 2, 1, 1])
    assert_array_equal(grads.initial_state, [[[2]]])
