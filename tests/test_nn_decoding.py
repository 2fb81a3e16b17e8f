"""Mixers of sequences token by token, and the arguments of mamba_ssm."""

import inspect

import pytest

torch = pytest.importorskip("torch")

from selscan import nn  # noqa: E402
from selscan.compat.mamba_ssm.utils.generation import InferenceParams  # noqa: E402
from selscan.nn.branch import run_branch  # noqa: E402


def mixer(kind=nn.Mamba, **options):
    torch.manual_seed(0)
    return kind(8, 3, 4, 2, layer_idx=5, **options).double()


def by_tokens(made, x, prefilled):
    """The output of a prefill of some tokens and steps for all others."""
    params = InferenceParams(max_seqlen=x.shape[1], max_batch_size=len(x))
    parts = [made(x[:, :prefilled], inference_params=params)] if prefilled else []
    for t in range(prefilled, x.shape[1]):
        params.seqlen_offset = max(t, 1)
        parts.append(made(x[:, t : t + 1], inference_params=params))
    return torch.cat(parts, 1), params


@pytest.mark.parametrize("prefilled", [0, 1, 2, 5])
@pytest.mark.parametrize("options", [{}, {"bias": True, "conv_bias": False, "dt_rank": 3}])
def test_a_prefill_and_steps_are_the_sequence(options, prefilled):
    made, x = mixer(**options), torch.randn(2, 7, 8, dtype=torch.float64)

    got, params = by_tokens(made, x, prefilled)

    torch.testing.assert_close(got, made(x))
    assert not got.requires_grad
    assert set(params.key_value_memory_dict) == {5}


def test_states_are_updated_in_place():
    made, x = mixer(), torch.randn(2, 1, 8, dtype=torch.float64)
    conv_state, ssm_state = made.allocate_inference_cache(2, 100)

    y, *states = made.step(x, conv_state, ssm_state)

    assert (y.shape, conv_state.shape, ssm_state.shape) == ((2, 1, 8), (2, 16, 4), (2, 16, 3))
    assert states[0] is conv_state
    assert states[1] is ssm_state
    assert ssm_state.abs().sum() > 0
    torch.testing.assert_close(y, made(x))


def test_the_state_of_the_scan_has_32_bits_at_least():
    made = nn.Mamba(8, dtype=torch.bfloat16)
    conv_state, ssm_state = made.allocate_inference_cache(2, 100)
    x = torch.randn(2, 5, 8).bfloat16()

    assert (conv_state.dtype, ssm_state.dtype) == (torch.bfloat16, torch.float32)
    steps = torch.cat([made.step(v, conv_state, ssm_state)[0] for v in x.split(1, 1)], 1)
    want = nn.Mamba(8)
    want.load_state_dict(made.state_dict())
    want = want(x.float())
    assert steps.dtype == torch.bfloat16
    assert (steps - want).abs().max() < 2e-2 * want.abs().max()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_token_by_token_the_forward_branch_is_alone(version):
    made = mixer(nn.BiMamba, version=version, halved=False)
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    want = made.out_proj(run_branch(made.branch, *made.split(x)).transpose(1, 2))

    torch.testing.assert_close(by_tokens(made, x, 3)[0], want)


def test_parameters_begin_as_they_are_asked_to():
    options = {"dt_min": 0.01, "dt_max": 0.02, "dt_init": "constant", "dt_scale": 2.0}
    for made in (nn.Mamba(32, **options), nn.BiMamba(32, **options)):
        delta = torch.nn.functional.softplus(made.dt_proj.bias)
        assert 0.0099 < delta.min() < delta.max() < 0.0201
        assert made.dt_proj.weight.unique().allclose(torch.tensor(2.0 * 2**-0.5))
    local = nn.LocalMamba(32, ("h",), **options, dt_rank=5, bias=True, dtype=torch.float64)
    assert local.dt_proj_0.weight.shape == (64, 5)
    assert (local.A_log_0.dtype, local.in_proj.bias.dtype) == (torch.float32, torch.float64)
    floor = nn.Mamba(8, dt_min=1e-6, dt_max=2e-6, dt_init_floor=1e-2)
    assert torch.nn.functional.softplus(floor.dt_proj.bias).allclose(torch.tensor(1e-2))


def test_parameters_are_marked_for_those_who_look():
    made = nn.BiMamba(8)
    marked = {name for name, x in made.named_parameters() if getattr(x, "_no_weight_decay", False)}

    assert marked == {"A_log", "A_b_log", "D", "D_b"}
    assert made.dt_proj.bias._no_reinit
    marked = {k for k, x in nn.Mixer2d(8).named_parameters() if hasattr(x, "_no_weight_decay")}
    assert marked == {"A_logs", "Ds", "dt_projs_bias"}


def test_the_arguments_are_those_of_mamba_ssm_in_their_order():
    names = [*inspect.signature(nn.Mamba).parameters]

    assert names[:5] == ["d_model", "d_state", "d_conv", "expand", "dt_rank"]
    assert names[5:10] == ["dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor"]
    assert names[10:14] == ["conv_bias", "bias", "use_fast_path", "layer_idx"]
    assert names[14:] == ["device", "dtype", "group", "dim"]


@pytest.mark.parametrize("kind", [nn.Mamba, nn.BiMamba, nn.LocalMamba])
def test_the_width_goes_by_two_names(kind):
    assert kind(d_model=8).in_proj.in_features == kind(dim=8).in_proj.in_features == 8
    for given, got in (({}, "None"), ({"d_model": 8, "dim": 8}, "both d_model and dim")):
        with pytest.raises(
            TypeError,
            match=f"^{kind.__name__}: d_model must be an integer of at least 1; got {got}",
        ):
            kind(**given)


def test_what_does_not_fit_is_refused():
    made = mixer()
    states = made.allocate_inference_cache(1)

    with pytest.raises(
        ValueError, match=r"step: hidden_states must be one token, \(b, 1, 8\); got"
    ):
        made.step(torch.zeros(1, 2, 8, dtype=torch.float64), *states)
    for kind in (nn.Mamba, nn.BiMamba):
        expected = f"^{kind.__name__}: layer_idx must be an int to use inference_params; got None"
        with pytest.raises(ValueError, match=expected):
            kind(8)(torch.zeros(1, 1, 8), inference_params=InferenceParams(1, 1))
    with pytest.raises(ValueError, match="dt_init must be 'random' or 'constant'; got 'uniform'"):
        nn.Mamba(8, dt_init="uniform")


def test_a_map_comes_all_at_once():
    made = nn.LocalMamba(8, ("h",))

    for call in (
        lambda: made.step(torch.zeros(1, 1, 8), None, None),
        lambda: made.allocate_inference_cache(1, max_seqlen=4),
        lambda: made(torch.zeros(1, 4, 8), (2, 2), inference_params=InferenceParams(4, 1)),
    ):
        with pytest.raises(RuntimeError, match="LocalMamba: tokens must come all at once; got a"):
            call()
    assert made(torch.zeros(1, 4, 8), (2, 2), inference_params=None).shape == (1, 4, 8)


@pytest.mark.parametrize("kind", [nn.Mamba, nn.BiMamba])
def test_a_sequence_over_many_processes_has_no_cache(kind):
    mixer = kind(8, layer_idx=0, group=object())

    with pytest.raises(RuntimeError, match=rf"^{kind.__name__}: a cache must be for one process"):
        mixer.allocate_inference_cache(1)
