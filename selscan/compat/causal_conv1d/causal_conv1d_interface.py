"""causal_conv1d.causal_conv1d_interface: convolutions of torch under the names of that package.

    y[t] = weight[w-1] x[t] + weight[w-2] x[t-1] + ... + weight[0] x[t-w+1] + bias,

with zeros, or given states, before the first x, and silu around it if asked for.
"""

import torch
from torch.nn import functional as F

from ...messages import describe, fail
from ...nn.branch import causal_conv, conv_step, wide
from ...nn.depthwise import depthwise

ACTIVATIONS = (None, "silu", "swish")


def causal_conv1d_fn(
    x,
    weight,
    bias=None,
    seq_idx=None,
    initial_states=None,
    return_final_states=False,
    final_states_out=None,
    activation=None,
):
    """The convolution of x (b, d, l) by weight (d, w), recorded by autograd.

    seq_idx (b, l) has the numbers of sequences that are packed along time and do not see one
    another. initial_states (b, d, w - 1) stand before x. With return_final_states the result is
    (y, the w - 1 inputs behind the end), which are written to final_states_out if given.
    """
    width = check("causal_conv1d_fn", x, weight, bias, activation)
    states = (x.shape[0], x.shape[1], width - 1)
    check_shape("causal_conv1d_fn", "initial_states", initial_states, states)
    check_shape("causal_conv1d_fn", "final_states_out", final_states_out, states)
    if seq_idx is not None:
        check_shape("causal_conv1d_fn", "seq_idx", seq_idx, (x.shape[0], x.shape[2]))
        if initial_states is not None or return_final_states:
            expected = "None where states come in or go out"
            fail("causal_conv1d_fn", "seq_idx", expected, describe(seq_idx))
    y = _convolve(x, weight, bias, seq_idx, initial_states)
    y = (y if activation is None else F.silu(y)).to(x.dtype)
    if not return_final_states:
        return y
    before = x if initial_states is None else torch.cat((initial_states, x), -1)
    final = F.pad(before, (width - 1 - before.shape[-1], 0)).to(x.dtype)
    if final_states_out is None:
        return y, final
    return y, final_states_out.copy_(final)


def causal_conv1d_ref(
    x,
    weight,
    bias=None,
    initial_states=None,
    return_final_states=False,
    final_states_out=None,
    activation=None,
):
    """The same; selscan has no other way to compute it."""
    states = initial_states, return_final_states, final_states_out
    return causal_conv1d_fn(x, weight, bias, None, *states, activation)


def causal_conv1d_update(
    x,
    conv_state,
    weight,
    bias=None,
    activation=None,
    cache_seqlens=None,
    conv_state_indices=None,
):
    """The next tokens x (b, d) or (b, d, l); conv_state (b, d, s) is updated in place.

    s is at least w - 1. With cache_seqlens (b,), the numbers of tokens so far, conv_state is a ring
    that is written from that place on. With conv_state_indices (b,) it has other entries as well
    and these are the ones that are meant. No gradient is recorded, whatever the mode.
    """
    width = check("causal_conv1d_update", x, weight, bias, activation, one_token=True)
    entries = len(conv_state) if conv_state_indices is not None else len(x)
    s = conv_state.shape[-1]
    if conv_state.shape != (entries, x.shape[1], s) or s < width - 1:
        expected = f"(b, d, s) with b, d = {entries}, {x.shape[1]} and s of at least {width - 1}"
        fail("causal_conv1d_update", "conv_state", expected, tuple(conv_state.shape))
    with torch.no_grad():
        tokens = x[..., None] if x.dim() == 2 else x
        chosen = conv_state if conv_state_indices is None else conv_state[conv_state_indices.long()]
        if cache_seqlens is not None:
            y = _ring_step(tokens, chosen, weight, bias, cache_seqlens)
        elif tokens.shape[2] == 1:
            y = conv_step(tokens, chosen, weight, bias)
        else:
            y = _conv_steps(tokens, chosen, weight, bias)
        if conv_state_indices is not None:
            conv_state[conv_state_indices.long()] = chosen
        y = (y if activation is None else F.silu(y)).to(x.dtype)
        return y[..., 0] if x.dim() == 2 else y


def causal_conv1d_update_ref(
    x, conv_state, weight, bias=None, activation=None, cache_seqlens=None, conv_state_indices=None
):
    """The same; selscan has no other way to compute it."""
    places = cache_seqlens, conv_state_indices
    return causal_conv1d_update(x, conv_state, weight, bias, activation, *places)


class CausalConv1dFn:
    """`apply` of the class that `causal_conv1d_fn` calls in the original; torch has the rest."""

    apply = staticmethod(causal_conv1d_fn)


def check(function, x, weight, bias, activation, one_token=False):
    """What all have in common; the width of the convolution."""
    if x.dim() != 3 and not (one_token and x.dim() == 2):
        fail(function, "x", "(b, d) or (b, d, l)" if one_token else "(b, d, l)", tuple(x.shape))
    d = x.shape[1]
    if weight.dim() != 2 or weight.shape[0] != d:
        fail(function, "weight", f"(d, width) with d = {d}", tuple(weight.shape))
    check_shape(function, "bias", bias, (d,))
    if activation not in ACTIVATIONS:
        fail(function, "activation", "None, 'silu' or 'swish'", describe(activation))
    return weight.shape[1]


def check_shape(function, name, given, expected):
    """An argument that is given has this shape."""
    if given is not None and given.shape != expected:
        fail(function, name, f"of shape {expected}", tuple(given.shape))


def _convolve(x, weight, bias, seq_idx, initial_states):
    """Without activation, in at least the bits of x and weight."""
    dtype = torch.promote_types(x.dtype, weight.dtype)
    x, weight = x.to(dtype), weight.to(dtype)
    bias = bias if bias is None else bias.to(dtype)
    if seq_idx is not None:
        return _convolve_packed(x, weight, bias, seq_idx)
    if initial_states is None:
        return causal_conv(x, weight, bias)
    return depthwise(torch.cat((initial_states.to(dtype), x), -1), weight, bias)


def _convolve_packed(x, weight, bias, seq_idx):
    """Tap by tap, with zeros where the tap reaches over into another sequence."""
    y, width = x * weight[:, -1:], weight.shape[1]
    for back in range(1, min(width, x.shape[-1])):
        same = seq_idx[:, None, back:] == seq_idx[:, None, :-back]
        tap = x[..., :-back] * weight[:, width - 1 - back, None]
        y = y + F.pad(tap.where(same, 0), (back, 0))
    return y if bias is None else y + bias[:, None]


def _conv_steps(x, conv_state, weight, bias):
    """Several tokens at once."""
    inputs = torch.cat((conv_state, x.to(conv_state.dtype)), -1)
    conv_state.copy_(inputs[..., x.shape[-1] :])
    return _valid(inputs, x.shape[-1], weight, bias)


def _valid(inputs, l, weight, bias):
    """The last l results, in at least 32 bits."""
    inputs = wide(inputs[..., inputs.shape[-1] - l - weight.shape[1] + 1 :])
    dtype = inputs.dtype
    return depthwise(inputs, weight.to(dtype), bias if bias is None else bias.to(dtype))


def _ring_step(tokens, ring, weight, bias, cache_seqlens):
    """Tokens whose places in the ring follow from how many there were."""
    (b, d, l), s = tokens.shape, ring.shape[-1]

    def places(first, last):
        steps = cache_seqlens.long()[:, None] + torch.arange(first, last, device=ring.device)
        return steps.remainder(s)[:, None].expand(b, d, last - first)

    before = ring.gather(2, places(1 - weight.shape[1], 0))
    y = _valid(torch.cat((before, tokens.to(ring.dtype)), -1), l, weight, bias)
    ring.scatter_(2, places(0, l), tokens.to(ring.dtype))
    return y
