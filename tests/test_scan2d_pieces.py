"""`scan2d` in many chunks and blocks, against the reference."""

import pytest
from hypothesis import given
from map_strategies import FORMS, PATHS, make_map_problem, map_problems
from test_scan2d import assert_matches_reference

from selscan.paths import MAKERS, Path

pytestmark = pytest.mark.usefixtures("small_pieces")


@pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
def test_every_path_in_small_pieces_matches_the_reference(backend, path):
    assert_matches_reference(backend, make_map_problem(path, d=35, n=5))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("joined", [False, True])
def test_every_form_in_small_pieces_matches_the_reference(backend, form, joined):
    path = Path.of(9, 7, "w2", "v", "h_flip", joined=joined)
    assert_matches_reference(backend, make_map_problem(path, forms=(form,) * 4, b=2))


@pytest.mark.parametrize("dtype", ["complex64", "float16", "float64"])
def test_every_dtype_in_small_pieces_matches_the_reference(backend, dtype):
    assert_matches_reference(backend, make_map_problem(MAKERS["cross"](5, 9), dtype=dtype, n=17))


@given(problem=map_problems())
def test_any_problem_in_small_pieces_matches_the_reference(backend, problem):
    assert_matches_reference(backend, problem)
