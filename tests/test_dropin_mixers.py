"""Mixers of sequences, written the way third-party code calls the drop-in names.

Each has the calls of one kind of repository, and is compared with plain torch; sizes are small, and
all parameters are random.
"""

import functools
import itertools
import math

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402
from plain_torch import assert_same, exact_copy, shaken  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import selscan  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _patched():
    """As in a script whose first lines these are."""
    with selscan.patch():
        yield


# Vim-style and U-Mamba-style: the mixer of mamba_ssm.


BOTH = "v1", "v2"
HALVED = {}, {"if_divide_out": True}, {"if_devide_out": True}


@pytest.mark.parametrize(("kind", "halved"), [("none", {}), *itertools.product(BOTH, HALVED)])
def test_a_mixer_in_one_direction_or_in_two(kind, halved):
    from mamba_ssm.modules.mamba_simple import Mamba

    mixer = shaken(Mamba(d_model=8, d_state=3, bimamba_type=kind, layer_idx=0, **halved))
    x = torch.randn(2, 9, 8, requires_grad=True)
    exact, p = plain.in_float64(x), exact_copy(mixer)
    if kind == "v1":  # all but A is shared, and both see what one causal convolution gives
        want = plain_v1(p, exact, bool(halved))
    else:
        holder = nn.Module()
        holder.named_parameters = lambda: p.items()
        want = plain.mixer(holder, exact, ("", "_b") if kind == "v2" else ("",), bool(halved))

    got = mixer(x)

    assert_same(got, want, [x, *mixer.parameters()], [exact, *p.values()])


def plain_v1(p, x, halved):
    x, z = F.linear(x, p["in_proj.weight"]).transpose(1, 2).chunk(2, 1)
    u = plain.conv(x, p["conv1d.weight"][:, 0], p["conv1d.bias"])
    rows = torch.einsum("bdl,rd->brl", u, p["x_proj.weight"])
    dt, B, C = rows.split((1, 3, 3), 1)
    delta = torch.einsum("brl,dr->bdl", dt, p["dt_proj.weight"])
    total = 0
    for name, turn in (("A_log", lambda v: v), ("A_b_log", lambda v: v.flip(-1))):
        sequences = (turn(v) for v in (u, delta, B, C, z))
        u_t, delta_t, B_t, C_t, z_t = sequences
        A, bias = -p[name].exp(), p["dt_proj.bias"]
        total = total + turn(plain.scan(u_t, delta_t, A, B_t, C_t, p["D"], z_t, bias, True)[0])
    return F.linear((total / 2 if halved else total).transpose(1, 2), p["out_proj.weight"])


def test_the_output_of_a_mixer_may_have_factors():
    from mamba_ssm.modules.mamba_simple import Mamba

    torch.manual_seed(0)
    scaled = Mamba(8, bimamba_type="v2", if_divide_out=True, init_layer_scale=0.5)
    torch.manual_seed(0)
    whole = Mamba(8, bimamba_type="v2", if_divide_out=True)
    x = torch.randn(2, 5, 8)

    torch.testing.assert_close(scaled(x), 0.5 * whole(x))
    assert set(scaled.state_dict()) == {"gamma", *whole.state_dict()}


def test_a_mixer_by_keywords_outside_of_autocast():
    from mamba_ssm import Mamba

    mixer = shaken(Mamba(d_model=8, d_state=16, d_conv=4, expand=2))
    x = torch.randn(2, 9, 8, requires_grad=True)
    exact, p = plain.in_float64(x), exact_copy(mixer)
    holder = nn.Module()
    holder.named_parameters = lambda: p.items()

    with torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", enabled=False):
        got = mixer(x)

    want = plain.mixer(holder, exact)
    assert_same(got, want, [x, *mixer.parameters()], [exact, *p.values()])


# LocalMamba-style: the inner function for each of several directions.


def local_style(x, z, p, scan):
    """Directions of their own parameters: rows, rows backward, columns."""
    total = 0
    for i, turn in enumerate((lambda v: v, lambda v: v.flip(-1), columns)):
        weights = p[f"conv_{i}"], p[f"conv_bias_{i}"], p[f"x_proj_{i}"], p[f"dt_{i}"]
        rest = -p[f"A_log_{i}"].exp(), p[f"D_{i}"], p[f"bias_{i}"]
        total = total + turn(scan(turn(torch.cat((x, z), 1)), *weights, *rest))
    return total


def columns(v):
    """Of a map of 3 by 3: its own inverse."""
    return v.unflatten(-1, (3, 3)).mT.flatten(-2)


def by_inner_function(xz, conv, conv_bias, x_proj, dt_proj, A, D, bias):
    from mamba_ssm.ops.selective_scan_interface import mamba_inner_fn_no_out_proj

    rest = None, None, D
    options = {"delta_bias": bias, "delta_softplus": True}
    return mamba_inner_fn_no_out_proj(xz, conv, conv_bias, x_proj, dt_proj, A, *rest, **options)


class InnerByExtensions(torch.autograd.Function):
    """What forks of mamba_ssm have in their own copy of its interface."""

    @staticmethod
    def forward(ctx, xz, conv, conv_bias, x_proj, dt_proj, A, D, bias):
        import causal_conv1d_cuda
        import selective_scan_cuda

        x, z = xz.chunk(2, 1)
        u = causal_conv1d_cuda.causal_conv1d_fwd(x, conv[:, 0], conv_bias, None, True)
        rows = F.linear(u.transpose(1, 2), x_proj)
        r, n = dt_proj.shape[1], A.shape[1]
        delta = F.linear(rows[..., :r], dt_proj).transpose(1, 2)
        B, C = (v.transpose(1, 2)[:, None].contiguous() for v in rows[..., r:].split(n, -1))
        out, states, gated = selective_scan_cuda.fwd(u, delta, A, B, C, D, z, bias, True)
        ctx.save_for_backward(xz, conv, conv_bias, x_proj, dt_proj, A, D, bias)
        ctx.between = rows, u, delta, B, C, out, states
        return gated

    @staticmethod
    def backward(ctx, dout):
        import causal_conv1d_cuda
        import selective_scan_cuda

        xz, conv, conv_bias, x_proj, dt_proj, A, D, bias = ctx.saved_tensors
        rows, u, delta, B, C, out, states = ctx.between
        dxz, r = torch.empty_like(xz), dt_proj.shape[1]
        (x, z), (dx, dz) = xz.chunk(2, 1), dxz.chunk(2, 1)
        du, ddelta, dA, dB, dC, dD, dbias, dz, _ = selective_scan_cuda.bwd(
            u, delta, A, B, C, D, z, bias, dout, states, out, dz, True, True
        )
        ddelta = ddelta.transpose(1, 2)
        both = (v[:, 0].transpose(1, 2) for v in (dB, dC))
        drows = torch.cat((ddelta @ dt_proj, *both), -1)
        ddt_proj = torch.einsum("bld,blr->dr", ddelta, rows[..., :r])
        dx_proj = torch.einsum("blr,bdl->rd", drows, u)
        du = du + (drows @ x_proj).transpose(1, 2)
        _, dconv, dconv_bias = causal_conv1d_cuda.causal_conv1d_bwd(
            x, conv[:, 0], conv_bias, du, None, dx, True
        )
        return dxz, dconv[:, None], dconv_bias, dx_proj, ddt_proj, dA, dD, dbias


@pytest.mark.parametrize("scan", [by_inner_function, InnerByExtensions.apply])
def test_directions_by_inner_functions_and_by_extensions(scan):
    torch.manual_seed(0)
    d, n, r, p = 4, 3, 2, {}
    for i in range(3):
        p |= {f"conv_{i}": torch.randn(d, 1, 4), f"conv_bias_{i}": torch.randn(d)}
        p |= {f"x_proj_{i}": torch.randn(r + 2 * n, d) / d, f"dt_{i}": torch.randn(d, r)}
        p |= {f"A_log_{i}": torch.rand(d, n), f"D_{i}": torch.randn(d), f"bias_{i}": torch.rand(d)}
    inputs = {"x": torch.randn(2, d, 9), "z": torch.randn(2, d, 9)} | p
    inputs = {k: v.requires_grad_() for k, v in inputs.items()}
    exact = {k: plain.in_float64(v) for k, v in inputs.items()}
    want = local_style(exact["x"], exact["z"], exact, plain.inner)

    got = local_style(inputs["x"], inputs["z"], inputs, scan)

    assert_same(got, want, [*inputs.values()], [*exact.values()], 1e-5)


# MambaVision-style: convolutions on both halves, no gate, and None as a flag.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_halves_without_a_gate_and_a_flag_of_none(dtype):
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    torch.manual_seed(0)
    d, n, l = 4, 3, 9
    shapes = {"x": (2, 2 * d, l), "conv_x": (d, 3), "conv_z": (d, 3), "proj": (math.ceil(d / 2), d)}
    inputs = {k: torch.randn(v).requires_grad_() for k, v in shapes.items()}
    inputs |= {"B": torch.randn(2, n, l, requires_grad=True), "A": torch.rand(d, n)}
    inputs |= {"D": torch.ones(d), "bias": torch.rand(d)}
    inputs = {k: v.detach().requires_grad_() for k, v in inputs.items()}
    exact = {k: plain.in_float64(v) for k, v in inputs.items()}

    def mix(p, scan, conv):
        x, z = (
            conv(v, w) for v, w in zip(p["x"].chunk(2, 1), (p["conv_x"], p["conv_z"]), strict=True)
        )
        delta = torch.einsum("rd,bdl->brl", p["proj"], x).repeat_interleave(2, 1)
        return torch.cat((scan(x, delta, -p["A"], p["B"], 0.5 * p["B"], p["D"], p["bias"]), z), 1)

    def ours(u, delta, A, B, C, D, bias):
        u, delta, B, C = (v.to(dtype) for v in (u, delta, B, C))
        options = {"delta_bias": bias, "delta_softplus": True, "return_last_state": None}
        return selective_scan_fn(u, delta, A, B, C, D, z=None, **options).float()

    def same(v, w):  # both sides are padded, as by padding="same"
        return F.silu(F.conv1d(v, w[:, None], padding="same", groups=len(w)))

    def loop(u, delta, A, B, C, D, bias):
        return plain.scan(u, delta, A, B, C, D, None, bias, True)[0]

    tolerance = 5e-6 if dtype == torch.float32 else 2e-2
    got, want = mix(inputs, ours, same), mix(exact, loop, same)
    assert_same(got, want, [*inputs.values()], [*exact.values()], tolerance)


# Caduceus-style: both blocks, a mixer that is called with the width.


def test_blocks_from_both_places_take_a_mixer_and_a_norm():
    from mamba_ssm.modules.block import Block as Second
    from mamba_ssm.modules.mamba_simple import Block as First
    from mamba_ssm.modules.mamba_simple import Mamba
    from mamba_ssm.ops.triton.layernorm import RMSNorm, layer_norm_fn, rms_norm_fn

    mixer = functools.partial(Mamba, layer_idx=0, d_state=3)
    norm = functools.partial(RMSNorm, eps=1e-5)
    options = {"norm_cls": norm, "fused_add_norm": True, "residual_in_fp32": True}
    first, second = First(8, mixer, **options), Second(8, mixer, nn.Identity, **options)
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 5, 8)

    for got, want in zip(first(x), second(x), strict=True):
        torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        layer_norm_fn(x, first.norm.weight, None, is_rms_norm=True),
        rms_norm_fn(x, first.norm.weight, None),
    )
