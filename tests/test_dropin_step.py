"""selective_state_update: one token, with and without heads, in place whatever the mode."""

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from selscan.compat.mamba_ssm.ops.triton import selective_state_update as module  # noqa: E402

update = module.selective_state_update


def inputs_of(heads=None, groups=None, b=2, d=6, n=3):
    """state, x, dt, A, B, C, D, z, dt_bias."""
    torch.manual_seed(0)
    h = () if heads is None else (heads,)
    rows = (b, *h, d)
    B, C = torch.randn(2, b, *(() if groups is None else (groups,)), n)
    return (
        torch.randn(*rows, n),
        torch.randn(rows),
        torch.randn(rows),
        -torch.rand(*h, d, n),
        B,
        C,
        torch.randn(*h, d),
        torch.randn(rows),
        torch.rand(*h, d),
    )


def expected(state, x, dt, A, B, C, D, z, bias):
    """(y, the new state) of heads, in float64."""
    state, x, dt, A, B, C, D, z, bias = (v.double() for v in (state, x, dt, A, B, C, D, z, bias))
    if B.dim() == 3 and state.dim() == 4:
        B, C = (v.repeat_interleave(state.shape[1] // v.shape[1], 1) for v in (B, C))
    elif B.dim() == 3:
        B, C = B[:, 0], C[:, 0]
    if state.dim() == 4 and B.dim() == 2:
        B, C = B[:, None], C[:, None]
    B, C = (v.unsqueeze(-2) for v in (B, C))
    delta = F.softplus(dt + bias)[..., None]
    state = torch.exp(delta * A) * state + delta * B * x[..., None]
    return ((state * C).sum(-1) + D * x) * F.silu(z), state


FORMS = [(None, None), (None, 1), (1, 1), (4, 1), (4, 2), (4, 4), (4, None)]


@pytest.mark.parametrize(("heads", "groups"), FORMS)
def test_it_is_a_step_and_updates_the_state(heads, groups):
    state, *inputs = inputs_of(heads, groups)
    want, want_state = expected(state, *inputs)

    got = update(state, *inputs, dt_softplus=True)

    assert plain.error(got, want) < 2e-6
    assert plain.error(state, want_state) < 2e-6
    assert module.selective_state_update_ref(*inputs_of(heads, groups), True).equal(got)


def test_numbers_that_heads_share_may_be_broadcast_and_a_state_may_have_gaps():
    # As Mamba-2 does: delta, A and D have one number for each head.
    state, x, dt, A, B, C, D, z, bias = inputs_of(4, 2)
    dt, A = dt[..., :1].expand(2, 4, 6), A[:, :1, :1].expand(4, 6, 3)
    D, bias = D[:, :1].expand(4, 6), bias[:, :1].expand(4, 6)
    want, want_state = expected(state, x, dt, A, B, C, D, z, bias)
    gaps = torch.zeros(2, 4, 7, 3)[:, :, :6].copy_(state)

    for where in (state, gaps):
        got = update(where, x, dt, A, B, C, D, z, bias, True)

        assert plain.error(got, want) < 2e-6
        assert plain.error(where, want_state) < 2e-6


@pytest.mark.parametrize("heads", [None, 4])
def test_entries_of_the_state_are_chosen(heads):
    state, *inputs = inputs_of(heads, None if heads is None else 2)
    entries = torch.tensor([4, 1], dtype=torch.int32)
    states = torch.randn(5, *state.shape[1:])
    kept = states.clone()
    want, want_state = expected(states[[4, 1]], *inputs)

    got = update(states, *inputs, dt_softplus=True, state_batch_indices=entries)

    assert plain.error(got, want) < 2e-6
    assert plain.error(states[[4, 1]], want_state) < 2e-6
    assert states[[0, 2, 3]].equal(kept[[0, 2, 3]])


@pytest.mark.parametrize("heads", [None, 4])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_in_grad_mode_it_writes_the_state_and_records_nothing(compiled, heads):
    state, *inputs = inputs_of(heads, None if heads is None else 2)
    want, want_state = expected(state, *inputs)
    inputs = [x.requires_grad_() for x in inputs]
    function = torch.compile(update, fullgraph=True, backend="aot_eager") if compiled else update

    got = function(state, *inputs, dt_softplus=True)

    assert torch.is_grad_enabled()
    assert not got.requires_grad
    assert not state.requires_grad
    assert plain.error(got, want) < 2e-6
    assert plain.error(state, want_state) < 2e-6


def test_a_state_in_16_bits_is_rounded_after_the_step():
    state, *inputs = inputs_of()
    inputs = [x.bfloat16() if i in (0, 1, 3, 4, 6) else x for i, x in enumerate(inputs)]
    state = state.bfloat16()
    want, want_state = expected(state, *inputs)

    got = update(state, *inputs, dt_softplus=1)

    assert (got.dtype, state.dtype) == (torch.bfloat16, torch.bfloat16)
    assert plain.error(got, want) < 1e-2
    assert plain.error(state, want_state) < 5e-3


@pytest.mark.parametrize(
    ("heads", "shape"), [(None, (6, 3)), (None, (2, 2, 3)), (4, (2, 3, 3)), (4, (2, 0, 3))]
)
def test_groups_divide_the_heads(heads, shape):
    state, x, dt, A, _, C, *rest = inputs_of(heads, None if heads is None else 2)

    with pytest.raises(ValueError, match=r"^selective_state_update: B must be \(b, n\) or \(b, g,"):
        update(state, x, dt, A, torch.zeros(shape), C, *rest)
