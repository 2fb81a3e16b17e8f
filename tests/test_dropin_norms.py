"""The norms of mamba_ssm.ops.triton, and blocks around mixers."""

import inspect

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from selscan.compat.mamba_ssm.modules import block, mamba_simple, mlp  # noqa: E402
from selscan.compat.mamba_ssm.ops.triton import layer_norm, layernorm_gated  # noqa: E402


def norm(x, weight, bias, rms, eps=1e-6):
    """In float64, over the last axis."""
    x = x if rms else x - x.mean(-1, keepdim=True)
    y = x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight
    return y if bias is None else y + bias


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rms", [False, True], ids=["layer", "rms"])
def test_a_norm_adds_first_and_returns_the_sum_before_it(rms, dtype):
    torch.manual_seed(0)
    x, residual, x1 = torch.randn(3, 2, 5, 8)
    x, x1 = x.to(dtype), x1.to(dtype)
    weight, bias, weight1, bias1 = torch.randn(4, 8)
    leaves = [v.requires_grad_() for v in (x, weight, bias, residual, x1, weight1, bias1)]
    exact = [plain.in_float64(v) for v in leaves]
    total = exact[0] + exact[3] + exact[4]
    want = [norm(total, *exact[1:3], rms), norm(total, *exact[5:], rms), total]

    function = layer_norm.rms_norm_fn if rms else layer_norm.layer_norm_fn
    got = function(*leaves, prenorm=True)

    tolerance = 2e-6 if dtype == torch.float32 else 1e-2
    assert [y.dtype for y in got] == [dtype, dtype, torch.float32]
    assert max(plain.errors(got, want)) < tolerance
    found = plain.gradients(torch.stack([y.float() for y in got]), leaves)
    assert max(plain.errors(found, plain.gradients(torch.stack(want), exact))) < 3 * tolerance


def test_the_sum_is_in_32_bits_where_it_is_asked_for():
    x, weight = torch.randn(3, 8).bfloat16(), torch.ones(8)

    y, residual = layer_norm.rms_norm_fn(x, weight, None, prenorm=True, residual_in_fp32=True)
    assert (y.dtype, residual.dtype) == (torch.bfloat16, torch.float32)
    _, residual = layer_norm.rms_norm_fn(x, weight, None, prenorm=True)
    assert residual.dtype == torch.bfloat16
    assert layer_norm.rms_norm_fn(x, weight, None).shape == (3, 8)


def test_rows_are_scaled_and_dropped():
    torch.manual_seed(0)
    x, weight, scale = torch.randn(4, 6, 8), torch.ones(8), torch.rand(4, 6)

    _, total = layer_norm.layer_norm_fn(x, weight, None, rowscale=scale, prenorm=True)
    assert plain.error(total, x * scale[..., None]) < 1e-6
    options = {"dropout_p": 0.25, "prenorm": True, "return_dropout_mask": True}
    y, total, mask, mask1 = layer_norm.layer_norm_fn(x, weight, None, **options)
    assert mask1 is None
    assert 0.6 < mask.float().mean() < 0.9
    assert plain.error(total, torch.where(mask, x / 0.75, 0)) < 1e-6
    assert plain.error(y, norm(total, weight, None, False)) < 1e-5
    with pytest.raises(ValueError, match="rowscale must be None where there is x1; got both"):
        layer_norm.layer_norm_fn(x, weight, None, x1=x, rowscale=scale)


def test_rmsnorm_is_a_module_with_a_weight_alone():
    made = layer_norm.RMSNorm(8, eps=1e-3, dropout_p=0.5).eval()
    x, residual = torch.randn(2, 3, 8)

    assert set(made.state_dict()) == {"weight"}
    assert plain.error(made(x), norm(x, 1, None, True, 1e-3)) < 1e-6
    y, _ = made(x, residual, prenorm=True)
    assert plain.error(y, norm(x + residual, 1, None, True, 1e-3)) < 1e-6
    assert made.train()(x)[x.abs() > 0].eq(0).any()


@pytest.mark.parametrize("before", [False, True], ids=["gate first", "norm first"])
@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("rms", [False, True], ids=["layer", "rms"])
def test_gated_norms(rms, size, before):
    torch.manual_seed(0)
    x, z = torch.randn(2, 5, 8)
    made = (layernorm_gated.RMSNorm if rms else layernorm_gated.LayerNorm)(
        8, eps=1e-4, group_size=size, norm_before_gate=before
    )
    nn.init.normal_(made.weight)
    y = x if before else x * F.silu(z)
    groups = y.unflatten(-1, (-1, size or 8))
    want = norm(groups, 1, None, rms, 1e-4).flatten(-2) * made.weight
    want = want * F.silu(z) if before else want

    assert (made.bias is None) == rms
    assert plain.error(made(x, z), want) < 2e-6
    function = layernorm_gated.rmsnorm_fn if rms else layernorm_gated.layernorm_fn
    form = {"eps": 1e-4, "group_size": size, "norm_before_gate": before}
    assert plain.error(function(x, made.weight, made.bias, z, **form), want) < 2e-6


class Scale(nn.Module):
    """A mixer that can be told from others."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x, inference_params=None):
        return 3 * x


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("norm_cls", [nn.LayerNorm, layer_norm.RMSNorm])
def test_a_block_adds_norms_and_mixes(norm_cls, fused):
    hidden, residual = torch.randn(2, 2, 3, 8)
    form = {"norm_cls": norm_cls, "fused_add_norm": fused, "residual_in_fp32": True}
    made = block.Block(8, Scale, nn.Identity, **form)

    y, total = made(hidden, residual)

    torch.testing.assert_close(total, hidden + residual)
    torch.testing.assert_close(y, 3 * made.norm(hidden + residual))
    y, total = made(hidden)
    torch.testing.assert_close(total, hidden)
    first = mamba_simple.Block(8, Scale, norm_cls, fused, True)
    torch.testing.assert_close(first(hidden, residual)[0], made(hidden, residual)[0])


def test_a_block_may_have_an_mlp():
    hidden, residual = torch.randn(2, 2, 3, 8)
    made = block.Block(8, Scale, mlp.GatedMLP)

    y, total = made(hidden, residual)

    middle = 3 * made.norm(hidden + residual) + hidden + residual
    torch.testing.assert_close(total, middle)
    first = made.mlp.fc1(made.norm2(middle))
    up, gate = first.chunk(2, -1)
    torch.testing.assert_close(y, made.mlp.fc2(up * F.silu(gate)))
    assert first.shape[-1] == 256  # 8 * 8 / 3, in steps of 128, twice


def test_the_signatures_tell_the_two_blocks_apart():
    first, second = (
        list(inspect.signature(x.Block.__init__).parameters) for x in (mamba_simple, block)
    )

    rest = ["norm_cls", "fused_add_norm", "residual_in_fp32"]
    assert first == ["self", "dim", "mixer_cls", *rest]
    assert second == ["self", "dim", "mixer_cls", "mlp_cls", *rest]


def test_fused_sums_need_a_norm_that_is_known():
    with pytest.raises(ValueError, match="Block: norm_cls must be a LayerNorm or this package's"):
        block.Block(8, Scale, nn.Identity, nn.RMSNorm, fused_add_norm=True)
