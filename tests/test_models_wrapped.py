"""Weights in wrappers of training scripts and libraries, in any nesting, and in several files."""

import itertools
import json

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.optim.swa_utils import AveragedModel  # noqa: E402

from selscan import models  # noqa: E402

SIZE = {"dim": 8, "depths": (1, 1), "num_classes": 3}


def new_model():
    return models.create("efficientvmamba_tiny", **SIZE)


def random_model(seed=0):
    """A model whose numbers all differ from those that a model begins with."""
    torch.manual_seed(seed)
    model = new_model()
    with torch.no_grad():
        for value in model.state_dict().values():
            value += torch.randint(1, 9, value.shape)
    return model


SOURCE = random_model()
STATE, OTHER = SOURCE.state_dict(), random_model(1).state_dict()


def assert_loaded(source):
    """A new model takes the weights from a source."""
    assert_holds(models.load(new_model(), source))


def assert_holds(model):
    """A model has the weights."""
    for (key, value), want in zip(model.state_dict().items(), STATE.values(), strict=True):
        assert torch.equal(value, want), key


def under(prefix, state=STATE):
    """A state dict with something in front of each name."""
    return {prefix + name: value for name, value in state.items()}


def inside(part, state=STATE):
    """A state dict with another part in each name, behind its first one."""
    return {name.replace(".", f".{part}.", 1): value for name, value in state.items()}


def averaged(*wrappers):
    """The state dict of torch's average of a model that is wrapped itself."""
    model = SOURCE
    for wrapper in wrappers:
        model = wrapper(model)
    return AveragedModel(model).state_dict()


FORMS = {
    "averaged": averaged,
    "averaged, parallel": lambda: averaged(torch.nn.DataParallel),
    "averaged, compiled": lambda: averaged(torch.compile),
    "an average of it": lambda: {"model": OTHER, "model_ema": averaged()},
    "ema": lambda: {"ema": STATE, "state_dict": OTHER},
    "module": lambda: {"module": STATE, "epoch": 3, "ds_version": "0.16"},
    "module of an average": lambda: {"model_ema": {"module": STATE, "decay": 0.9}, "model": OTHER},
    "an empty average": lambda: {"model_ema": {}, "model": STATE},
    "an average without weights": lambda: {"model_ema": {"decay": 0.9}, "model": STATE},
    "a counter of averages alone": lambda: {
        "model_ema": {"n_averaged": torch.tensor(0)},
        "model": STATE,
    },
    "no average": lambda: {"model_ema": None, "ema": [], "model": STATE},
    "Lightning": lambda: {"state_dict": under("model."), "callbacks": {}, "loops": {"a": {}}},
    "Lightning, compiled": lambda: {"state_dict": under("model._orig_mod.")},
    "Lightning with an average": lambda: {
        "state_dict": under("model.", OTHER) | under("ema_model.module.")
    },
    "net": lambda: {"state_dict": under("net.")},
    "a dict of net": lambda: {"net": STATE, "acc": 82.6},
    "model_state_dict": lambda: {"model_state_dict": STATE, "optimizer_state_dict": {"state": {}}},
    "ema_state_dict": lambda: {
        "state_dict": OTHER,
        "ema_state_dict": under("module.") | {"steps": torch.tensor(7)},
    },
    "online and average": lambda: (
        under("online_model.", OTHER)
        | under("ema_model.")
        | {"initted": torch.tensor(True), "step": torch.tensor(3)}
    ),
    "compiled blocks": lambda: inside("_orig_mod"),
    "sharded blocks": lambda: under("_fsdp_wrapped_module.", inside("_fsdp_wrapped_module")),
    "checkpointed blocks": lambda: {"model": inside("_checkpoint_wrapped_module")},
    "an application": lambda: {"app": {"model": STATE, "optim": {"state": {}}}},
    "parameters": lambda: dict(SOURCE.named_parameters()) | dict(SOURCE.named_buffers()),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_weights_are_found(form):
    assert_loaded(FORMS[form]())


DICTS = ("model_ema", "ema_model", "state_dict_ema", "ema", "state_dict", "model", "module", "net")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "_fsdp_wrapped_module.")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PREFIXES), max_size=4),
    st.lists(st.sampled_from(DICTS), max_size=4),
    st.lists(st.integers(0, 3), max_size=4),
)
def test_wrappers_nest_in_any_order(prefixes, wrappers, empty_at):
    source = under("".join(prefixes))
    for depth, wrapper in enumerate(wrappers):
        source = {wrapper: source, "epoch": depth, "optimizer": {"state": {0: torch.ones(2)}}}
        if depth in empty_at:
            source.setdefault("model_ema", {})
    assert_loaded(source)


@pytest.mark.parametrize("wrap", [torch.compile, torch.nn.DataParallel, AveragedModel])
def test_a_wrapped_model_takes_them_too(wrap):
    model = wrap(new_model())
    inner = getattr(model, "_orig_mod", None) or model.module

    assert models.load(model, {"state_dict": under("module.")}) is model
    assert_holds(inner)


def test_a_model_may_have_a_part_with_the_name_of_a_wrapper():
    parts = {"model": torch.nn.Linear(2, 2), "module": torch.nn.Identity()}
    model = torch.nn.ModuleDict(parts)
    state = {"model.weight": torch.ones(2, 2), "model.bias": torch.zeros(2)}

    for source in (state, {"model": state}, {f"net.{k}": v for k, v in state.items()}):
        torch.nn.init.zeros_(model["model"].weight)
        assert (models.load(model, source)["model"].weight == 1).all()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (STATE | {"criterion.weight": torch.ones(2)}, "it has besides criterion.weight."),
        (under("model.") | {"loss.weight": torch.ones(2)}, "it has besides loss.weight."),
        (STATE | under("module.", OTHER), "it has besides module.patch_embed.0.weight, "),
        (STATE | {"steps": torch.ones(2)}, "it has besides steps."),
        (
            {k: v.numpy() for k, v in STATE.items()},
            "got one whose patch_embed.0.weight is a numpy.ndarray.",
        ),
        ({"model": {"model_ema": {}}}, "got one with model."),
    ],
)
def test_nothing_is_left_out_in_silence(source, message):
    with pytest.raises(ValueError, match=r"^load: source must be ") as caught:
        models.load(new_model(), source)

    assert message in str(caught.value)


def circle(*keys):
    """A dict in itself, some keys down."""
    outer = {}
    inner = outer
    for key in keys[:-1]:
        inner[key] = {}
        inner = inner[key]
    inner[keys[-1]] = outer
    return outer


@pytest.mark.parametrize("keys", [("model",), ("ema", "module"), ("state_dict", "x", "model")])
def test_a_dict_in_itself_is_refused_or_its_weights_are_found(keys):
    source = circle(*keys)
    with pytest.raises(ValueError, match=r"^load: source must be a state dict, or have one as "):
        models.load(new_model(), source)

    source["net"] = STATE
    assert_loaded(source)


def test_a_deep_nesting_is_no_matter():
    source = STATE
    for _ in range(100_000):
        source = {"model": source}
    assert_loaded(source)


def shards(folder, save, suffix, count=3):
    """The weights in several files, and their index."""
    names = [f"weights-{i + 1:05}-of-{count:05}{suffix}" for i in range(count)]
    places = dict(zip(STATE, itertools.cycle(names), strict=False))
    for name in names:
        save({k: STATE[k].clone() for k, place in places.items() if place == name}, folder / name)
    index = folder / f"weights{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


@pytest.fixture(params=[".safetensors", ".bin"])
def index(request, tmp_path):
    """That of weights in three files."""
    if request.param == ".bin":
        return shards(tmp_path, torch.save, ".bin")
    library = pytest.importorskip("safetensors.torch")
    return shards(tmp_path, library.save_file, ".safetensors")


def test_the_files_of_an_index_are_read(index):
    assert_loaded(index)
    assert_loaded(index.parent)


def test_names_in_an_index_may_be_wrapped(tmp_path):
    torch.save(under("module."), tmp_path / "a.bin")
    content = {"weight_map": dict.fromkeys(under("module."), "a.bin")}
    (tmp_path / "a.bin.index.json").write_text(json.dumps(content))

    assert_loaded(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.write_text("{"), "a whole index of files of weights; got "),
        (lambda index: index.write_text("[]"), "a whole index of files of weights; got "),
        (
            lambda index: index.write_text('{"weight_map": {"a": 1}}'),
            "an index of files of weights; got one of 1 (int).",
        ),
        (
            lambda index: index.write_text('{"weight_map": {"a": "../w.bin"}}'),
            "an index of files of weights; got one of '../w.bin' (str).",
        ),
        (
            lambda index: index.write_text(f'{{"weight_map": {{"a": "{index.name}"}}}}'),
            "an index of files of weights; got one of 'weights.",
        ),
        (
            lambda index: next(index.parent.glob("*-00002-of-*")).unlink(),
            "an index of files beside it; got one of weights-00002-of-00003",
        ),
        (
            lambda index: index.write_text(index.read_text().replace('"patch', '"other.patch')),
            "an index of what its files have; got one with other.patch_embed.0.weight, ",
        ),
    ],
    ids=["cut off", "a list", "numbers", "elsewhere", "itself", "a file less", "other names"],
)
def test_an_index_that_does_not_fit_is_refused(index, change, message):
    change(index)

    with pytest.raises(ValueError, match=r"^load: source must be ") as caught:
        models.load(new_model(), index)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/weights.pth",
        "http://example.org/owner/name",
        "file:///weights.pth",
        "hf://owner/name",
        f"https://example.org/{'x' * 300}.pth",
    ],
)
def test_a_url_has_to_be_downloaded(url):
    with pytest.raises(ValueError, match=r"^load: source must be a file, a folder or ") as caught:
        models.load(new_model(), url)

    assert str(caught.value).endswith(" Download it, and pass the file.")
    assert url[:60] in str(caught.value)
    assert len(str(caught.value)) < 250
