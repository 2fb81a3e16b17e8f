"""The scan under the transforms of torch.func that it supports: grad, vjp, and their kin."""

import pytest
from tensors import (
    INPUTS,
    assert_equal,
    detached,
    random_like,
    scan,
    scan_backward,
    step_of,
    tensors_of,
    torch,
    total,
)
from torch.utils.flop_counter import FlopCounterMode

import selscan


def function_of(tensors, options, function=total):
    """A function of the tensors alone, in their order."""
    return lambda *values: function(dict(zip(tensors, values, strict=True)), options)


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", ["float32", "mixed"])
def test_grad_gives_the_gradients_of_backward(dtype, layout):
    tensors, options = tensors_of(dtype=dtype, layout=layout, d=18, l=21)
    want = torch.autograd.grad(total(tensors, options), list(tensors.values()))
    numbers = tuple(range(len(tensors)))
    grad = torch.func.grad(function_of(tensors, options), argnums=numbers)
    assert_equal(grad(*detached(tensors).values()), want)


@pytest.mark.parametrize("name", INPUTS)
def test_grad_with_respect_to_one_argument_leaves_the_others_constant(name):
    tensors, options = tensors_of(())
    got = torch.func.grad(lambda x: total(tensors | {name: x}, options))(tensors[name])
    tensors[name].requires_grad_()
    assert_equal((got,), torch.autograd.grad(total(tensors, options), tensors[name]))


def test_vjp_gives_the_gradients_of_scan_backward():
    tensors, options = tensors_of(())
    results, pull_back = torch.func.vjp(function_of(tensors, options, scan), *tensors.values())
    dy, dlast = map(random_like, results)
    want = scan_backward(tensors, options, dy, dlast)
    assert_equal(results, scan(tensors, options))
    assert_equal(dict(zip(tensors, pull_back((dy, dlast)), strict=True)), want)


def test_grad_of_an_argument_that_autograd_wants_too_gives_both():
    tensors, options = tensors_of(("A",))
    got = torch.func.grad(lambda u: total(tensors | {"u": u}, options))(tensors["u"])
    tensors["u"].requires_grad_()
    [want] = torch.autograd.grad(total(tensors, options), tensors["u"])
    assert_equal(got.detach(), want)
    with pytest.raises(RuntimeError, match="scan: double backward is not supported"):
        got.sum().backward()


def test_grad_of_a_module_by_its_parameters_gives_those_of_backward():
    class Mixer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.A = torch.nn.Parameter(-torch.ones(5, 4))

        def forward(self, u, B):
            return selscan.scan(u, u, self.A, B, B).square().sum()

    tensors, _ = tensors_of((), form_b="shared")
    module = Mixer()
    weights = {"A": module.A.detach()}

    def loss(weights):
        return torch.func.functional_call(module, weights, (tensors["u"], tensors["B"]))

    got = torch.func.grad(loss)(weights)
    module(tensors["u"], tensors["B"]).backward()
    assert_equal(got, {"A": module.A.grad})


@pytest.mark.parametrize("name", ["state", "u", "delta", "A", "B", "C", "D", "z", "delta_bias"])
def test_grad_of_a_step_gives_that_of_backward_and_leaves_the_state(name):
    tensors, options = tensors_of((), l=1)
    step = step_of(tensors, options)
    before = step["state"].clone()

    def loss(x):
        y, state = selscan.scan_step(**step | {name: x})
        return y.sum() + state.square().sum()

    got = torch.func.grad(loss)(step[name])
    assert_equal(step["state"], before)
    leaf = step[name].clone().requires_grad_()
    assert_equal((got,), torch.autograd.grad(loss(leaf), leaf))


def test_vmap_over_what_the_scan_does_not_see_works():
    tensors, options = tensors_of(())
    y = selscan.scan(**tensors, **options).sum()
    factors = torch.arange(3.0)
    got = torch.func.vmap(lambda x: x * selscan.scan(**tensors, **options).sum())(factors)
    assert_equal(got, factors * y)


def test_modes_see_the_operators_inside_of_grad():
    tensors, options = tensors_of(())
    with FlopCounterMode(display=False) as counter:
        torch.func.grad(lambda u: total(tensors | {"u": u}, options))(tensors["u"])
    names = [str(x) for x in counter.get_flop_counts()["Global"]]
    assert names == ["selscan.scan_forward", "selscan.scan_backward"]


def test_a_wrong_call_inside_of_grad_is_named():
    tensors, options = tensors_of(())
    grad = torch.func.grad(lambda u: total(tensors | {"u": u, "A": tensors["A"].mT}, options))
    with pytest.raises(ValueError, match=r"^scan: A must be \(d, n\) with d = 5"):
        grad(tensors["u"])
    grad = torch.func.grad(lambda u: total(tensors | {"u": u, "D": [1.0]}, options))
    with pytest.raises(TypeError, match=r"^scan: D must be a torch tensor; got a list"):
        grad(tensors["u"])
