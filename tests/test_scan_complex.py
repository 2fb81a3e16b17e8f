"""Complex A: h is complex, y = 2 Re(C . h) stands for pairs of conjugate states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MAY_BE_COMPLEX, problems, with_gradients
from tolerances import (
    arithmetic,
    assert_same,
    assert_within,
    expected,
    expected_gradients,
    wide,
)

from selscan import ScanGrads

pytestmark = pytest.mark.usefixtures("small_pieces")
plain = {"dtype": st.sampled_from(["complex64", "complex128"]), "out_dtype": None, "layout": "bdl"}
real = plain | {"dtype": st.sampled_from(["float32", "float64"])}
# In float64 only such have kernels for complex A that other tests need as well.
timed = {x: st.sampled_from(["shared", "grouped"]) for x in ("form_b", "form_c")}


def as_complex(problem, names=("A", *MAY_BE_COMPLEX)):
    """The problem with some arrays in a complex dtype, without imaginary parts."""
    given = [x for x in names if x in problem]
    return problem | {x: problem[x].astype(np.result_type(problem[x], 0j)) for x in given}


def side_by_side(first, second, name):
    """Two arrays along their axis of states."""
    axis = 2 if name == "initial_state" else first.ndim // 2
    return np.concatenate((first, second), axis=axis)


def times(factor, values):
    """A multiple of each array, in float64."""
    return tuple(x if x is None else factor * wide(x) for x in values)


@given(problems(without={"D"}, **real | timed))
def test_scan_without_imaginary_parts_is_twice_the_real_scan(backend, problem):
    (y, last), (y_bound, last_bound) = backend.scan(**problem), expected(problem)[1]
    got = backend.scan(**as_complex(problem))
    want, bounds = (2 * wide(y), last + 0j), expected(as_complex(problem))[1]
    bounds = bounds[0] + 2 * y_bound, bounds[1] + last_bound
    assert_within(got, want, bounds, arithmetic(problem))


@given(problems(without={"D"}, **real | timed))
def test_gradients_without_imaginary_parts_are_twice_the_real_ones(backend, problem):
    problem = with_gradients(problem, last=False)
    bounds = expected_gradients(as_complex(problem))[1], expected_gradients(problem)[1]
    bounds = ScanGrads(*(x if x is None else x + 2 * y for x, y in zip(*bounds, strict=True)))
    want = ScanGrads(*times(2, backend.scan_backward(**problem)))
    got = backend.scan_backward(**as_complex(problem))
    got = ScanGrads(*(x if x is None else x.real for x in got))
    assert_within(got, want, bounds, arithmetic(problem))


@given(problems(**plain | timed))
def test_scan_with_real_A_is_the_real_scan_of_both_parts(backend, problem):
    # Without a phase the parts of h are states of their own, y = 2 (Re C . Re h - Im C . Im h).
    problem = problem | {"A": problem["A"].real.astype(problem["A"].dtype)}
    A, C = problem["A"], problem["C"]
    both = {"A": side_by_side(A.real, A.real, "A"), "C": side_by_side(C.real, -C.imag, "C")}
    for name in {"B", "initial_state"} & problem.keys():
        both[name] = side_by_side(problem[name].real, problem[name].imag, name)
    if "D" in problem:
        both["D"] = problem["D"] / 2
    y, last = backend.scan(**problem | both)
    (got, got_last), bounds = backend.scan(**problem), expected(problem)[1]
    n = got_last.shape[2]
    want = 2 * wide(y), last[..., :n] + 1j * last[..., n:]
    assert_within((got, got_last), want, tuple(2 * x for x in bounds), arithmetic(problem))


@given(problems(without={"D"}, **plain))
def test_conjugate_states_add_the_same_once_more(backend, problem):
    names = [x for x in ("A", *MAY_BE_COMPLEX) if x in problem]
    pairs = problem | {x: side_by_side(problem[x], problem[x].conj(), x) for x in names}
    (y, last), (y_pairs, last_pairs) = backend.scan(**problem), backend.scan(**pairs)
    bound = expected(pairs)[1][0] + 2 * expected(problem)[1][0]
    assert_within(y_pairs, 2 * wide(y), bound, arithmetic(problem))
    assert_same(last_pairs, side_by_side(last, last.conj(), "initial_state"))


@given(problems(**plain))
def test_scan_of_conjugate_arrays_is_conjugate(backend, problem):
    conjugate = problem | {x: problem[x].conj() for x in ("A", *MAY_BE_COMPLEX) if x in problem}
    y, last = backend.scan(**problem)
    y_conjugate, last_conjugate = backend.scan(**conjugate)
    assert_same(y_conjugate, y)
    assert_same(last_conjugate, last.conj())


@given(problems(**plain))
def test_gradients_of_conjugate_arrays_are_conjugate(backend, problem):
    problem = with_gradients(problem)
    names = [x for x in ("A", *MAY_BE_COMPLEX, "dlast_state") if x in problem]
    grads = backend.scan_backward(**problem)
    conjugate = backend.scan_backward(**problem | {x: problem[x].conj() for x in names})
    for name in [x for x in ScanGrads._fields if x in problem]:
        got, want = getattr(conjugate, name), getattr(grads, name).conj()
        assert_same(got, want, name)


@pytest.mark.parametrize("name", MAY_BE_COMPLEX)
@given(problem=problems(needed={"initial_state"}, imaginary=(), **plain))
def test_a_real_array_is_one_without_imaginary_parts(backend, problem, name):
    given = as_complex(problem, [name])
    for got, want in zip(backend.scan(**problem), backend.scan(**given), strict=True):
        assert_same(got, want)
    grads = backend.scan_backward(**with_gradients(problem))._asdict()
    want = backend.scan_backward(**with_gradients(given))
    for x, grad in grads.items():
        here = getattr(want, x)
        assert_same(grad, here.real if x == name else here, x)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("turns", [0.25, 3.5, 1e3])
def test_phases_of_many_turns_are_right(backend, turns, dtype):
    rng = np.random.default_rng(0)
    one = np.ones((1, 1, 500), np.zeros((), dtype).real.dtype)
    delta = 2 * np.pi * turns * rng.random(one.shape).astype(one.dtype)
    A = np.array([[1j, -0.001 + 1j]], dtype)
    B = rng.normal(size=(1, 2, 500)).astype(one.dtype)
    problem = {"u": one, "delta": delta / delta.mean(), "A": A * delta.mean(), "B": B, "C": B}
    assert_within(backend.scan(**problem), *expected(problem), arithmetic(problem))
    problem = with_gradients(problem)
    grads = backend.scan_backward(**problem)
    assert_within(grads, *expected_gradients(problem), arithmetic(problem))
