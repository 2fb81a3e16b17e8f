"""Weights from files of every form that checkpoints come in, and what is said of others."""

import argparse
import sys
import types

import pytest

torch = pytest.importorskip("torch")

from selscan import models  # noqa: E402
from selscan.models import checkpoints, vmamba  # noqa: E402
from selscan.models.registry import Variant  # noqa: E402

SIZE = {"dim": (8, 16), "depths": (1, 1)}
IMAGE = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)


@pytest.fixture(autouse=True)
def small_variants(monkeypatch):
    """Variants with two short stages, for `create`."""
    for name, like in (("small", "vmamba_tiny_s1l8"), ("small_v0", "vmamba_v0_tiny")):
        options = vmamba.VARIANTS[like].options | SIZE
        monkeypatch.setitem(vmamba.VARIANTS, name, Variant(options, None, None, None))


def random_state(name="small", **options):
    """The state dict of a model whose numbers all differ from those it starts with."""
    torch.manual_seed(0)
    state = models.create(name, **options).state_dict()
    return {key: value + 0.1 * torch.randn(value.shape) for key, value in state.items()}


def assert_loaded(state, source, **options):
    """A model takes the tensors of a state dict from a source."""
    model = models.create("small", source, **options)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model": state, "epoch": 299, "max_accuracy": 82.6},
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
        lambda state: {"ema_model": {f"module.module.{k}": v for k, v in state.items()}},
        lambda state: {"model": {k: v + 1 for k, v in state.items()}, "model_ema": state},
        lambda state: {"model": state, "args": argparse.Namespace(lr=1e-3)},
    ],
    ids=["bare", "model", "state_dict", "ema_model", "model and model_ema", "with settings"],
)
def test_the_weights_are_found_in_what_training_scripts_save(wrap, tmp_path):
    state = random_state()
    torch.save(wrap(state), tmp_path / "weights.pth")

    assert_loaded(state, tmp_path / "weights.pth")


@pytest.mark.parametrize(
    "name", ["yacs.config.CfgNode", "lightning.fabric.utilities.data.AttributeDict"]
)
def test_settings_of_a_class_that_is_not_installed_do_no_harm(name, tmp_path, monkeypatch):
    class Settings(dict):
        """Pickled under the name, as in the files of VMamba and of Lightning."""

    module, _, Settings.__qualname__ = name.rpartition(".")
    Settings.__module__ = module
    packages = [module[:i] for i, letter in enumerate(f"{module}.") if letter == "."]
    for package in packages:
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    setattr(sys.modules[module], Settings.__qualname__, Settings)
    state, settings = random_state(), Settings(DATA=Settings(BATCH_SIZE=128))
    settings.frozen = True
    torch.save({"model": state, "config": settings}, tmp_path / "weights.pth")
    for package in packages:
        monkeypatch.delitem(sys.modules, package)

    assert_loaded(state, tmp_path / "weights.pth")


def test_a_state_dict_is_taken_as_it_is():
    state = random_state()
    assert_loaded(state, state)


def test_safetensors_are_read(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    state = random_state()
    save_file(state, tmp_path / "model.safetensors")

    assert_loaded(state, tmp_path / "model.safetensors")


def test_the_one_file_of_a_folder_is_read(tmp_path):
    state = random_state()
    torch.save(state, tmp_path / "weights.pth")
    (tmp_path / "README.md").touch()

    assert_loaded(state, str(tmp_path))


def test_a_repository_of_the_hub_is_read_from_its_cache(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    commit, state = "0" * 40, random_state()
    repository = tmp_path / "models--owner--small-vmamba"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(commit)
    torch.save({"model": state}, snapshot / "weights.pth")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    assert_loaded(state, "owner/small-vmamba")


def test_matrices_may_be_stored_as_convolutions_of_one_pixel():
    state = random_state()
    stored = {k: v[..., None, None] if v.dim() == 2 else v for k, v in state.items()}
    assert stored["layers.0.blocks.0.op.in_proj.weight"].dim() == 4
    stored["layers.0.blocks.0.op.A_logs"] = state["layers.0.blocks.0.op.A_logs"]

    assert_loaded(state, stored)


def test_names_of_january_2024_are_read():
    state = random_state("small_v0")

    def old(name):
        for new, before in (("patch_embed.0", "patch_embed.proj"), (".op.", ".self_attention.")):
            name = name.replace(new, before)
        name = name.replace("patch_embed.2", "patch_embed.norm").replace("classifier.", "")
        return name.replace("blocks.0.norm.", "blocks.0.ln_1.")

    stored = {old(k): v for k, v in state.items()}
    assert not {"classifier.norm.weight", "patch_embed.0.weight"} & set(stored)
    assert "layers.0.downsample.norm.weight" in stored

    model = models.create("small_v0", stored)

    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_a_head_for_other_classes_is_left_as_it_begins():
    state = random_state()

    model = models.create("small", state, num_classes=10)

    assert model(IMAGE).shape == (1, 10)
    assert torch.equal(model.classifier.norm.weight, state["classifier.norm.weight"])
    assert (model.classifier.head.bias == 0).all()


def test_weights_of_a_classifier_make_feature_maps():
    state = random_state()

    model = models.create("small", state, features_only=True)

    assert [tuple(x.shape) for x in model(IMAGE)] == [(1, 8, 8, 8), (1, 16, 4, 4)]
    assert torch.equal(model.patch_embed[0].weight, state["patch_embed.0.weight"])
    assert (model.outnorm0.weight == 1).all()


def without(state, *names):
    return {k: v for k, v in state.items() if k not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: without(state, "patch_embed.0.bias", "classifier.norm.bias"),
            "load: source must be the weights of this model; got a state dict: "
            "it lacks patch_embed.0.bias, classifier.norm.bias.",
        ),
        (
            lambda state: state | {f"extra.{i}": torch.ones(1) for i in range(6)},
            "got a state dict: it has besides extra.0, extra.1, extra.2, extra.3 and 2 more.",
        ),
        (
            lambda state: state | {"patch_embed.0.bias": torch.ones(7)},
            "it has of another shape patch_embed.0.bias (7,) for (4,).",
        ),
        (
            lambda state: {"optimizer": {"lr": 1.0}},
            "load: source must be a state dict, or have one as model_ema, ema_model, "
            "state_dict_ema, ema_state_dict, ema, state_dict, model_state_dict, model, module, "
            "net, app, online_model; got one with optimizer.",
        ),
        (lambda state: {}, "got a dict."),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    with pytest.raises(ValueError, match=r"^load: source must be ") as caught:
        models.create("small", change(random_state()))

    assert message in str(caught.value)


def test_a_folder_with_two_files_is_refused(tmp_path):
    for name in ("a.pth", "b.pth"):
        torch.save({}, tmp_path / name)

    with pytest.raises(ValueError, match=r"must be a folder with one file .*; got a.pth, b.pth\."):
        models.create("small", tmp_path)


def test_a_path_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"must be a file, a folder or .*; got 'no/such/file.pth'"):
        models.create("small", "no/such/file.pth")


def test_something_that_is_no_path_is_refused():
    with pytest.raises(TypeError, match=r"must be a path or a state dict; got 3 \(int\)\."):
        models.create("small", 3)


def test_a_file_with_code_is_not_run(tmp_path):
    torch.save({"model": random_state(), "hook": types.SimpleNamespace()}, tmp_path / "w.pth")

    with pytest.raises(ValueError, match="must be a file of tensors and plain data; got ") as error:
        models.create("small", tmp_path / "w.pth")
    assert "If you trust it, pass torch.load(source, weights_only=False)" in str(error.value)


@pytest.mark.parametrize(
    ("source", "library"),
    [("model.safetensors", "safetensors"), ("owner/name", "huggingface_hub")],
)
def test_a_library_that_is_missing_is_named(source, library, tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    for module in (library, f"{library}.torch"):
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ModuleNotFoundError, match=f"load: {library} is needed .*pip install"):
        models.create("small", source)


def test_load_returns_the_model():
    model = models.create("small")
    assert checkpoints.load(model, random_state()) is model
