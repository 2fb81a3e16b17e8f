"""The state dict of `nn.Mamba` is that of mamba_ssm's mixer, and of transformers'."""

import pytest

torch = pytest.importorskip("torch")
modeling = pytest.importorskip("transformers.models.mamba.modeling_mamba")

import transformers  # noqa: E402

import selscan  # noqa: E402
from selscan import nn  # noqa: E402

WIDTH, STATES, KERNEL, RANK = 24, 4, 3, 2
OPTIONS = [(False, True), (True, False)]  # bias of the outer projections, and of the convolution
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def names_and_shapes(bias, conv_bias):
    """Those of mamba_ssm's Mamba(24, 4, 3, 2): d_inner is 48, dt_rank 24 / 16, rounded up."""
    table = {
        "A_log": (48, 4),
        "D": (48,),
        "in_proj.weight": (96, 24),
        "conv1d.weight": (48, 1, 3),
        "x_proj.weight": (2 + 2 * 4, 48),
        "dt_proj.weight": (48, 2),
        "dt_proj.bias": (48,),
        "out_proj.weight": (24, 48),
    }
    table |= {"in_proj.bias": (96,), "out_proj.bias": (24,)} if bias else {}
    return table | ({"conv1d.bias": (48,)} if conv_bias else {})


def ours(bias, conv_bias, kind=nn.Mamba):
    return kind(WIDTH, STATES, KERNEL, 2, bias=bias, conv_bias=conv_bias, layer_idx=0)


def theirs(bias, conv_bias):
    """The mixer of transformers, and what makes an empty cache for it."""
    config = transformers.MambaConfig(
        hidden_size=WIDTH,
        state_size=STATES,
        conv_kernel=KERNEL,
        time_step_rank=RANK,
        num_hidden_layers=1,
        use_bias=bias,
        use_conv_bias=conv_bias,
    )
    mixer = modeling.MambaMixer(config, layer_idx=0).eval()
    return mixer, lambda: transformers.DynamicCache(config=config)


def shaken(mixer, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return mixer


@pytest.mark.parametrize(("bias", "conv_bias"), OPTIONS)
def test_names_and_shapes_are_those_of_mamba_ssm(bias, conv_bias):
    found = {k: tuple(v.shape) for k, v in ours(bias, conv_bias).state_dict().items()}

    assert found == names_and_shapes(bias, conv_bias)
    with selscan.patch():
        from mamba_ssm import Mamba

        other = ours(bias, conv_bias, Mamba)
    assert {k: tuple(v.shape) for k, v in other.state_dict().items()} == found


@pytest.mark.parametrize("way", ["to transformers", "from transformers"])
@pytest.mark.parametrize(("bias", "conv_bias"), OPTIONS)
@torch.no_grad()
def test_weights_go_both_ways_and_give_the_same_outputs_and_steps(bias, conv_bias, way):
    mine, (other, new_cache) = shaken(ours(bias, conv_bias), 0), theirs(bias, conv_bias)
    shaken(other, 1)
    source, target = (mine, other) if way == "to transformers" else (other, mine)
    target.load_state_dict(source.state_dict(), strict=True)
    x = torch.randn(2, 7, WIDTH)

    torch.testing.assert_close(mine(x), other(x))
    # A prefill, then a token by the states that it left.
    cache, states = new_cache(), mine.allocate_inference_cache(2)
    torch.testing.assert_close(mine.prefill(x[:, :6], *states), other(x[:, :6], cache))
    got, *_ = mine.step(x[:, 6:], *states)
    torch.testing.assert_close(got, other(x[:, 6:], cache))
    torch.testing.assert_close(states[1], cache.get_recurrent_state(0, state_idx=0))
    torch.testing.assert_close(got, mine(x)[:, 6:])
