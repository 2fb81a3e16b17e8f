"""mamba_ssm.ops.triton.selective_state_update: one token of the scan, by `selscan.scan_step`."""

import torch

from .....api import scan_step
from .....messages import fail


def selective_state_update(
    state,
    x,
    dt,
    A,
    B,
    C,
    D=None,
    z=None,
    dt_bias=None,
    dt_softplus=False,
    state_batch_indices=None,
):
    """y of one token; `state` is updated in place and no gradient is recorded, whatever the mode.

    state (b, d, n), x, dt, z (b, d), A (d, n), B, C (b, n) or (b, 1, n), D, dt_bias (d,); or with
    h heads state (b, h, d, n), x, dt, z (b, h, d), A (h, d, n), B, C (b, g, n) with h % g == 0, D,
    dt_bias (h, d). With state_batch_indices (b,) the state has other entries, too.
    """
    row = len(x), state.shape[-1]
    for name, given in (("B", B), ("C", C)):
        if given.shape != row:
            _check_groups(name, given, state, row)
    with torch.no_grad():
        whole = state
        if state_batch_indices is not None:
            state = whole[state_batch_indices.long()]
        step = _step_of_heads if state.dim() == 4 else _step
        y = step(state, x, dt, A, B, C, D, z, dt_bias, bool(dt_softplus))
        if state_batch_indices is not None:
            whole[state_batch_indices.long()] = state
        return y


def _check_groups(name, given, state, row):
    """Groups divide the heads; what is constant in time, which scan_step takes, is refused."""
    heads = 1 if state.dim() == 3 else state.shape[1]
    groups = given.shape[1] if given.dim() == 3 else 0
    if given.shape != (row[0], groups, row[1]) or heads % (groups or heads + 1):
        expected = f"(b, n) or (b, g, n) with b, n = {row} and g that divides {heads} heads"
        fail("selective_state_update", name, expected, tuple(given.shape))


def _step(state, x, dt, A, B, C, D, z, dt_bias, softplus):
    return scan_step(state, x, dt, A, B, C, D, z, dt_bias, delta_softplus=softplus)[0]


def _step_of_heads(state, x, dt, A, B, C, D, z, dt_bias, softplus):
    """Heads are groups of channels: B and C of a group are those of h / g heads."""
    joins = state.stride(1) == state.shape[2] * state.stride(2)
    flat = (state if joins else state.contiguous()).flatten(1, 2)
    D, z, dt_bias = (None if v is None else v.flatten(-2) for v in (D, z, dt_bias))
    inputs = x.flatten(1), dt.flatten(1), A.flatten(0, 1), B, C, D, z, dt_bias
    y = _step(flat, *inputs, softplus)
    if not joins:
        state.copy_(flat.view(state.shape))
    return y.view(x.shape)


def selective_state_update_ref(
    state, x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False
):
    """`selective_state_update`."""
    return selective_state_update(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus)
