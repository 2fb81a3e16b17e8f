"""`scan` and `scan_backward` against the reference, element by element, in every shape and form."""

import functools

import numpy as np
import pytest
from hypothesis import given
from strategies import (
    CHUNK,
    DTYPES,
    FORMS,
    IMAGINARY,
    REAL,
    SEGMENTS,
    SMALL,
    make_problem,
    pairwise,
    problems,
    with_gradients,
)
from tolerances import (
    arithmetic,
    assert_within,
    expected,
    expected_gradients,
    result_dtype,
    state_dtype,
)

from selscan.backends import SIMULATED

OPTIONS = pairwise(
    dtype=DTYPES,
    seq_idx=SEGMENTS,
    out_dtype=(None, *REAL),
    imaginary=IMAGINARY,
    layout=("bdl", "bld"),
    form_b=FORMS,
    form_c=FORMS,
    D=(True, False),
    z=(True, False),
    delta_bias=(True, False),
    initial_state=(True, False),
    delta_softplus=(True, False),
    reverse=(True, False),
    last=(True, False),
)
# b, d, g, n, l: every length and number of states of strategies.py, in and out of vectors.
SHAPES = (
    (1, 1, 1, 1, 1), (2, 3, 1, 2, 2), (3, 3, 3, 3, 3), (1, 15, 1, 4, 15), (1, 16, 1, 16, 16),
    (2, 17, 1, 5, 17), (1, 33, 1, 8, 31), (1, 34, 2, 16, 32), (1, 15, 5, 17, 33),
    (1, 16, 16, 3, 63), (1, 9, 3, 4, 64), (1, 5, 1, 20, 65), (1, 6, 2, 16, 127), (2, 4, 2, 1, 128),
    (1, 3, 1, 64, 129), (1, 2, 1, 5, 200), (1, 70, 1, 4, 3), (1, 70, 70, 2, 2), (1, 66, 2, 20, 1),
    (2, 1, 1, 8, CHUNK - 1), (1, 3, 3, 1, CHUNK), (2, 3, 1, 5, CHUNK + 1),
    (1, 2, 1, 4, 2 * CHUNK + 1),
)  # fmt: skip
if SIMULATED:
    SHAPES = tuple(shape for shape in SHAPES if np.prod(shape) < 700)
# The same around the ends of chunks, where segments may end as well.
PACKED = ((2, 17, 1, 5, CHUNK - 1), (1, 3, 3, 1, CHUNK), (2, 3, 1, 5, 2 * CHUNK + 1))
# Enough work for two threads: several chunks, tasks in each group, blocks in each task.
LARGE = ((1, 36, 2, 9, CHUNK + 3), (1, 70, 2, 16, 70), (3, 240, 6, 9, 13))
EMPTY = ((0, 3, 1, 2, 4), (2, 0, 1, 2, 4), (2, 3, 1, 2, 0), (0, 0, 1, 1, 0))


def name_of(case):
    """A row of OPTIONS as the name of a test."""
    return "-".join(str(x if v is True else v) for x, v in case.items() if v)


class Checked:
    """A problem with what the reference makes of it: for every backend and framework the same."""

    def __init__(self, problem, last=True):
        self.forward, self.backward = problem, with_gradients(problem, last=last)
        self.expected, self.gradients = expected(problem), expected_gradients(self.backward)

    def assert_matches_reference(self, backend):
        """y, the last state and all gradients."""
        problem = self.forward
        results = backend.scan(**problem)
        assert [x.dtype for x in results] == [result_dtype(problem), state_dtype(problem)]
        assert_within(results, *self.expected, arithmetic(problem))
        problem = self.backward
        grads = backend.scan_backward(**problem)
        for name, grad in grads._asdict().items():
            assert grad is None or grad.dtype == problem[name].dtype
        assert_within(grads, *self.gradients, arithmetic(problem))


@functools.cache
def problem_of_options(row):
    options = OPTIONS[row]
    optional = ("D", "z", "delta_bias", "initial_state")
    given = [x for x in optional if options[x]]
    others = {x: v for x, v in options.items() if x not in (*optional, "last")}
    return Checked(make_problem(**SMALL, given=given, **others), options["last"])


@functools.cache
def problem_of_shape(shape, **options):
    b, d, g, n, l = shape
    return Checked(make_problem(b=b, d=d, g=g, n=n, l=l, **options))


@pytest.mark.parametrize("row", [pytest.param(i, id=name_of(x)) for i, x in enumerate(OPTIONS)])
def test_scan_with_any_two_options_matches_the_reference(backend, row):
    problem_of_options(row).assert_matches_reference(backend)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scan_of_any_shape_matches_the_reference(backend, shape, dtype):
    problem_of_shape(shape, dtype=dtype).assert_matches_reference(backend)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("seq_idx", ["two", "many", "every"])
@pytest.mark.parametrize("shape", PACKED, ids=str)
def test_scan_of_packed_sequences_of_any_length_matches_the_reference(
    backend, shape, seq_idx, dtype
):
    problem_of_shape(shape, seq_idx=seq_idx, dtype=dtype).assert_matches_reference(backend)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_scan_by_several_threads_matches_the_reference(backend, shape, dtype, reverse):
    b, d, _, n, l = shape
    assert b * d * n * l > 2**16
    problem = problem_of_shape(shape, dtype=dtype, reverse=reverse, seq_idx="two")
    problem.assert_matches_reference(backend)


@given(problem=problems())
def test_scan_of_any_problem_matches_the_reference(backend, problem):
    Checked(problem).assert_matches_reference(backend)


@pytest.mark.slow
@pytest.mark.parametrize(("form_b", "form_c"), [("constant", "shared"), ("shared", "constant")])
def test_scan_in_float64_with_one_constant_coefficient_matches_the_reference(
    backend, form_b, form_c
):
    problem = make_problem(**SMALL, dtype="float64", form_b=form_b, form_c=form_c)
    Checked(problem).assert_matches_reference(backend)


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
@pytest.mark.parametrize("shape", EMPTY, ids=str)
def test_scan_of_empty_arrays_passes_the_state_on(backend, shape, dtype, layout):
    problem = problem_of_shape(shape, dtype=dtype, layout=layout, seq_idx="any")
    _, last = backend.scan(**problem.forward)
    grads = backend.scan_backward(**problem.backward)
    problem.assert_matches_reference(backend)
    np.testing.assert_array_equal(last, problem.forward["initial_state"])
    np.testing.assert_array_equal(grads.initial_state, problem.backward["dlast_state"])
    assert not grads.A.any()


def test_scan_without_a_state_starts_from_zero(backend):
    problem = make_problem(l=0, given=())
    _, last = backend.scan(**problem)
    np.testing.assert_array_equal(last, np.zeros((2, 5, 4)))
