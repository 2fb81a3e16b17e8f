"""What automatic differentiation of a scan cannot do: it raises, and never gives a silent zero."""

import pytest
from tensors import (
    INPUTS,
    assert_equal,
    detached,
    forward_mode,
    random_like,
    scan,
    step_of,
    tensors_of,
    torch,
    total,
)

import selscan

NO_DOUBLE_BACKWARD = "{}: double backward is not supported"
NO_VMAP = "{}: vmap is not supported; put what it maps over into the batch, or loop"
NO_FORWARD_MODE = "{}: forward-mode automatic differentiation is not supported"


def dual(tensor):
    """A tensor with a tangent."""
    return torch.autograd.forward_ad.make_dual(tensor, torch.ones_like(tensor))


def test_second_backward_of_a_freed_graph_raises():
    tensors, options = tensors_of()
    loss = total(tensors, options)
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("name", INPUTS)
def test_backward_after_an_input_was_changed_in_place_raises(name):
    tensors, options = tensors_of()
    loss = total(tensors, options)
    with torch.no_grad():
        tensors[name].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", INPUTS)
def test_double_backward_raises(name):
    tensors, options = tensors_of()
    [grad] = torch.autograd.grad(total(tensors, options), tensors[name], create_graph=True)
    with pytest.raises(RuntimeError, match=NO_DOUBLE_BACKWARD.format("scan")):
        grad.sum().backward()


def test_a_gradient_penalty_raises():
    # The gradient of y is constant here, and u has a gradient besides that of the penalty.
    tensors, options = tensors_of()
    y, _ = scan(tensors, options)
    [du] = torch.autograd.grad(y.sum(), tensors["u"], create_graph=True)
    with pytest.raises(RuntimeError, match=NO_DOUBLE_BACKWARD.format("scan")):
        (y.sum() + du.square().sum()).backward()


def test_gradients_of_scan_backward_raise():
    tensors, options = tensors_of()
    dy = random_like(tensors["u"])
    grads = selscan.scan_backward(dy, **tensors, **options)
    want = selscan.scan_backward(dy, **detached(tensors), **options)
    assert_equal([x.detach() for x in grads], list(want))
    with pytest.raises(RuntimeError, match=NO_DOUBLE_BACKWARD.format("scan_backward")):
        grads.u.sum().backward()


@forward_mode
@pytest.mark.parametrize("name", INPUTS)
def test_forward_mode_of_a_scan_raises(name):
    tensors, options = tensors_of(())
    with torch.autograd.forward_ad.dual_level():
        tensors[name] = dual(tensors[name])
        with pytest.raises(NotImplementedError, match=NO_FORWARD_MODE.format("scan")):
            scan(tensors, options)


@forward_mode
def test_forward_mode_without_grad_mode_raises():
    tensors, options = tensors_of(())
    with torch.no_grad(), torch.autograd.forward_ad.dual_level():
        tensors["u"] = dual(tensors["u"])
        with pytest.raises(NotImplementedError, match=NO_FORWARD_MODE.format("scan")):
            scan(tensors, options)


@forward_mode
def test_forward_mode_of_a_step_raises():
    tensors, options = tensors_of((), l=1)
    step = step_of(tensors, options)
    with torch.autograd.forward_ad.dual_level():
        step["u"] = dual(step["u"])
        with pytest.raises(NotImplementedError, match=NO_FORWARD_MODE.format("scan_step")):
            selscan.scan_step(**step)


@forward_mode
def test_forward_mode_of_scan_backward_raises():
    tensors, options = tensors_of(())
    with torch.autograd.forward_ad.dual_level():
        dy = dual(random_like(tensors["u"]))
        with pytest.raises(NotImplementedError, match=NO_FORWARD_MODE.format("scan_backward")):
            selscan.scan_backward(dy, **tensors, **options)


def function_of_u(name):
    """A public function of u alone, and u."""
    tensors, options = tensors_of((), l=1)
    dy = random_like(tensors["u"])
    if name == "scan_step":
        step = step_of(tensors, options)
        return lambda u: selscan.scan_step(**step | {"u": u})[0], step["u"]
    if name == "scan":
        return lambda u: selscan.scan(**tensors | {"u": u}, **options), tensors["u"]
    return lambda u: selscan.scan_backward(dy, **tensors | {"u": u}, **options).u, tensors["u"]


@pytest.mark.parametrize("name", ["scan", "scan_backward", "scan_step"])
def test_vmap_raises(name):
    function, u = function_of_u(name)
    with pytest.raises(RuntimeError, match=NO_VMAP.format(name)):
        torch.func.vmap(function)(u[None])


@pytest.mark.parametrize("name", ["scan", "scan_step"])
def test_the_jacobian_raises(name):
    function, u = function_of_u(name)
    with pytest.raises(RuntimeError, match=NO_VMAP.format(name)):
        torch.func.jacrev(function)(u)


@pytest.mark.parametrize("name", ["scan", "scan_step"])
def test_the_gradient_transform_twice_raises(name):
    function, u = function_of_u(name)
    grad = torch.func.grad(lambda x: function(x).sum())
    with pytest.raises(RuntimeError, match=NO_DOUBLE_BACKWARD.format(name)):
        torch.func.grad(lambda x: grad(x).sum())(u)


def test_the_gradient_transform_of_scan_backward_raises():
    function, u = function_of_u("scan_backward")
    with pytest.raises(RuntimeError, match=NO_DOUBLE_BACKWARD.format("scan_backward")):
        torch.func.grad(lambda x: function(x).sum())(u)


@forward_mode
@pytest.mark.parametrize("name", ["scan", "scan_backward", "scan_step"])
def test_the_forward_mode_transform_raises(name):
    function, u = function_of_u(name)
    with pytest.raises(NotImplementedError, match=NO_FORWARD_MODE.format(name)):
        torch.func.jvp(function, (u,), (u,))


def test_several_gradients_of_y_at_once_raise():
    tensors, options = tensors_of()
    y, _ = scan(tensors, options)
    dys = torch.ones(3, *y.shape)
    with pytest.raises(RuntimeError, match=NO_VMAP.format("scan")):
        torch.autograd.grad(y, tensors["u"], dys, is_grads_batched=True)


def test_gradients_of_y_under_vmap_raise():
    tensors, options = tensors_of()
    y, _ = scan(tensors, options)
    with pytest.raises(RuntimeError, match=NO_VMAP.format("scan")):
        torch.vmap(lambda dy: torch.autograd.grad(y, tensors["u"], dy))(torch.ones(3, *y.shape))
