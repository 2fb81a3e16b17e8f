"""Under jax.jit: values and gradients against the reference, in every form, dtype and option."""

import re

import numpy as np
import pytest
from bad_inputs import SECTIONS, cases
from calls import EVERY, arguments
from hypothesis import given, settings
from hypothesis import strategies as st
from map_strategies import make_map_problem, map_problems
from strategies import HALF, PLAIN, problems
from test_contract import name_of
from test_scan import (
    EMPTY,
    LARGE,
    OPTIONS,
    Checked,
    problem_of_options,
    problem_of_shape,
)
from test_scan2d import assert_matches_reference as assert_map_matches
from test_scan_step import CASES as STEPS
from test_scan_step import assert_matches_reference as assert_step_matches
from test_scan_step import step_problem
from tolerances import TOLERANCES

import selscan
from selscan.paths import Path

jax = pytest.importorskip("jax")

from jitted import Jitted, split  # noqa: E402, imports jax

JITTED = Jitted()


@pytest.fixture(scope="module", autouse=True)
def flushed():
    """XLA flushes subnormal numbers of float32 to zero, also where the arithmetic is float64."""
    double = np.dtype(np.float64)
    smallest = float(np.finfo(np.float32).tiny)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TOLERANCES, double, TOLERANCES[double]._replace(underflow=smallest))
        yield


# Of values; not of what a kernel would update in place, which JAX has not.
IN_PLACE = [x for group in SECTIONS["The state of a step"] for x in group.cases()]
REFUSED = [
    x
    for x in cases()
    if x.framework == "numpy" and x.error is ValueError and x.function in EVERY
    if x not in IN_PLACE
]
few = settings(max_examples=15)  # each is two programs to compile
# Where numbers of 16 bits come from float64, XLA rounds twice, as NumPy does.
dtypes = st.sampled_from([*PLAIN, *HALF])


@pytest.mark.parametrize("row", range(len(OPTIONS)))
def test_any_two_options_match_the_reference(row):
    problem_of_options(row).assert_matches_reference(JITTED)


@few
@given(problem=problems(dtype=dtypes, out_dtype=st.sampled_from([None, "float32"])))
def test_any_problem_matches_the_reference(problem):
    Checked(problem).assert_matches_reference(JITTED)


@pytest.mark.parametrize("shape", [*EMPTY, *LARGE], ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "complex64"])
def test_any_size_matches_the_reference(shape, dtype):
    problem_of_shape(shape, dtype=dtype).assert_matches_reference(JITTED)


@pytest.mark.parametrize("case", STEPS, ids=lambda case: "-".join(map(str, case.values())))
def test_a_step_matches_the_reference(case):
    assert_step_matches(JITTED, step_problem(b=2, d=34, g=2, **case))


@few
@given(problem=dtypes.flatmap(lambda dtype: map_problems(dtype=dtype, out_dtype=None)))
def test_any_map_matches_the_reference(problem):
    assert_map_matches(JITTED, problem)


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_a_path_matches_the_reference(dtype, joined, merge):
    path = Path.of(5, 7, "w2", "v", "h_flip", joined=joined)
    problem = make_map_problem(path, b=2, dtype=dtype, merge=merge, per_route=joined)
    assert_map_matches(JITTED, problem)


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_shapes_and_options_are_refused_as_of_arrays_with_values(case):
    arrays, options = split(arguments(case.function, **case.arguments()))
    function = getattr(selscan, case.function)

    with pytest.raises(ValueError, match=re.escape(case.message)):
        jax.eval_shape(lambda arrays: function(**arrays, **options), arrays)
