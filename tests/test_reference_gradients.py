"""The gradients and the error bounds of the reference, against finite differences and torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from test_reference import assert_close, cotangents, problems, scan_both, wave

from reference import (
    ScanGrads,
    scan,
    scan_backward,
    scan_backward_error_bound,
    scan_error_bound,
)


@pytest.fixture(scope="module")
def torch():
    """torch, whose automatic gradients are compared with."""
    return pytest.importorskip("torch", reason="torch gives the gradients to compare with")


def assert_within(got, want, bounds):
    """|got - want| <= epsilon of float32 * bound, element by element."""
    assert [x is None for x in got] == [x is None for x in want] == [x is None for x in bounds]
    for x, y, bound in zip(got, want, bounds, strict=True):
        if x is not None:
            assert x.shape == y.shape == bound.shape
            assert np.all(abs(x - y) <= np.finfo(np.float32).eps * bound + 1e-30)


def assert_beyond(got, want, bounds):
    """|got - want| >= 10 epsilon of float32 * bound, at one element of each."""
    for x, y, bound in zip(got, want, bounds, strict=True):
        assert np.any(abs(x - y) >= 10 * np.finfo(np.float32).eps * bound)


def in_single_precision(value):
    """float32, complex64; integers and options as they are."""
    if np.ndim(value) == 0 or value.dtype.kind == "i":
        return value
    return value.astype(np.complex64 if np.iscomplexobj(value) else np.float32)


def torch_scan(torch, given, delta_softplus, reverse, seq_idx=None):
    """y and the last state by a plain loop over time, in the dtype of the tensors given."""
    u, delta, A = given["u"], given["delta"], given["A"]
    (b, d, l), n = u.shape, A.shape[1]
    B, C = (spread_over_channels(given[x], (b, d, n, l)) for x in "BC")
    if "delta_bias" in given:
        delta = delta + given["delta_bias"][:, None]
    if delta_softplus:
        delta = torch.nn.functional.softplus(delta)
    h = given["initial_state"] if "initial_state" in given else torch.zeros(b, d, n, dtype=A.dtype)
    segments = np.zeros((b, l)) if seq_idx is None else seq_idx
    y, order = torch.zeros_like(u), list(range(l)[::-1] if reverse else range(l))
    for before, t in zip(order[:1] + order, order, strict=False):
        same = torch.tensor(segments[:, t] == segments[:, before])
        h = torch.exp(delta[:, :, t, None] * A) * torch.where(same[:, None, None], h, 0)
        h = h + (delta * u)[:, :, t, None] * B[..., t]
        y_t = (C[..., t] * h).sum(-1)
        y[:, :, t] = 2 * y_t.real if A.is_complex() else y_t
    y = y + given["D"][:, None] * u if "D" in given else y
    return y * torch.nn.functional.silu(given["z"]) if "z" in given else y, h


def spread_over_channels(B, shape):
    """B or C in any of its forms as a tensor (b, d, n, l)."""
    if B.ndim == 2:
        return B[None, :, :, None].expand(shape)
    B = B[:, None] if B.ndim == 3 else B
    return B.repeat_interleave(shape[1] // B.shape[1], dim=1)


def torch_scan_and_grads(torch, problem, dy, dlast):
    """(y, last state) and ScanGrads by torch, as NumPy arrays."""
    options = {x: problem[x] for x in ("delta_softplus", "reverse", "seq_idx") if x in problem}
    tensors = {
        x: torch.tensor(problem[x], requires_grad=True) for x in ScanGrads._fields if x in problem
    }
    results = torch_scan(torch, tensors, **options)
    torch.autograd.backward(results, [torch.tensor(dy), torch.tensor(dlast)])
    grads = {x: tensors[x].grad.numpy() if x in tensors else None for x in ScanGrads._fields}
    return tuple(x.detach().numpy() for x in results), ScanGrads(**grads)


@pytest.mark.parametrize("name", ScanGrads._fields)
@given(data=st.data())
def test_scan_backward_matches_central_differences(name, data):
    problem = data.draw(problems(needed={name}))
    dy, dlast = cotangents(problem)
    value, direction = problem[name], wave(problem[name])

    def loss(step):
        y, last = scan_both(problem | {name: value + step * direction})
        return np.vdot(dy, y) + np.vdot(dlast, last).real

    grad = getattr(scan_backward(dy, **problem, dlast_state=dlast), name)
    assert (grad.shape, grad.dtype) == (value.shape, value.dtype)
    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert_allclose(np.vdot(grad, direction).real, slope, rtol=1e-5, atol=1e-5)


@given(problems(length=(1, 6)))
def test_scan_and_its_gradients_match_torch(torch, problem):
    dy, dlast = cotangents(problem)
    results, grads = torch_scan_and_grads(torch, problem, dy, dlast)
    assert_close(results, scan_both(problem))
    assert_close(grads, scan_backward(dy, **problem, dlast_state=dlast))


@given(problems(length=(1, 40)))
def test_error_bounds_hold_for_float32(torch, problem):
    problem = {x: in_single_precision(value) for x, value in problem.items()}
    dy, dlast = map(in_single_precision, cotangents(problem))
    results, grads = torch_scan_and_grads(torch, problem, dy, dlast)
    assert_within(results, scan_both(problem), scan_error_bound(**problem, return_last_state=True))
    bounds = scan_backward_error_bound(dy, **problem, dlast_state=dlast)
    assert_within(grads, scan_backward(dy, **problem, dlast_state=dlast), bounds)


def test_error_bounds_hold_where_a_long_step_magnifies_rounding():
    delta, A, one = np.float32(np.random.default_rng(0).random((3, 500, 1)))
    delta, one = 20 + 40 * delta[None], np.ones_like(one)
    y = np.exp(delta * -A)  # (b, d, l) = (1, 500, 1), the state decays from 1
    problem = {"u": 0 * y, "delta": delta, "A": -A, "B": one, "C": one, "initial_state": one[None]}
    assert_within([y], [scan(**problem)], [scan_error_bound(**problem)])


def test_error_bounds_hold_for_very_negative_arguments_of_softplus_and_silu():
    delta, bias, one = np.float32(np.random.default_rng(0).random((3, 500, 1)))
    delta, bias, one = 40 * delta[None], 40 * bias - 80, np.ones_like(one)
    z = delta + bias
    power = np.exp2(z * np.float32(np.log2(np.e)))  # e^z as kernels have it
    softplus = {"u": one[None], "delta": delta, "A": -one, "B": one, "C": one}
    silu = softplus | {"B": 0 * one, "D": one[:, 0], "z": z}
    softplus |= {"delta_bias": bias[:, 0], "delta_softplus": True}
    assert_within([np.log1p(power)], [scan(**softplus)], [scan_error_bound(**softplus)])
    assert_within([z * power / (1 + power)], [scan(**silu)], [scan_error_bound(**silu)])


def test_error_bounds_tell_half_precision_from_single():
    rng = np.random.default_rng(0)
    u, delta, z, dy = rng.normal(size=(4, 2, 4, 10))
    B, C = rng.normal(size=(2, 2, 8, 10))
    A, D = -np.arange(1.0, 9.0) * np.ones((4, 1)), rng.normal(size=4)
    arrays = u, abs(delta), A, B, C, D, z, abs(D)
    half = [x.astype(np.float16) for x in arrays]
    assert_beyond([scan(*half)], [scan(*arrays)], [scan_error_bound(*arrays)])
    grads, bounds = scan_backward(dy, *arrays), scan_backward_error_bound(dy, *arrays)
    assert_beyond(scan_backward(dy, *half)[:-1], grads[:-1], bounds[:-1])
