"""JAX, and any library with DLPack: the numbers of NumPy in the framework that asked, no copies."""

import concurrent.futures
import gc

import ml_dtypes
import numpy as np
import pytest
from calls import INPUTS, argument, call
from forms import ANY_FRAMEWORK, NUMPY_ONLY
from harness import Backend, to_numpy
from numpy.testing import assert_array_equal
from producers import Shared
from rounding import assert_same_numbers, nearly_ties, problem_of_ties, rounded
from strategies import make_problem, timed, with_gradients

import selscan
from selscan.arrays import find, guests
from selscan.backends import cpu
from selscan.ops import contract

DTYPES = (*contract.REAL, *contract.COMPLEX)
NUMPY = Backend("cpu", "numpy")


def numpy_dtype(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def problem_in(dtype, **options):
    """A problem with gradients in one dtype: A is never narrow, and not all may be complex."""
    problem = with_gradients(make_problem(b=2, d=4, n=3, l=11, **options))
    for name in [x for x, v in problem.items() if isinstance(v, np.ndarray)]:
        kind = dtype
        if dtype.startswith("complex") and name not in ("A", "B", "C", "initial_state"):
            kind = {"complex64": "float32", "complex128": "float64"}[dtype]
        elif name == "A" and dtype in ("float16", "bfloat16"):
            kind = "float32"
        problem[name] = problem[name].astype(numpy_dtype(kind))
    return problem


def forward_of(problem):
    return {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}


def step_of(problem):
    """The arguments of scan_step: the first time step."""
    arrays = {x: v[..., 0].copy() if x in timed(problem) else v for x, v in problem.items()}
    dropped = ("dy", "dlast_state", "reverse", "layout", "initial_state")
    state = problem["initial_state"].copy()
    return {"state": state} | {x: v for x, v in arrays.items() if x not in dropped}


def assert_same(got, want):
    for x, y in zip(got, want, strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            assert x.dtype == y.dtype
            assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scan_has_the_bits_of_numpy(guest, dtype):
    problem = forward_of(problem_in(dtype))

    assert_same(guest.scan(**problem), NUMPY.scan(**problem))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_have_the_bits_of_numpy(guest, dtype):
    problem = problem_in(dtype)

    assert_same(guest.scan_backward(**problem), NUMPY.scan_backward(**problem))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_has_the_bits_of_numpy(guest, dtype):
    problem = problem_in(dtype)

    assert_same(guest.scan_step(**step_of(problem)), NUMPY.scan_step(**step_of(problem)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_sums_in_float64_are_rounded_to_16_bits_once(framework, dtype):
    ties, problem = problem_of_ties(numpy_dtype(dtype))

    grads = Backend("cpu", framework).scan_backward(**problem)

    assert_same_numbers(grads.C[0, 0], rounded(ties, grads.C.dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_without_steps_a_gradient_is_passed_on_and_rounded_once(framework, dtype):
    dtype = numpy_dtype(dtype)
    ties = nearly_ties(dtype)
    none, n = np.zeros((1, 1, 0)), ties.size
    problem = {
        "dy": none, "u": none, "delta": none, "A": np.zeros((1, n)), "B": np.zeros((1, n, 0)),
        "C": np.zeros((1, n, 0)), "initial_state": np.zeros((1, 1, n), dtype),
        "dlast_state": ties[None, None],
    }  # fmt: skip

    grads = Backend("cpu", framework).scan_backward(**problem)

    assert_same_numbers(grads.initial_state[0, 0], rounded(ties, dtype))


@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_seq_idx_and_other_options_pass_through(guest, layout):
    problem = forward_of(problem_in("float32", layout=layout, reverse=True))
    problem["seq_idx"] = np.repeat([[0, 1, 4], [0, 0, 1]], (4, 3, 4), axis=1)

    assert_same(guest.scan(**problem), NUMPY.scan(**problem))


@pytest.mark.parametrize("out_dtype", contract.REAL)
def test_out_dtype_is_that_of_y_alone(guest, out_dtype):
    problem = forward_of(problem_in("float32")) | {"out_dtype": out_dtype}

    assert_same(guest.scan(**problem), NUMPY.scan(**problem))


@pytest.mark.parametrize("form", [*ANY_FRAMEWORK, *NUMPY_ONLY])
def test_dlpack_arrays_of_any_strides_are_read_in_place(form):
    problem = problem_in("float32")
    arrays = {x: form(v) for x, v in problem.items() if isinstance(v, np.ndarray)}

    got = Backend("cpu", "dlpack").scan_backward(**problem | arrays)

    assert_same(got, NUMPY.scan_backward(**problem))


def test_results_of_dlpack_arrays_have_the_memory_order_of_u():
    u = np.ones((2, 5, 4), np.float32).transpose(0, 2, 1)

    y, _ = call("scan", "dlpack", u=Shared(u))

    assert y.array.strides == u.strides


@pytest.mark.parametrize("form", ANY_FRAMEWORK)
def test_results_in_jax_have_its_own_memory_order(form):
    pytest.importorskip("jax")
    problem = forward_of(problem_in("float32"))

    y, _ = Backend("cpu", "jax").scan(**problem | {"u": form(problem["u"])})

    assert y.flags.c_contiguous


@pytest.mark.parametrize("empty", [{"b": 0}, {"l": 0}])
def test_an_empty_scan_is_empty_in_every_framework(guest, empty):
    problem = with_gradients(make_problem(**{"b": 2, "d": 4, "n": 3, "l": 5} | empty))

    assert_same(guest.scan(**forward_of(problem)), NUMPY.scan(**forward_of(problem)))
    assert_same(guest.scan_backward(**problem), NUMPY.scan_backward(**problem))


def test_a_step_of_an_empty_batch_is_empty_in_every_framework(guest):
    problem = step_of(make_problem(b=0, d=4, n=3, l=1))

    assert_same(guest.scan_step(**problem), NUMPY.scan_step(**problem))


@pytest.mark.parametrize("function", INPUTS)
def test_results_are_arrays_of_the_framework(guest, function):
    kind = type(argument(function, "u", guest.framework))

    results = call(function, guest.framework)

    results = (results,) if function == "scan2d" else results
    assert {type(x) for x in results} == {kind}


def test_kernels_read_the_inputs_and_write_the_results_in_place(guest, monkeypatch):
    launched, allocated = [], []
    launch, allocate = cpu.launch, guests.GuestArrays.allocate

    def spy(plan, addresses, runs_on):
        launched.append(dict(addresses))
        launch(plan, addresses, runs_on)

    def keep(output):
        allocated.append(allocate(output))
        return allocated[-1]

    monkeypatch.setattr(cpu, "launch", spy)
    monkeypatch.setattr(guests.GuestArrays, "allocate", staticmethod(keep))
    inputs = {x: argument("scan", x, guest.framework) for x in INPUTS["scan"]}

    y, last = call("scan", guest.framework, **inputs)

    [addresses] = launched
    results = {"y": to_numpy(y), "last_state": to_numpy(last)}
    for name, array in (inputs | results).items():
        assert addresses[name] == to_numpy(array).__array_interface__["data"][0], name
    assert all(np.shares_memory(x, y) for x, y in zip(results.values(), allocated, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_comes_in_and_goes_out_on_the_same_memory(guest, dtype):
    array = guests.aligned(24 * 16).view(numpy_dtype(dtype)).reshape(2, 3, -1)
    array[...] = np.arange(array.size).reshape(array.shape)
    like = guest.array(array)
    framework = find.framework_of(like)

    with guest.precision():
        [view] = framework.borrow("scan", ["A"], [like])
        [result] = framework.hand_out(like, [array])

    for seen in (view, to_numpy(result)):
        assert seen.dtype == array.dtype
        assert seen.__array_interface__["data"][0] == array.__array_interface__["data"][0]
        assert_array_equal(seen, array)


def test_results_outlive_all_else(guest):
    problem = forward_of(problem_in("float32"))
    want = NUMPY.scan(**problem)
    given = {
        x: guest.array(v.copy() if isinstance(v, np.ndarray) else v) for x, v in problem.items()
    }

    results = selscan.scan(**given, return_last_state=True)
    given.clear()
    gc.collect()
    _ = [np.full(x.shape, np.nan, x.dtype) for x in want]  # what was freed is used again

    assert_same(map(to_numpy, results), want)


def test_threads_may_share_their_inputs(guest):
    inputs = {x: argument("scan", x, guest.framework) for x in INPUTS["scan"]}
    want = call("scan", guest.framework, **inputs)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call, "scan", guest.framework, **inputs) for _ in range(100)]
        results = [done.result() for done in calls]

    for got in results:
        assert_same(map(to_numpy, got), map(to_numpy, want))
