"""The convolution of each channel with weights of its own, and its gradient.

    y[t] = sum over k of weight[k] x[t + k - padding], + bias,

with zeros outside of x. torch's gradient takes two to three times as long on the CPU as what is
here, for which the gradient of x is another such convolution, and that of weight[k] a product and
a sum.
"""

import torch
from torch.nn import functional as F


def depthwise(x, weight, bias, padding=0):
    """y (b, d, l + 2 padding - width + 1) of x (b, d, l) by weight (d, width)."""
    apply = Depthwise.apply if _is_plain(x, weight, bias) else _convolve
    return apply(x, weight, bias, padding)


def _convolve(x, weight, bias, padding):
    # As a map of one row: where channels are last in memory, conv2d takes half of conv1d's time on
    # the CPU, or less.
    options = {"padding": (0, padding), "groups": weight.shape[0]}
    return F.conv2d(x[:, :, None], weight[:, None, None], bias, **options)[:, :, 0]


def _is_plain(x, weight, bias):
    """Whether the gradient here is the better one: tensors on the CPU, summed in their own dtype,
    with a gradient to come, and nobody who reads the operators of the convolution."""
    given = [x, weight] if bias is None else [x, weight, bias]
    return (
        all(v.device.type == "cpu" and v.dtype in (torch.float32, torch.float64) for v in given)
        and torch.is_grad_enabled()
        and any(v.requires_grad for v in given)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


class Depthwise(torch.autograd.Function):
    """`_convolve`, with a gradient that can be differentiated in its turn."""

    generate_vmap_rule = True
    forward = staticmethod(_convolve)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, weight, _, padding = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        ctx.padding = padding

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        mirrored = weight.shape[1] - 1 - ctx.padding
        return (
            depthwise(dy, weight.flip(1), None, mirrored) if of_x else None,
            _of_weight(dy, x, weight.shape[1], ctx.padding) if of_weight else None,
            dy.sum((0, 2)) if of_bias else None,
            None,
        )

    @staticmethod
    def jvp(ctx, x_tangent, weight_tangent, bias_tangent, _):
        x, weight = ctx.saved_tensors
        of_x = 0 if x_tangent is None else _convolve(x_tangent, weight, None, ctx.padding)
        of_weight = 0 if weight_tangent is None else _convolve(x, weight_tangent, None, ctx.padding)
        return of_x + of_weight + (0 if bias_tangent is None else bias_tangent[:, None])


def _of_weight(dy, x, width, padding):
    """(d, width): each weight meets the steps of x that it is multiplied with."""
    sums = []
    for shift in range(-padding, width - padding):
        first, last = max(0, -shift), min(dy.shape[2], x.shape[2] - shift)
        steps = max(0, last - first)
        sums.append((dy.narrow(2, first, steps) * x.narrow(2, first + shift, steps)).sum((0, 2)))
    return torch.stack(sums, 1)
