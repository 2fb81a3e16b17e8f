"""Scans of many chunks against the reference."""

import pytest
from hypothesis import given
from strategies import problems
from test_scan import assert_matches_reference

pytestmark = pytest.mark.usefixtures("short_chunks")


@given(problem=problems())
def test_scan_of_many_chunks_matches_the_reference(backend, problem):
    assert_matches_reference(backend, problem)


@given(problem=problems(l=25, channels=(40, 2), b=1))
def test_scan_of_many_chunks_and_blocks_matches_the_reference(backend, problem):
    assert_matches_reference(backend, problem)
