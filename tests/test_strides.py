"""Arrays of any strides are read in place, and results have the memory order of their input."""

import functools
import itertools

import numpy as np
import pytest
from forms import ANY_FRAMEWORK, NUMPY_ONLY, every_other, sliced
from harness import Backend
from numpy.lib.stride_tricks import as_strided
from strategies import CHUNK, make_problem, with_gradients
from tolerances import assert_same

ARRAYS = (
    "u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "seq_idx", "dy",
    "dlast_state",
)  # fmt: skip
# Channels: a whole vector and a part. States: the same. Time: a chunk and a part.
SIZES = {"d": 40, "g": 2, "n": 18, "l": CHUNK + 20, "seq_idx": "many"}
# Fewer steps than a vector has lanes, fewer channels, fewer of both; one of each.
SMALL = ((35, 5, 3), (3, 2, 40), (7, 1, 7), (1, 1, 1))  # d, n, l
OTHERS = ("float16", "bfloat16", "float64", "mixed", "complex64", "complex mixed")


NUMPY = Backend("cpu", "numpy")


def results(backend, problem):
    """Of the forward and the backward pass."""
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    return *backend.scan(**forward), *backend.scan_backward(**problem)


@functools.cache
def contiguous(backend, **options):
    """A problem and its results."""
    problem = with_gradients(make_problem(**SIZES | options))
    # Copies: guards around the results are looked at when those are gone.
    return problem, tuple(x.copy() for x in results(backend, problem))


def assert_same_bits(backend, form, names=ARRAYS, **options):
    """Results do not change when arrays have another form."""
    problem, want = contiguous(backend, **options)
    got = results(backend, problem | {x: form(problem[x]) for x in names})
    for x, y in zip(got, want, strict=True):
        assert_same(x, y)


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("form", ANY_FRAMEWORK)
def test_scan_of_strided_arrays_is_that_of_their_copies(backend, form, layout):
    assert_same_bits(backend, form, layout=layout)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("form", ANY_FRAMEWORK)
def test_scan_of_one_strided_array_is_that_of_its_copy(backend, form, name):
    assert_same_bits(backend, form, [name])


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("form", NUMPY_ONLY)
def test_scan_of_numpy_arrays_of_any_form_is_that_of_their_copies(form, layout):
    assert_same_bits(NUMPY, form, layout=layout)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("form", NUMPY_ONLY)
def test_scan_of_one_numpy_array_of_any_form_is_that_of_its_copy(form, name):
    assert_same_bits(NUMPY, form, [name])


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("form", [*ANY_FRAMEWORK, *NUMPY_ONLY])
def test_scan_of_strided_arrays_in_other_dtypes_is_that_of_their_copies(form, dtype, layout):
    assert_same_bits(NUMPY, form, dtype=dtype, layout=layout)


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64"])
@pytest.mark.parametrize("form", ANY_FRAMEWORK)
def test_scan_of_strided_tensors_in_other_dtypes_is_that_of_their_copies(form, dtype):
    pytest.importorskip("torch")
    assert_same_bits(Backend("cpu", "torch"), form, dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64"])
@pytest.mark.parametrize(("d", "n", "l"), SMALL)
@pytest.mark.parametrize("form", [*ANY_FRAMEWORK, *NUMPY_ONLY])
def test_scan_of_small_strided_arrays_is_that_of_their_copies(form, d, n, l, dtype):
    assert_same_bits(NUMPY, form, dtype=dtype, d=d, g=1, n=n, l=l)


def axes_of(names):
    """(name, axis) of every array."""
    ndim = {"A": 2, "B": 4, "C": 4, "D": 1, "delta_bias": 1, "seq_idx": 2}
    return [(name, axis) for name in names for axis in range(ndim.get(name, 3))]


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
@pytest.mark.parametrize(("name", "axis"), axes_of(ARRAYS))
def test_scan_of_a_broadcast_array_is_that_of_its_copy(backend, name, axis, dtype):
    problem, _ = contiguous(backend, dtype=dtype)
    x = problem[name]
    strides = [0 if i == axis else step for i, step in enumerate(x.strides)]
    # np.broadcast_to makes it read-only, which torch.from_numpy warns about.
    broadcast = as_strided(x, x.shape, strides)
    got, want = (results(backend, problem | {name: v}) for v in (broadcast, broadcast.copy()))
    for x, y in zip(got, want, strict=True):
        assert_same(x, y)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_results_have_the_memory_order_of_their_input(backend, order, dtype):
    problem = with_gradients(make_problem(b=2, d=5, l=9, dtype=dtype))
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
    problem, _ = contiguous(backend)
    for x in results(backend, problem | {x: form(problem[x]) for x in ARRAYS}):
        assert x.flags.c_contiguous
