"""What all models have beside `forward`: the attributes and methods of timm's, under its names."""

import contextlib
import re

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..messages import fail
from ..nn.checks import check_count, check_switch
from ..nn.initial import init_weights

# How images of ImageNet are prepared in all of the papers: the shorter side is scaled to
# 224 / 0.875 = 256 pixels, and the middle is cut out.
PREPARED = {
    "input_size": (3, 224, 224),
    "pool_size": None,
    "crop_pct": 0.875,
    "crop_mode": "center",
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "num_classes": 1000,
    "fixed_input_size": False,
}
# A, D, the bias of delta, and what is learned of places. By name, because copies of a parameter
# have no marks.
WITHOUT_DECAY = re.compile(
    r"(.*\.)?(A_logs?|A_b_log|D|D_b|Ds|dt_projs_bias)(_\d+)?|pos_embed|cls_token(_head|_tail)?"
)
BEFORE = (99999,)  # timm's mark of what belongs to the block before it


class FeatureInfo(list):
    """A dict for each map that a model can give, with num_chs, reduction and module.

    The methods are of the maps that it gives, `out_indices`; of a classifier these are all.
    """

    def __init__(self, maps, out_indices=None):
        super().__init__(maps)
        self.out_indices = tuple(range(len(self))) if out_indices is None else out_indices

    def channels(self, idx=None):
        """Channels, a list; of one map by its number, or of several by theirs."""
        return self.get("num_chs", idx)

    def reduction(self, idx=None):
        """Sides of the image as multiples of the map's."""
        return self.get("reduction", idx)

    def module_name(self, idx=None):
        """The names of the modules that compute the maps, before their norms."""
        return self.get("module", idx)

    def get(self, key, idx=None):
        """One of the values."""
        if isinstance(idx, int):
            return self[idx][key]
        return [self[i][key] for i in (self.out_indices if idx is None else idx)]

    def get_dicts(self, keys=None, idx=None):
        """Some of the values of each map, all if no keys are given."""
        maps = [self[i] for i in (self.out_indices if idx is None else idx)]
        return [{k: v for k, v in x.items() if keys is None or k in keys} for x in maps]


class Blocks(nn.Sequential):
    """Modules one behind the other, each of them checkpointed if asked."""

    grad_checkpointing = False

    def forward(self, x):
        return self.through(self, x)

    def through(self, modules, x):
        """x through some of them."""
        for module in modules:
            x = checkpointed(module, x) if self.grad_checkpointing else module(x)
        return x


def checkpointed(module, *inputs):
    """The result of a module; what its gradient needs is computed anew from the inputs."""
    if not torch.is_grad_enabled():
        return module(*inputs)
    if norms := [m for m in module.modules() if isinstance(m, _BatchNorm)]:
        return checkpointed_with(norms, module, *inputs)
    return checkpoint(module, *inputs, use_reentrant=False)


@torch.compiler.disable  # it takes no contexts, and where it cuts a graph averages would move twice
def checkpointed_with(norms, module, *inputs):
    """`checkpointed`, where some of the modules are norms over the batch."""

    def contexts():
        return contextlib.nullcontext(), still(norms)

    return checkpoint(module, *inputs, use_reentrant=False, context_fn=contexts)


@contextlib.contextmanager
def still(norms):
    """The averages of some norms do not move: they have seen this batch already."""
    held = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    for norm, buffers in zip(norms, held, strict=True):
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, held, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)


def new_head(channels, num_classes, like=None):
    """What makes scores of features: nothing if there are no classes."""
    factory = {} if like is None else {"device": like.device, "dtype": like.dtype}
    return nn.Linear(channels, num_classes, **factory) if num_classes else nn.Identity()


class Model(nn.Module):
    """The base of all models.

    A family has the methods that are not implemented here, and the names of two modules: STEM, the
    first convolution, and HEAD, the classifier.

    Parameters
    ----------
    info : sequence of dict
        Of each stage or layer that is built, for `FeatureInfo`.
    maps : tuple of int, optional
        Those whose maps are returned; scores of classes if not given.
    num_classes : int
        Of the scores; 0 for the features that a head would see.

    Attributes
    ----------
    feature_info : FeatureInfo
    num_features, head_hidden_size : int
        Channels of the last map, which are those of the features.
    num_classes : int
        0 where there is no head.
    default_cfg, pretrained_cfg : dict
        How the paper prepares images, whatever options the model was made with.
    """

    STEM = HEAD = None

    def __init__(self, info, maps, num_classes):
        super().__init__()
        self.feature_info = FeatureInfo(info, maps)
        self.out_indices = maps
        self.num_features = self.head_hidden_size = self.feature_info[-1]["num_chs"]
        self.num_classes = 0 if maps else num_classes
        self.default_cfg = PREPARED | {"first_conv": self.STEM, "classifier": self.HEAD}
        self.pretrained_cfg = self.default_cfg
        self.grad_checkpointing = False

    def forward(self, images):
        """Scores (b, num_classes), or a list of maps (b, channels, h, w)."""
        if self.out_indices:
            return self.forward_maps(images)
        return self.forward_head(self.forward_features(images))

    def forward_maps(self, images):
        """A list of maps (b, channels, h, w)."""
        raise NotImplementedError

    def forward_features(self, images):
        """What the last block gives, behind its norm."""
        raise NotImplementedError

    def pooled(self, x):
        """(b, num_features) of `forward_features`."""
        raise NotImplementedError

    def group_matcher(self, coarse=False):
        """Patterns of the parameters' names by depth."""
        raise NotImplementedError

    def forward_head(self, x, pre_logits=False):
        """Scores of `forward_features`; with `pre_logits` the features (b, num_features)."""
        check_switch("forward_head", "pre_logits", pre_logits)
        x = self.pooled(x)
        return x if pre_logits else self.get_classifier()(x)

    def get_classifier(self):
        """The module that makes scores of features: torch.nn.Identity if there are no classes."""
        self.check_classifier("get_classifier")
        return self.get_submodule(self.HEAD)

    def reset_classifier(self, num_classes):
        """A new head, as training begins, for another number of classes; 0 for none."""
        self.check_classifier("reset_classifier")
        check_count("reset_classifier", "num_classes", num_classes, least=0)
        like = self.get_submodule(self.STEM).weight
        head = new_head(self.num_features, num_classes, like)
        init_weights(head)
        self.set_submodule(self.HEAD, head)
        self.num_classes = num_classes

    def check_classifier(self, function):
        """That this is no model of maps, which has no head."""
        if self.out_indices:
            hint = " Make it without features_only=True."
            fail(function, "model", "a classifier", "a model of feature maps", hint)

    def set_grad_checkpointing(self, enable=True):
        """Whether training keeps the inputs of blocks alone and computes the rest anew."""
        check_switch("set_grad_checkpointing", "enable", enable)
        for module in self.modules():
            if isinstance(module, Model | Blocks):
                module.grad_checkpointing = enable

    def no_weight_decay(self):
        """Names of parameters that weight decay should leave alone, beside norms and biases."""
        return {name for name, _ in self.named_parameters() if WITHOUT_DECAY.fullmatch(name)}
