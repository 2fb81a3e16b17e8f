"""Scans in many chunks, with several blocks of channels in a task, against the reference."""

import pytest
from hypothesis import given
from strategies import problems
from test_scan import Checked

pytestmark = pytest.mark.usefixtures("small_pieces")


@given(problem=problems())
def test_scan_in_small_pieces_matches_the_reference(backend, problem):
    Checked(problem).assert_matches_reference(backend)


@given(problem=problems(l=20, channels=(70, 1), b=1))
def test_scan_of_tasks_of_several_blocks_matches_the_reference(backend, problem):
    Checked(problem).assert_matches_reference(backend)
