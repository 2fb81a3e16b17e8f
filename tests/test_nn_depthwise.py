"""The convolution of each channel, and the gradient that is not torch's."""

import pytest

torch = pytest.importorskip("torch")

from selscan.nn import depthwise as module  # noqa: E402
from selscan.nn.depthwise import depthwise  # noqa: E402

# b, d, l, width, padding: shorter and longer than the weights, one step, one weight, all paddings
SIZES = (2, 3, 7, 4, 3), (1, 2, 2, 4, 3), (2, 3, 5, 4, 0), (2, 2, 9, 1, 0), (2, 3, 8, 3, 1)


def drawn(b, d, l, width, dtype=torch.float64):
    shapes = (b, d, l), (d, width), (d,)
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_gradient_is_that_of_the_convolution(size):
    *inputs, padding = *drawn(*size[:4]), size[4]
    y = depthwise(*inputs, padding)
    dy = torch.randn_like(y)

    got = torch.autograd.grad(y, inputs, dy)

    assert "Depthwise" in y.grad_fn.name()
    want = torch.autograd.grad(module._convolve(*inputs, padding), inputs, dy)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_of_gradients_and_tangents():
    inputs = drawn(1, 2, 3, 2)

    def convolve(*inputs):
        return depthwise(*inputs, 1)

    modes = {"check_forward_ad": True, "check_batched_grad": True}
    assert torch.autograd.gradcheck(convolve, inputs, **modes)
    assert torch.autograd.gradgradcheck(convolve, inputs)


def test_what_has_no_gradient_gets_none():
    x, weight, bias = drawn(2, 3, 7, 4)

    depthwise(x.detach(), weight, None, 3).sum().backward()

    want = torch.autograd.grad(module._convolve(x, weight, bias, 3).sum(), weight)
    assert x.grad is None
    assert weight.grad.allclose(*want)


def test_gradients_for_each_sample():
    x, weight, bias = (v.detach() for v in drawn(4, 3, 7, 4))

    def loss(weight, x):
        return depthwise(x[None], weight, bias, 3).square().sum()

    got = torch.func.vmap(torch.func.grad(loss), (None, 0))(weight, x)

    want = [torch.func.grad(loss)(weight, sample) for sample in x]
    assert got.allclose(torch.stack(want))


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("why", ["16 bits", "autocast", "traced"])
def test_torchs_own_gradient_where_it_serves_better(why):
    x, weight, bias = drawn(2, 3, 7, 4, torch.bfloat16 if why == "16 bits" else torch.float32)
    if why == "traced":
        graph = torch.jit.trace(lambda *inputs: depthwise(*inputs, 3), (x, weight, bias)).graph
        assert "aten::_convolution" in str(graph)
        return

    with torch.autocast("cpu", enabled=why == "autocast"):
        y = depthwise(x, weight, bias, 3)

    assert y.dtype == torch.bfloat16
    assert "Depthwise" not in y.grad_fn.name()
    y.float().sum().backward()
