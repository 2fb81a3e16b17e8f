"""The mixers of sequences are their equations, step by step."""

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from selscan import nn  # noqa: E402


def branch_by_hand(x, z, branch, backward=False):
    """A branch of Mamba, loop by loop; x and z (b, d, l)."""
    if backward:
        x, z = x.flip(2), z.flip(2)
    u = conv_by_hand(x, branch.conv1d)
    y = scan_by_hand(u, branch) * F.silu(z)
    return y.flip(2) if backward else y


def conv_by_hand(x, conv):
    u = conv.bias[:, None].expand(x.shape).clone()
    for i, tap in enumerate(conv.weight[:, 0].flip(1).T):  # the last tap is that of the step itself
        u[..., i:] += tap[:, None] * x[..., : x.shape[2] - i]
    return F.silu(u)


def scan_by_hand(u, branch):
    n, rank = branch.A_log.shape[1], branch.dt_proj.in_features
    state, ys = 0, []
    for u_t in u.unbind(2):
        dt, B, C = (branch.x_proj.weight @ u_t.T).T.split([rank, n, n], dim=1)
        delta = F.softplus(dt @ branch.dt_proj.weight.T + branch.dt_proj.bias)[..., None]
        state = (delta * -branch.A_log.exp()).exp() * state
        state = state + delta * B[:, None] * u_t[..., None]
        ys.append((state * C[:, None]).sum(2) + branch.D * u_t)
    return torch.stack(ys, dim=2)


def mixer(kind, **options):
    """A mixer in float64 with random parameters, and tokens for it."""
    torch.manual_seed(1)
    made = kind(8, d_state=3, d_conv=4, **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return made, torch.randn(2, 9, 8, dtype=torch.float64)


@torch.no_grad()
def test_mamba_is_its_equations():
    made, x = mixer(nn.Mamba)
    want = branch_by_hand(*made.split(x), made.branch)

    torch.testing.assert_close(made(x), made.out_proj(want.transpose(1, 2)))


@torch.no_grad()
def test_both_directions_have_a_branch_each():
    made, x = mixer(nn.BiMamba)
    ahead = branch_by_hand(*made.split(x), made.branch)
    back = branch_by_hand(*made.split(x), made.branch_back, backward=True)

    want = made.out_proj((ahead + back).transpose(1, 2) / 2)
    torch.testing.assert_close(made(x), want)


@torch.no_grad()
def test_both_directions_of_version_1_share_all_but_their_decay():
    made, x = mixer(nn.BiMamba, version="v1", halved=False)
    x_in, z = made.split(x)
    u = conv_by_hand(x_in, made.conv1d)
    back = made.branch._replace(A_log=made.A_b_log)
    want = scan_by_hand(u, made.branch) + scan_by_hand(u.flip(2), back).flip(2)

    assert {name for name, _ in made.named_parameters() if "_b" in name} == {"A_b_log"}
    torch.testing.assert_close(made(x), made.out_proj((want * F.silu(z)).transpose(1, 2)))
