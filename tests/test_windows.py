"""Windows: at each step of a route the square of its pixel is in scratch, and no other one there.

A walk over the lists, as the kernels take it, chunk by chunk in either direction.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_strategies import PATHS
from path_strategies import paths

from selscan.backends.cpu import windows
from selscan.backends.cpu.windows import AFTER, BEFORE, NOT_HERE, NOWHERE
from selscan.paths import cross

LANES = 4


def squares(made, begin, starts, r, c, chunks):
    """Those of a chunk: (row, column, place, flags) each."""
    first, last = made.table[starts + r * chunks + c :][:2]
    return made.table[begin:].ravel()[4 * first : 4 * last].reshape(-1, 4)


def walk(path, columns, chunk, backward):
    """Check one direction; how many places are in use at most."""
    made = windows.windows_of(path, columns, chunk, LANES)
    chunks, most = -(-path.length // chunk), 0
    come, go = (made.first, made.first_starts), (made.last, made.last_starts)
    if backward:
        come, go = go, come
    rows = path.pixels // columns
    for r in range(path.routes):
        scratch, listed, written = np.full(made.places, -1), [], []
        for c in range(chunks)[:: -1 if backward else 1]:
            for i, j, place, flags in squares(made, *come, r, c, chunks):
                pixels = i * columns + np.arange(j, min(j + LANES, columns))
                listed += pixels.tolist()
                here = path.inverse[:, pixels] >= 0
                assert bool(flags & BEFORE) == here[:r].any()
                assert bool(flags & AFTER) == here[r + 1 :].any()
                assert bool(flags & NOT_HERE) != here[r].any()
                assert bool(flags & NOWHERE) != here.any()
                if not flags & NOT_HERE:
                    assert (scratch[place : place + LANES] == -1).all()
                    scratch[place : place + len(pixels)] = pixels
            most = max(most, (scratch >= 0).sum())
            steps = np.arange(c * chunk, min((c + 1) * chunk, path.length))
            places = made.table[r * path.length + steps]
            visited = path.table[r, steps]
            assert ((places < 0) == (visited < 0)).all()
            assert (scratch[places[places >= 0]] == visited[visited >= 0]).all()
            for i, j, place, flags in squares(made, *go, r, c, chunks):
                pixels = i * columns + np.arange(j, min(j + LANES, columns))
                written += pixels.tolist()
                if not flags & NOT_HERE:
                    assert (scratch[place : place + len(pixels)] == pixels).all()
                    scratch[place : place + LANES] = -1
                else:
                    assert (scratch[place : place + LANES] == -1).all()  # of zeros
        assert sorted(listed) == sorted(written) == list(range(rows * columns))
        assert (scratch == -1).all()
    return most


@pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("backward", [False, True])
def test_the_square_of_every_step_is_there(path, dense, backward):
    walk(path, path.pixels if dense else path.width, 8, backward)


@given(paths(), st.booleans(), st.sampled_from([1, 3, 8, 100]), st.booleans())
def test_the_square_of_every_step_of_any_path_is_there(path, dense, chunk, backward):
    walk(path, path.pixels if dense else path.width, chunk, backward)


def test_a_walk_along_columns_has_a_strip_of_the_map():
    path = cross(64, 64)

    most = walk(path, 64, 16, False)

    assert most <= (64 + 16) * LANES < 64 * 64
    assert windows.windows_of(path, 64, 16, LANES).places <= most + LANES


def test_a_window_is_counted_where_results_are_kept():
    made = windows.windows_of(cross(5, 7), 7, 8, LANES)

    assert made.nbytes == made.table.nbytes >= 4 * 4 * 35
