"""`scan_step` in torch's automatic differentiation."""

import pytest
from tensors import (
    INPUTS,
    assert_equal,
    detached,
    grads_of,
    random_like,
    scan,
    step_of,
    tensors_of,
    torch,
)
from tolerances import arithmetic, assert_within, expected_gradients

import selscan

STEP_INPUTS = ["state", *(x for x in INPUTS if x != "initial_state")]


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize("form", ["shared", "grouped", "constant"])
def test_gradients_of_a_step_are_those_of_a_scan_of_one(form, n):
    tensors, options = tensors_of(d=6, g=2, n=n, l=1, form_b=form, form_c=form)
    results = scan(tensors, options)
    dy, dlast = map(random_like, results)
    want = torch.autograd.grad(results, list(tensors.values()), (dy, dlast))
    results = selscan.scan_step(**step_of(tensors, options))
    got = torch.autograd.grad(results, list(tensors.values()), (dy[..., 0], dlast))
    assert_equal(got, want)


def test_gradients_of_repeated_steps_are_those_of_the_scan():
    tensors, options = tensors_of(d=6, g=2, n=16, l=5)
    state, outputs = tensors["initial_state"], []
    for t in range(5):
        y, state = selscan.scan_step(**step_of(tensors, options, t) | {"state": state})
        outputs.append(y)
    y = torch.stack(outputs, dim=-1)
    dy, dlast = random_like(y), random_like(state)
    torch.autograd.backward((y, state), (dy, dlast))
    problem = {x: v.numpy() for x, v in detached(tensors).items()} | options
    problem |= {"dy": dy.numpy(), "dlast_state": dlast.numpy()}
    grads = selscan.ScanGrads(**{x: v.numpy() for x, v in grads_of(tensors).items()})
    assert_within(grads, *expected_gradients(problem), arithmetic(problem))
    whole = selscan.scan_backward(**problem)
    for name in ("u", "delta", "z", "initial_state"):  # those that are no sums over time
        assert getattr(grads, name).tobytes() == getattr(whole, name).tobytes(), name


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize("name", STEP_INPUTS)
def test_a_step_that_records_gradients_leaves_the_state_as_it_was(name, n):
    tensors, options = tensors_of((), n=n, l=1)
    step = step_of(tensors, options)
    step[name].requires_grad_()
    before = step["state"].detach().clone()
    _, state = selscan.scan_step(**step)
    assert state is not step["state"]
    assert state.requires_grad
    assert_equal(step["state"].detach(), before)


@pytest.mark.parametrize("n", [4, 16])
def test_a_step_without_gradients_updates_the_state_in_place(n):
    tensors, options = tensors_of(n=n, l=1)
    step = step_of(tensors, options)
    step["state"] = step["state"].detach().clone()
    before = step["state"].clone()
    with torch.no_grad():
        y, state = selscan.scan_step(**step)
    assert state is step["state"]
    assert (state != before).all()
    assert not y.requires_grad
