"""causal_conv1d.cpp_functions: what mamba_inner_fn of the original calls, forward and backward."""

import torch

from .causal_conv1d_interface import causal_conv1d_fn, causal_conv1d_update


def causal_conv1d_fwd_function(
    x, weight, bias, seq_idx, initial_states, final_states_out, silu_activation
):
    """y; final_states_out is written where it is given. Nothing is recorded."""
    options = initial_states, final_states_out is not None, final_states_out
    with torch.no_grad():
        y = causal_conv1d_fn(x, weight, bias, seq_idx, *options, activation_of(silu_activation))
    return y if final_states_out is None else y[0]


def causal_conv1d_bwd_function(
    x,
    weight,
    bias,
    dout,
    seq_idx,
    initial_states,
    dfinal_states,
    dx,
    return_dinitial_states,
    silu_activation,
):
    """(dx, dweight, dbias, dinitial_states), by torch; a given dx is written."""
    names = ("x", "weight", "bias", "initial_states")
    given = dict(zip(names, (x, weight, bias, initial_states), strict=True))
    with torch.enable_grad():
        leaves = {k: v.detach().requires_grad_() for k, v in given.items() if v is not None}
        options = {"seq_idx": seq_idx, "activation": activation_of(silu_activation)}
        found = causal_conv1d_fn(**leaves, **options, return_final_states=dfinal_states is not None)
        outputs = found if dfinal_states is not None else (found,)
        upstream = (dout.to(x.dtype), dfinal_states)[: len(outputs)]
        gradients = torch.autograd.grad(outputs, list(leaves.values()), upstream, allow_unused=True)
    found = dict(zip(leaves, gradients, strict=True))
    if dx is not None:
        found["x"] = dx.copy_(found["x"])
    dinitial = found.get("initial_states") if return_dinitial_states else None
    return found["x"], found["weight"], found.get("bias"), dinitial


def causal_conv1d_update_function(
    x, conv_state, weight, bias, silu_activation, cache_seqlens, conv_state_indices
):
    """y of the next tokens; conv_state is updated in place."""
    activation = activation_of(silu_activation)
    places = cache_seqlens, conv_state_indices
    return causal_conv1d_update(x, conv_state, weight, bias, activation, *places)


def activation_of(silu):
    """The name of what a flag asks for."""
    return "silu" if silu else None
