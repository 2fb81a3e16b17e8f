"""The pieces of a path: every visit once, where it is on the map and in the panel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_strategies import PATHS
from path_strategies import paths

from selscan.backends.cpu import pieces
from selscan.paths import Path, atrous, cross, window


def visits_of(path, steps, dense):
    """(route, step) -> pixel, from the pieces alone."""
    table, first, positions = pieces.find_pieces(path, steps, dense)
    panels = -(-path.length // steps)
    assert len(first) == path.routes * panels + 1
    found = np.full((path.routes, panels * steps), -1)
    for panel in range(len(first) - 1):
        route, start = panel // panels, panel % panels * steps
        for row, column, move, count, place, step in table[
            first[panel] : first[panel + 1]
        ].tolist():
            for i in range(count):
                pixel = row * path.width + column + i * move
                assert dense or pixel // path.width == row
                at = place + i * step if step else positions[place + i]
                assert found[route, start + at] == -1
                found[route, start + at] = pixel
    assert (found[:, path.length :] == -1).all()
    return found[:, : path.length]


@given(path=paths() | st.sampled_from(list(PATHS.values())), steps=st.integers(1, 40))
@pytest.mark.parametrize("dense", [True, False])
def test_every_visit_is_in_one_piece(path, steps, dense):
    np.testing.assert_array_equal(visits_of(path, steps, dense), path.table)


def test_rows_are_one_piece_and_columns_one_for_each_row_of_the_map():
    found = pieces.find_pieces(Path.of(6, 8, "h", "v_flip"), 24, True)

    assert found.first.tolist() == [0, 1, 2, 8, 14]
    assert found.table[1].tolist() == [3, 0, 1, 24, 0, 1]
    assert found.table[3].tolist() == [1, 4, 1, 4, 22, -6]


def test_all_columns_are_one_piece_whose_steps_are_listed():
    found = pieces.find_pieces(Path.of(2, 3, "v"), 6, True)

    assert found.table.tolist() == [[0, 0, 1, 6, 0, 0]]
    assert found.positions.tolist() == [0, 2, 4, 1, 3, 5]


def test_windows_are_one_piece_for_each_row_of_the_map():
    found = pieces.find_pieces(window(4, 8, 2), 32, False)

    assert found.table[:4, :4].tolist() == [[i, 0, 1, 8] for i in range(4)]
    assert found.table[0, 5] == 0
    assert found.positions[:8].tolist() == [0, 1, 4, 5, 8, 9, 12, 13]


@pytest.mark.parametrize(
    ("path", "chunks"),
    [
        (Path.of(56, 56, "h", "h_flip"), 1),
        (atrous(56, 56), 1),
        (cross(14, 14), 1),
        (cross(56, 56), 16),
        (cross(312, 312), 16),
    ],
    ids=str,
)
def test_panels_are_longer_than_chunks_where_columns_are_visited(path, chunks):
    assert pieces.panel_chunks(path, 256, 16) == chunks


@given(path=paths(), backward=st.booleans())
def test_a_fresh_route_meets_no_pixel_of_an_earlier_one(path, backward):
    fresh, everywhere = pieces.fresh_routes(path, backward)
    order = range(path.routes)
    order = order[::-1] if path.joined and backward else order
    written, stored = set(), set()
    for r in order:
        pixels = set(path.table[r][path.table[r] >= 0].tolist())
        assert fresh[r] == (not written & pixels)
        written |= pixels
        stored |= pixels if fresh[r] else set()
    assert everywhere == (len(stored) == path.height * path.width)


def test_tables_cannot_be_written():
    for table in pieces.find_pieces(cross(3, 4), 8, True):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
