"""timm's model interface, line by line, on a small model of each family.

timm itself is not installed: it needs torchvision, which replaces a CPU build of torch.
"""

import copy
import fnmatch
import math
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from test_models_maps import FAMILIES, IMAGE, every, maps_of, small  # noqa: E402

from selscan import models  # noqa: E402

# A variant with several blocks in a stage, for what goes by depth.
DEEP = {"depths": (1, 2, 2, 1), "routes": (("h", "v"), ("h",), ("v",)) * 2}
TOKENS = {"vim_tiny": 5, "local_vim_tiny": 4, "local_vim_tiny_middle_cls_token": 5}


def deep(name):
    """A small model, in pyramids with two blocks in the middle stages."""
    return small(
        name, **{k: v for k, v in DEEP.items() if k in FAMILIES[name] and "vim" not in name}
    )


def feature_info(name):
    model, seen = deep(name).eval(), {}
    for i, info in enumerate(model.feature_info):
        module = model.get_submodule(info["module"])
        module.register_forward_hook(lambda _, x, y, i=i: seen.update({i: y}))
    image = torch.randn(1, 3, 64, 64)

    model(image)

    assert len(model.feature_info) == len(seen) == 4
    for i, info in enumerate(model.feature_info):
        x = seen[i][0] if isinstance(seen[i], tuple) else seen[i]
        pixels = (64 // info["reduction"]) ** 2 + (1 if TOKENS.get(name) == 5 else 0)
        assert (x.shape[-1], x[0, ..., 0].numel()) == (info["num_chs"], pixels)


def feature_info_of_maps(name):
    model = maps_of(name, 1, -1)
    info = model.feature_info

    shapes = [x.shape[1:] for x in model(torch.randn(1, 3, 64, 64))]

    assert info.out_indices == (1, 3)
    assert info.channels() == [c for c, _, _ in shapes]
    assert info.reduction() == [64 // h for _, h, _ in shapes]
    assert info.module_name() == [info[1]["module"], info[3]["module"]]
    assert info.channels(0) == info[0]["num_chs"] == info.get("num_chs", [0])[0]
    assert info.get_dicts(["reduction"]) == [{"reduction": x} for x in info.reduction()]
    assert info.get_dicts() == [info[1], info[3]]
    assert copy.deepcopy(model).feature_info.channels() == info.channels()


def negative_out_indices(name):
    assert maps_of(name, -1, -3).out_indices == maps_of(name, 1, 3).out_indices == (1, 3)


def num_features(name):
    model = small(name)
    features = model.forward_head(model.forward_features(IMAGE), pre_logits=True)

    assert features.shape == (2, model.num_features)
    assert model.num_features == model.head_hidden_size == model.get_classifier().in_features


def num_classes_of_zero(name):
    model, other = small(name, num_classes=0), small(name, seed=1)
    models.load(model, other.state_dict())

    got = model(IMAGE)

    assert (model.num_classes, other.num_classes) == (0, 3)
    assert isinstance(model.get_classifier(), torch.nn.Identity)
    assert set(other.state_dict()) - set(model.state_dict()) == {
        f"{other.default_cfg['classifier']}.{part}" for part in ("weight", "bias")
    }
    assert torch.equal(other.get_classifier()(got), other(IMAGE))
    models.load(model, model.state_dict())
    with pytest.raises(ValueError, match=r"it lacks (classifier\.)?head\.weight"):
        models.load(other, model.state_dict())


def get_classifier(name):
    model = small(name)
    head = model.get_classifier()

    assert head is model.get_submodule(model.default_cfg["classifier"])
    assert (head.in_features, head.out_features) == (model.num_features, 3)


def reset_classifier(name):
    model = small(name)
    names = list(model.state_dict())
    features = model.forward_head(model.forward_features(IMAGE), pre_logits=True)

    model.reset_classifier(0)
    assert torch.equal(model(IMAGE), features)
    model.reset_classifier(7)

    assert (model(IMAGE).shape, model.num_classes) == ((2, 7), 7)
    assert list(model.state_dict()) == names
    weight, bias = model.get_classifier().parameters()
    assert 0 < weight.abs().max() < 0.2
    assert not bias.any()
    model.double().reset_classifier(2)
    assert model.get_classifier().weight.dtype == torch.float64


def forward_features(name):
    model = small(name)
    x = model.forward_features(IMAGE)

    if name in TOKENS:
        assert x.shape == (2, TOKENS[name], model.num_features)
    else:
        whole = maps_of(name, 3)
        models.load(whole, model.state_dict())
        whole.outnorm3.load_state_dict(model.classifier.norm.state_dict())
        assert torch.equal(x, whole(IMAGE)[0])


def forward_head(name):
    model = small(name)
    x = model.forward_features(IMAGE)
    features = model.forward_head(x, pre_logits=True)

    assert torch.equal(model.forward_head(x), model(IMAGE))
    assert torch.equal(model.get_classifier()(features), model(IMAGE))
    with pytest.raises(ValueError, match=r"^forward_head: x must be \(b, .*\); got \(2, 3\)\."):
        model.forward_head(torch.zeros(2, 3))
    with pytest.raises(TypeError, match=r"^forward_head: pre_logits must be True or False; got 1"):
        model.forward_head(x, pre_logits=1)


def set_grad_checkpointing(name):
    kept = {}

    def step(model):
        """The sum of scores; `kept` has the bytes that its gradient needs."""
        kept[model] = 0
        torch.manual_seed(0)  # for what stochastic depth leaves out

        def pack(x):
            kept[model] += x.numel() * x.element_size()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            return model(IMAGE).sum()

    model = small(name, drop_path_rate=0.5).train()
    checkpointed = copy.deepcopy(model)
    checkpointed.set_grad_checkpointing()
    for each in (model, checkpointed):
        step(each).backward()

    for got, want in zip(checkpointed.parameters(), model.parameters(), strict=True):
        assert torch.equal(got.grad, want.grad)
    for got, want in zip(checkpointed.buffers(), model.buffers(), strict=True):
        assert torch.equal(got, want)
    assert 2 * kept[checkpointed] < kept[model]
    checkpointed.set_grad_checkpointing(False)
    step(checkpointed)
    assert kept[checkpointed] == kept[model]
    with pytest.raises(TypeError, match=r"^set_grad_checkpointing: enable must be True or False;"):
        model.set_grad_checkpointing(1)


def no_weight_decay(name):
    model = small(name)
    marked = {k for k, p in model.named_parameters() if getattr(p, "_no_weight_decay", False)}
    places = {"pos_embed", "cls_token"} & set(dict(model.named_parameters()))

    assert marked
    assert model.no_weight_decay() == marked | places
    assert copy.deepcopy(model).no_weight_decay() == marked | places


def depths(model, coarse=False):
    """The parameters at each depth, from the stem to the head, as timm reads the patterns.

    What a pattern captures, behind the place of its entry, is a sort key; keys that end in 99999
    are not counted, and belong to the depth before. What matches nothing comes last.
    """
    patterns = []
    for entry, found in enumerate(model.group_matcher(coarse).values()):
        found = [(found, None)] if isinstance(found, str) else found
        patterns += [(re.compile(pattern), entry, suffix or ()) for pattern, suffix in found]
    keys = {}
    for name, _ in model.named_parameters():
        hits = ((p.match(name), entry, suffix) for p, entry, suffix in patterns)
        first = next((hit for hit in hits if hit[0]), None)
        key = (first[1], *map(int, first[0].groups()), *first[2]) if first else (math.inf,)
        keys.setdefault(key, []).append(name)
    groups = []
    for key in sorted(keys):
        if not groups or key[-1] != 99999:
            groups.append([])
        groups[-1] += keys[key]
    return groups


def group_matcher(name):
    model = deep(name)
    groups = depths(model)
    layers = 4 if name in TOKENS else 6

    assert sum(map(len, groups)) == len(list(model.parameters()))
    assert len(groups) == 1 + layers + 1
    assert all(k.startswith(("patch_embed", "pos_embed", "cls_token")) for k in groups[0])
    head = model.default_cfg["classifier"]
    assert groups[-1] == [f"{head}.weight", f"{head}.bias"]
    found = [{re.match(r"layers\.(\d)", k)[1] for k in x if "layers" in k} for x in groups[1:-1]]
    assert found == [{i} for i in ("0123" if name in TOKENS else "011223")]
    if name not in TOKENS:
        for i, group in enumerate(groups[1:-1]):  # behind the last block of a stage
            merging = [k for k in group if "reduction" in k or "downsample" in k]
            assert bool(merging) == (i in (0, 2, 4))
    norm = ("norm_f.", "classifier.norm.")
    assert all(k in groups[-2] for k, _ in model.named_parameters() if k.startswith(norm))
    stages = depths(model, coarse=True)
    assert len(stages) == 1 + 4 + 1
    with pytest.raises(TypeError, match=r"^group_matcher: coarse must be True or False; got 1"):
        model.group_matcher(1)


def default_cfg(name):
    model = small(name)
    config = model.default_cfg
    stem = model.get_submodule(config["first_conv"])

    assert config is model.pretrained_cfg
    assert config["architecture"] == name
    assert (config["input_size"], config["num_classes"]) == ((3, 224, 224), 1000)
    assert math.floor(224 / config["crop_pct"]) == 256
    assert (config["interpolation"], config["crop_mode"]) == ("bicubic", "center")
    assert config["mean"] == (0.485, 0.456, 0.406)
    assert config["std"] == (0.229, 0.224, 0.225)
    assert isinstance(stem, torch.nn.Conv2d)
    assert stem.in_channels == 3
    assert small(name, seed=1).default_cfg is not config


def list_models(name):
    names = models.list()
    patterns = (name, f"{name[:3]}*", "*", "*_tiny", "VIM*", "nothing*", "vim_[bs]*")

    for pattern in patterns:
        assert models.list(pattern) == [x for x in names if fnmatch.fnmatchcase(x, pattern)]
    assert name in models.list(f"{name[:3]}*")
    with pytest.raises(TypeError, match=r"^list: filter must be a string; got None"):
        models.list(None)


# As the page of the models names them, and what tests each.
TABLE = {
    "`feature_info`": feature_info,
    "`feature_info.channels()`, `reduction()`, `module_name()`, `get()`, `get_dicts()`": (
        feature_info_of_maps
    ),
    "`out_indices=(-1,)`": negative_out_indices,
    "`num_features`, `head_hidden_size`": num_features,
    "`num_classes`, `num_classes=0`": num_classes_of_zero,
    "`get_classifier()`": get_classifier,
    "`reset_classifier(num_classes)`": reset_classifier,
    "`forward_features(images)`": forward_features,
    "`forward_head(x, pre_logits=False)`": forward_head,
    "`set_grad_checkpointing(enable=True)`": set_grad_checkpointing,
    "`no_weight_decay()`": no_weight_decay,
    "`group_matcher(coarse=False)`": group_matcher,
    "`default_cfg`, `pretrained_cfg`": default_cfg,
    '`models.list("vim*")`': list_models,
}


@every
@pytest.mark.parametrize("line", TABLE)
def test_models_have_the_interface_of_timm(line, name):
    TABLE[line](name)


def test_the_page_of_models_has_each_line():
    page = (Path(__file__).parents[1] / "docs/models.md").read_text(encoding="utf-8")
    section = page.partition("## Habits from timm")[2].partition("\n## ")[0]

    assert re.findall(r"^\| (`.*?) \| ", section, re.M) == list(TABLE)


@every
def test_models_of_maps_have_no_head(name):
    model = maps_of(name, 0)
    calls = {
        "get_classifier": model.get_classifier,
        "reset_classifier": lambda: model.reset_classifier(3),
        "forward_features": lambda: model.forward_features(IMAGE),
        "forward_head": lambda: model.forward_head(torch.zeros(1, 8)),
    }

    assert model.num_classes == 0
    for function, call in calls.items():
        expected = f"^{function}: model must be a classifier; got a model of feature maps. Make it"
        with pytest.raises(ValueError, match=expected):
            call()


@pytest.mark.parametrize(("count", "error"), [(-1, ValueError), (True, TypeError)])
def test_a_head_has_a_number_of_classes(count, error):
    with pytest.raises(error, match=r"^reset_classifier: num_classes must be an integer of at"):
        small("msvmamba_nano").reset_classifier(count)


# Compiled in several graphs, Dynamo looks at the gradients of tensors that have none.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_checkpointed_norms_over_the_batch_stay_right_when_compiled():
    model = small("efficientvmamba_tiny", depths=(1,)).train()
    model.set_grad_checkpointing()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager")

    for x in (model, compiled):
        x(IMAGE).square().sum().backward()

    for got, want in zip(compiled.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(got, want)
    for got, want in zip(compiled.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(got.grad, want.grad)


def test_a_checkpointed_pyramid_is_one_graph():
    model = small("vmamba_tiny_s1l8", depths=(1,)).eval()
    model.set_grad_checkpointing()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)

    for x in (model, compiled):
        x(IMAGE).square().sum().backward()

    for got, want in zip(compiled.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(got.grad, want.grad)


@every
@torch.no_grad()
def test_a_head_of_transformers_fits_by_feature_info_alone(name):
    upernet = pytest.importorskip("transformers.models.upernet.modeling_upernet")
    model = maps_of(name)
    config = upernet.UperNetConfig(hidden_size=8, num_labels=5, backbone_config=None)
    head = upernet.UperNetHead(config, model.feature_info.channels()).eval()

    masks = head(model(IMAGE))

    assert masks.shape == (2, 5, *(32 // model.feature_info.reduction(0),) * 2)
