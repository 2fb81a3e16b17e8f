"""transformers' Mamba, FalconMamba and Jamba on selscan, and models that share some names."""

import contextlib
import importlib
import importlib.util
import sys
from unittest import mock

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import plain_torch as plain  # noqa: E402

import selscan  # noqa: E402
from selscan.compat.causal_conv1d import causal_conv1d_interface as conv1d  # noqa: E402
from selscan.compat.mamba_ssm.ops import selective_scan_interface as interface  # noqa: E402
from selscan.compat.mamba_ssm.ops.triton import selective_state_update as step  # noqa: E402

COMMON = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2}
ATTENTION = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 16}
JAMBA = {
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "num_experts": 2,
    "mamba_d_state": 4,
    "mamba_dt_rank": 2,
}
MAMBA2 = {"num_heads": 4, "head_dim": 8, "n_groups": 2, "state_size": 4, "chunk_size": 4}
CONFIGS = {
    "Mamba": COMMON | {"state_size": 4},
    "FalconMamba": COMMON | {"state_size": 4},
    "Jamba": COMMON | ATTENTION | JAMBA,
    "Mamba2": COMMON | MAMBA2,
    "Lfm2": COMMON | ATTENTION | {"layer_types": ["conv", "full_attention"]},
}
SCANS = ("Mamba", "FalconMamba", "Jamba")
# Of transformers' own: names that it will change, and a cached function that Dynamo looks through.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Dynamo detected a call"
)


def model_of(name):
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**CONFIGS[name], pad_token_id=0)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
    return model


def tokens(b=2, l=9):
    return torch.randint(1, 50, (b, l), generator=torch.Generator().manual_seed(1))


@contextlib.contextmanager
def counted():
    """The patch, and how often each of our functions ran."""
    places = (
        (interface, "scan"),
        (step, "scan_step"),
        (conv1d, "causal_conv"),
        (conv1d, "conv_step"),
    )
    with contextlib.ExitStack() as stack:
        mocks = {
            name: stack.enter_context(mock.patch.object(place, name, wraps=getattr(place, name)))
            for place, name in places
        }
        stack.enter_context(selscan.patch())
        yield mocks


def calls(mocks):
    return {name: function.call_count for name, function in mocks.items()}


@pytest.mark.parametrize("name", SCANS)
@torch.no_grad()
def test_logits_are_those_without_the_patch(name):
    model, ids = model_of(name), tokens()
    want = model(ids).logits

    with counted() as mocks:
        got = model(ids).logits

    layers = 1 if name == "Jamba" else 2
    assert plain.error(got, want) < 1e-5
    assert calls(mocks) == {"scan": layers, "scan_step": 0, "causal_conv": layers, "conv_step": 0}
    assert plain.error(model(ids).logits, want) == 0
    assert mocks["scan"].call_count == layers


@pytest.mark.parametrize("name", SCANS)
def test_tokens_are_generated_with_a_cache(name):
    model, ids = model_of(name), tokens()
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    want = model.generate(ids, **options)

    with counted() as mocks:
        got = model.generate(ids, **options)

    layers = 1 if name == "Jamba" else 2
    assert got.equal(want)
    assert calls(mocks)["scan_step"] == calls(mocks)["conv_step"] == 5 * layers


@pytest.mark.parametrize("name", SCANS)
def test_a_training_step_has_the_same_loss_and_gradients(name):
    model, ids = model_of(name).train(), tokens()

    def train():
        model.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        return loss.detach(), [x.grad for x in model.parameters()]

    want, expected = train()
    with counted() as mocks:
        got, found = train()

    assert plain.error(got, want) < 1e-6
    assert max(plain.errors(found, expected)) < 1e-4
    assert mocks["scan"].call_count == (1 if name == "Jamba" else 2)


@pytest.mark.parametrize("mode", ["grad", "no_grad", "compiled"])
def test_a_cached_step_is_the_same_in_every_mode(mode):
    model, ids = model_of("Mamba"), tokens()
    with torch.no_grad():
        want = model(ids).logits[:, -1:]

    with selscan.patch():
        with torch.no_grad():
            cache = model(ids[:, :-1], use_cache=True).cache_params
        forward = torch.compile(model, backend="aot_eager") if mode == "compiled" else model
        with torch.no_grad() if mode == "no_grad" else contextlib.nullcontext():
            got = forward(ids[:, -1:], cache_params=cache, use_cache=True).logits

    assert plain.error(got, want) < 1e-5


def test_compiled_models_work_before_while_and_after():
    torch._dynamo.reset()
    model, ids = model_of("Mamba"), tokens()
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        want = compiled(ids).logits
        with selscan.patch():
            found, names = compiled(ids).logits, ran(lambda: compiled(ids))
        after = compiled(ids).logits

    assert plain.error(found, want) < 1e-5
    assert "selscan::scan" in names
    assert plain.error(after, want) < 1e-6
    with torch.no_grad():
        assert "selscan::scan" not in ran(lambda: compiled(ids))


def ran(function):
    """The names of the operators that ran."""
    with torch.profiler.profile() as profile:
        function()
    return {event.key for event in profile.key_averages()}


@torch.no_grad()
def test_in_16_bits_it_is_near_to_32():
    model, ids = model_of("Mamba"), tokens()
    want = model(ids).logits

    with selscan.patch():
        got = model.bfloat16()(ids).logits

    assert plain.error(got, want) < 3e-2


@torch.no_grad()
def test_padding_is_left_out():
    model, ids = model_of("Mamba"), tokens()
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    want = model(ids, attention_mask=mask).logits

    with selscan.patch():
        got = model(ids, attention_mask=mask).logits

    assert plain.error(got, want) < 1e-5


@pytest.mark.parametrize("name", ["Mamba2", "Lfm2"])
def test_models_that_share_some_names_still_work(name):
    model, ids = model_of(name), tokens()
    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
    with torch.no_grad():
        want, text = model(ids).logits, model.generate(ids, **options)

        with counted() as mocks:
            got, ours = model(ids).logits, model.generate(ids, **options)

    assert plain.error(got, want) < 1e-5
    assert ours.equal(text)
    found = calls(mocks)
    assert found["causal_conv"] > 0
    assert found["conv_step"] > 0
    assert found["scan_step"] == (8 if name == "Mamba2" else 0)
    model.train()
    with selscan.patch():
        model(ids, labels=ids).loss.backward()


NAMES = (
    "causal_conv1d_fn",
    "causal_conv1d_update",
    "mamba_inner_fn",
    "mamba_selective_scan",
    "mamba_selective_state_update",
)


def implementation(function):
    """What a wrapper of transformers calls."""
    parts = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
    return parts["implementation"].cell_contents


def test_names_that_were_bound_before_are_bound_anew_and_come_back():
    modeling = importlib.import_module("transformers.models.mamba.modeling_mamba")
    before = {name: getattr(modeling, name) for name in NAMES}

    with selscan.patch():
        for name in NAMES:
            ours = implementation(getattr(modeling, name))
            assert ours.__module__.startswith("selscan.compat.")
            assert getattr(modeling, name).__wrapped__ is before[name].__wrapped__
    assert {name: getattr(modeling, name) for name in NAMES} == before


def test_names_that_are_bound_meanwhile_are_torch_afterwards():
    package = "transformers.models.mamba"
    source = importlib.util.find_spec(f"{package}.modeling_mamba").origin
    spec = importlib.util.spec_from_file_location(f"{package}.planted", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with selscan.patch():
            spec.loader.exec_module(module)
            found = [implementation(getattr(module, name)) for name in NAMES]
            assert all(x.__module__.startswith("selscan.compat.") for x in found)
        for name in NAMES:
            function = getattr(module, name)
            assert implementation(function) is function.__wrapped__
    finally:
        del sys.modules[spec.name]


def test_only_the_chosen_package_is_bound():
    modeling = importlib.import_module("transformers.models.mamba.modeling_mamba")
    before = modeling.mamba_selective_scan

    with selscan.patch("causal_conv1d"):
        assert modeling.mamba_selective_scan is before
        assert implementation(modeling.causal_conv1d_fn) is conv1d.causal_conv1d_fn
