"""Runs of constant stride: they are the table again, and as few as can be."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from path_strategies import extra, paths, tables

from selscan.paths import MAKERS, Path, atrous, cross, unidirectional, window


@st.composite
def stretches(draw):
    """A table with few strides, so that there are runs of any length next to one another."""
    row, pixel = [], draw(st.integers(0, 9))
    for stride in draw(st.lists(st.sampled_from([1, 1, 1, 2, 2, 7, -1]), max_size=30)):
        row.append(-1 if stride < 0 else pixel)
        pixel += abs(stride)
    row.append(pixel)
    return np.array([row, row[::-1]]), pixel + 1


TABLES = st.one_of(tables(), stretches())


def rebuilt(path):
    """The table, from the runs."""
    table = np.full_like(path.table, -9)
    for k in range(path.routes):
        for start, stride, count, position in path.runs.table[slice(*path.runs.first[k : k + 2])]:
            for i in range(count):
                table[k, position + i] = start + i * stride
    return table


def is_run(steps):
    """Whether steps of a route are all padding, or none is and their stride is constant."""
    if min(steps) < 0:
        return max(steps) < 0
    return len({after - step for step, after in itertools.pairwise(steps)}) <= 1


def fewest_runs(route):
    """The least number of runs that a route can be cut into, over all ways to cut it."""
    fewest = [0]
    for end in range(1, len(route) + 1):
        cuts = [cut for cut in range(end) if is_run(route[cut:end])]
        fewest.append(1 + min(fewest[cut] for cut in cuts))
    return fewest[-1]


@given(TABLES)
def test_runs_are_the_table_again(drawn):
    table, pixels = drawn
    path = Path(table, 1, pixels)

    assert_array_equal(rebuilt(path), table)
    assert path.runs.table[:, 2].sum() == table.size
    assert path.runs.first[-1] == len(path.runs.table)


@given(TABLES)
def test_a_route_has_as_few_runs_as_can_be(drawn):
    table, pixels = drawn

    runs = Path(table, 1, pixels).runs

    assert np.diff(runs.first).tolist() == [fewest_runs(route) for route in table.tolist()]


@given(paths())
def test_padding_is_a_run_of_its_own(path):
    start, stride, count, _ = path.runs.table.T

    assert count.min() > 0
    assert (start >= -1).all()
    assert not stride[start < 0].any()
    assert count[start < 0].sum() == (path.table < 0).sum()


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        (unidirectional(3, 4), [(0, 1, 12, 0)]),
        (Path.of(3, 4, "h_flip"), [(11, -1, 12, 0)]),
        (Path.of(3, 4, "v"), [(0, 4, 3, 0), (1, 4, 3, 3), (2, 4, 3, 6), (3, 4, 3, 9)]),
        (Path.of(2, 3, "w2"), [(0, 1, 2, 0), (3, 1, 2, 2), (2, 0, 1, 4), (-1, 0, 1, 5),
                               (5, 0, 1, 6), (-1, 0, 1, 7)]),
        (Path.of(1, 2, "w3"), [(0, 1, 2, 0), (-1, 0, 7, 2)]),
        (Path.of(1, 1, "h"), [(0, 0, 1, 0)]),
    ],
)  # fmt: skip
def test_the_runs_of_a_known_route(path, runs):
    assert path.runs.table.tolist() == [list(run) for run in runs]


@pytest.mark.parametrize(
    ("path", "mean_length"),
    [
        # Two routes of one run, and two of a run for each column.
        (cross(56, 56), 4 * 56 * 56 / (2 + 2 * 56)),
        (atrous(56, 56), 28),
        # A row of the map each, in windows of 7.
        (window(56, 56, 7), 7),
        # Windows as wide as the map are its rows, one after the other.
        (window(14, 2, 2), 28),
    ],
)
def test_the_mean_length_of_the_runs(path, mean_length):
    assert path.runs.mean_length == pytest.approx(mean_length, rel=0.03)


@pytest.mark.parametrize("name", MAKERS)
def test_runs_are_found_once_and_read_only(name):
    path = MAKERS[name](3, 5, *extra(MAKERS[name]))

    assert path.runs is path.runs
    for array in path.runs:
        assert array.dtype == np.int32
        assert array.flags.c_contiguous
        assert not array.flags.writeable
