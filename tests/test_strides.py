"""Arrays of any strides are read in place, and results have the memory order of their input."""

import itertools

import numpy as np
import pytest
from forms import ANY_FRAMEWORK, NUMPY_ONLY, every_other, sliced
from harness import Backend
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_array_equal
from strategies import CHUNK, make_problem, with_gradients

ARRAYS = (
    "u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "dy", "dlast_state",
)  # fmt: skip
# Channels: a whole vector and a part. States: the same. Time: a chunk and a part.
SIZES = {"d": 40, "g": 2, "n": 18, "l": CHUNK + 20}


def results(backend, problem):
    """Of the forward and the backward pass."""
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    return *backend.scan(**forward), *backend.scan_backward(**problem)


def assert_same_bits(got, want):
    for x, y in zip(got, want, strict=True):
        assert_array_equal(x, y)


def problem_of(form, names, layout="bdl"):
    """A problem, and the same one with some arrays in another form."""
    problem = with_gradients(make_problem(layout=layout, **SIZES))
    return problem, problem | {x: form(problem[x]) for x in names}


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("form", ANY_FRAMEWORK)
def test_scan_of_strided_arrays_is_that_of_their_copies(backend, form, layout):
    problem, strided = problem_of(form, ARRAYS, layout)
    assert_same_bits(results(backend, strided), results(backend, problem))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("form", ANY_FRAMEWORK)
def test_scan_of_one_strided_array_is_that_of_its_copy(backend, form, name):
    problem, strided = problem_of(form, [name])
    assert_same_bits(results(backend, strided), results(backend, problem))


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("form", NUMPY_ONLY)
def test_scan_of_numpy_arrays_of_any_form_is_that_of_their_copies(form, layout):
    backend = Backend("cpu", "numpy")
    problem, strided = problem_of(form, ARRAYS, layout)
    assert_same_bits(results(backend, strided), results(backend, problem))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("form", NUMPY_ONLY)
def test_scan_of_one_numpy_array_of_any_form_is_that_of_its_copy(form, name):
    backend = Backend("cpu", "numpy")
    problem, strided = problem_of(form, [name])
    assert_same_bits(results(backend, strided), results(backend, problem))


@pytest.mark.parametrize("dtype", ["float64", "mixed"])
@pytest.mark.parametrize("form", [*ANY_FRAMEWORK, *NUMPY_ONLY])
def test_scan_of_strided_arrays_in_other_dtypes_is_that_of_their_copies(form, dtype):
    backend = Backend("cpu", "numpy")
    problem = with_gradients(make_problem(dtype=dtype, **SIZES))
    strided = problem | {x: form(problem[x]) for x in ARRAYS}
    assert_same_bits(results(backend, strided), results(backend, problem))


def axes_of(names):
    """(name, axis) of every array."""
    ndim = {"A": 2, "B": 4, "C": 4, "D": 1, "delta_bias": 1}
    return [(name, axis) for name in names for axis in range(ndim.get(name, 3))]


@pytest.mark.parametrize(("name", "axis"), axes_of(ARRAYS))
def test_scan_of_a_broadcast_array_is_that_of_its_copy(backend, name, axis):
    problem = with_gradients(make_problem(**SIZES))
    x = problem[name]
    strides = [0 if i == axis else step for i, step in enumerate(x.strides)]
    # np.broadcast_to makes it read-only, which torch.from_numpy warns about.
    broadcast = as_strided(x, x.shape, strides)
    strided = results(backend, problem | {name: broadcast})
    assert_same_bits(strided, results(backend, problem | {name: broadcast.copy()}))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_results_have_the_memory_order_of_their_input(backend, order):
    problem = with_gradients(make_problem(b=2, d=5, l=9))
    for name in ("u", "delta", "z", "initial_state"):
        memory = np.ascontiguousarray(problem[name].transpose(order))
        problem[name] = memory.transpose(np.argsort(order))
    y, _, *_ = results(backend, problem)
    grads = backend.scan_backward(**problem)
    assert y.strides == problem["u"].strides
    for name in ("u", "delta", "z", "initial_state"):
        assert getattr(grads, name).strides == problem[name].strides


@pytest.mark.parametrize("form", [sliced, every_other])
def test_results_of_arrays_with_gaps_are_contiguous(backend, form):
    _, strided = problem_of(form, ARRAYS)
    for x in results(backend, strided):
        assert x.flags.c_contiguous
