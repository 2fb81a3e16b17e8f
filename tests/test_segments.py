"""Segments of packed sequences: the table of each chunk against a literal walk."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from vectors import address

from selscan.backends.cpu import layout as at
from selscan.backends.cpu import segments
from selscan.backends.cpu.formats import CODES

GUARD = -12345


@njit
def segments_of_chunk(args, scratch, b, c, found):
    """Write (first row in scan order, the one behind, restarts) of each segment; their number."""
    table = segments.segment_table(args, scratch)
    segments.find_segments(args, table, b, 0, c)
    count = segments.segments_of(table)
    for i in range(count):
        found[i, 0], found[i, 1], found[i, 2] = segments.segment(table, i)
    return count


def arguments(seq_idx, length, chunk, reverse):
    """The argument array of a scan with an initial state, as far as segments look at it."""
    args = np.zeros(at.END, np.int64)
    args[at.INITIAL_STATE] = 1  # an address, which nobody follows
    args[at.LENGTH], args[at.CHUNK], args[at.REVERSE] = length, chunk, reverse
    args[at.CHUNKS] = -(-length // chunk)
    if seq_idx is not None:
        args[at.SEQ_IDX] = address(seq_idx)
        args[at.SEQ_IDX + at.DTYPE] = CODES[seq_idx.dtype.name]
        args[at.SEQ_IDX + at.STEP_B], args[at.SEQ_IDX + at.STEP_T] = seq_idx.strides
    return args


def found_by_table(seq_idx, length, chunk, reverse, b):
    """The segments of every chunk in scan order."""
    args = arguments(seq_idx, length, chunk, reverse)
    table = np.full(segments.table_size(chunk) // 8 + 1, GUARD)
    found = np.full((chunk, 3), GUARD)
    chunks = []
    for c in range(args[at.CHUNKS]):
        count = segments_of_chunk(args, address(table), b, c, found)
        chunks.append([tuple(row) for row in found[:count].tolist()])
    assert table[-1] == GUARD
    return chunks


def expected(seq_idx, length, chunk, reverse):
    """The same from one batch entry of seq_idx, step by step."""
    in_order = range(length)[::-1] if reverse else range(length)
    restarts = {
        t: seq_idx is not None and seq_idx[t] != seq_idx[before]
        for before, t in itertools.pairwise(in_order)
    } | {in_order[0]: False}
    chunks = []
    for first in range(0, length, chunk):
        steps = in_order[first : first + chunk]
        runs = []
        for t in steps:
            if restarts[t] or not runs:
                runs.append([])
            runs[-1].append(t)
        ends = list(itertools.accumulate(map(len, runs), initial=0))
        pairs = zip(runs, itertools.pairwise(ends), strict=True)
        chunks.append([(first, end, restarts[run[0]]) for run, (first, end) in pairs])
    return chunks


def strided(rows, how):
    """The same numbers with other strides."""
    b, length = rows.shape
    if how == "transposed":
        return rows.T.copy().T
    if how == "backwards":
        return rows[:, ::-1].copy()[:, ::-1]
    if how == "every third":
        memory = np.full((b, 3 * length), -1, rows.dtype)
        memory[:, ::3] = rows
        return memory[:, ::3]
    if how == "at an odd address":
        memory = np.zeros(rows.nbytes + 1, np.uint8)
        view = memory[1:].view(rows.dtype).reshape(rows.shape)
        view[...] = rows
        return view
    return rows


STRIDES = ("dense", "transposed", "backwards", "every third", "at an odd address")


@st.composite
def packed(draw):
    """seq_idx of two batch entries: often long runs, often changes at every step; any integers."""
    length, dtype = draw(st.integers(1, 40)), draw(st.sampled_from(["int32", "int64"]))
    largest = np.iinfo(dtype).max
    few = st.integers(0, draw(st.sampled_from([0, 1, 5])))
    value = draw(st.sampled_from([few, st.integers(-largest - 1, largest)]))
    rows = draw(st.lists(st.lists(value, min_size=length, max_size=length), min_size=2, max_size=2))
    rows = np.array(rows, dtype)
    return strided(np.sort(rows) if draw(st.booleans()) else rows, draw(st.sampled_from(STRIDES)))


@settings(max_examples=200)
@given(seq_idx=packed(), chunk=st.integers(1, 41), reverse=st.booleans(), b=st.integers(0, 1))
def test_segments_are_those_of_a_literal_walk(seq_idx, chunk, reverse, b):
    length = seq_idx.shape[1]
    chunk = min(chunk, length)

    found = found_by_table(seq_idx, length, chunk, reverse, b)

    assert found == expected(seq_idx[b].tolist(), length, chunk, reverse)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_step_may_be_a_segment(dtype, reverse):
    seq_idx = np.arange(12, dtype=dtype)[None]

    found = found_by_table(seq_idx, 12, 4, reverse, 0)

    assert found[0] == [(i, i + 1, i > 0) for i in range(4)]  # the first does not restart
    assert found[1] == found[2] == [(i, i + 1, True) for i in range(4)]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_change_between_two_chunks_restarts_the_second(reverse):
    seq_idx = np.repeat(np.array([[0, 1]]), 4, axis=1)

    assert found_by_table(seq_idx, 8, 4, reverse, 0) == [[(0, 4, False)], [(0, 4, True)]]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_the_ends_of_an_integer_differ(dtype, reverse):
    info = np.iinfo(dtype)
    seq_idx = np.array([[info.min, info.max, info.min, 0]], dtype)

    [chunk] = found_by_table(seq_idx, 4, 4, reverse, 0)

    assert len(chunk) == 4


@pytest.mark.parametrize("reverse", [False, True])
def test_one_number_for_all_steps_is_one_sequence(reverse):
    seq_idx = np.broadcast_to(np.array([[7]]), (2, 9))
    assert seq_idx.strides == (0, 0)

    found = found_by_table(seq_idx, 9, 4, reverse, 1)

    assert found == [[(0, 4, False)], [(0, 4, False)], [(0, 1, False)]]


@pytest.mark.parametrize("reverse", [False, True])
def test_without_seq_idx_a_chunk_is_one_segment(reverse):
    assert found_by_table(None, 9, 4, reverse, 0) == expected(None, 9, 4, reverse)
    assert expected(None, 5, 4, reverse) == [[(0, 4, False)], [(0, 1, False)]]


def test_a_table_that_was_used_before_is_found_anew():
    packed, one = np.array([[0, 1, 2, 3]]), np.array([[5, 5, 5, 5]])
    table, found = np.full(segments.table_size(4) // 8, GUARD), np.zeros((4, 3), np.int64)

    many = segments_of_chunk(arguments(packed, 4, 4, False), address(table), 0, 0, found)
    few = segments_of_chunk(arguments(one, 4, 4, False), address(table), 0, 0, found)

    assert (many, few) == (4, 1)
    assert tuple(found[0]) == (0, 4, 0)


def test_without_an_initial_state_the_first_step_begins_one():
    args = arguments(None, 9, 4, False)
    args[at.INITIAL_STATE] = 0
    table, found = np.full(segments.table_size(4) // 8, GUARD), np.zeros((4, 3), np.int64)

    begins = []
    for c in range(3):
        segments_of_chunk(args, address(table), 0, c, found)
        begins.append(int(found[0, 2]))

    assert begins == [1, 0, 0]
