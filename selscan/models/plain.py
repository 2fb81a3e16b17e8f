"""What Vim and LocalVim have in common: layers of mixers over the patches of one map."""

import math
import operator

import torch
from torch import nn
from torch.nn import functional as F

from ..messages import fail
from ..nn.checks import check_choice, check_count, check_switch
from ..nn.layers import DropPath, drop_path_rates, size_of
from . import tokens
from .checkpoints import keep_own
from .interface import BEFORE, Model, checkpointed, new_head
from .registry import LAYERS, chosen_maps

EPS = 1e-5  # of the norms


class Layer(nn.Module):
    """residual += the result of the layer before; then mixer(norm(residual)).

    The residual is in float32 at least, also where the mixers are in 16 bits. Stochastic depth
    leaves out what comes in, so that the rate of a layer is that of the mixer before it.
    """

    def __init__(self, dim, mixer, drop_path):
        super().__init__()
        self.mixer = mixer
        self.norm = nn.RMSNorm(dim, eps=EPS)
        self.drop_path = DropPath(drop_path)

    def forward(self, hidden, residual, *place):
        residual = added(self.drop_path(hidden), residual)
        return self.mixer(normed(self.norm, residual, hidden.dtype), *place), residual


def added(hidden, residual):
    """The stream after a mixer."""
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    return hidden if residual is None else residual + hidden


def normed(norm, residual, dtype):
    """The norm of the stream, computed in its dtype and rounded to that of the mixers."""
    weight = norm.weight.to(residual.dtype)
    return F.rms_norm(residual, norm.normalized_shape, weight, norm.eps).to(dtype)


class Plain(Model):
    """Patches, class tokens, positions, layers, and a classifier or the maps of some layers.

    Parameters
    ----------
    mixer : callable
        From the number of a layer to its mixer, a torch.nn.Module from tokens (b, l, dim) to the
        same; `place` has what else it takes.
    dim, depth : int
        Channels, and number of layers. Those behind the last map are not built.
    img_size : int or (int, int)
        Height and width of the images that positions are learned for. For other images they are
        resized at each call.
    patch, stride : int
        Side of a patch, and distance between two; without a stride they touch.
    pads : bool
        As in `tokens.Cut`.
    class_token : {None, "first", "middle", "both"}
        Where there are class tokens. The classifier takes the mean over them, or over all tokens
        where there is none.
    rope : bool
        Whether the tokens and the residual are rotated by their positions before each layer.
    drop_path_rate, num_classes, in_chans, features_only
        As in `selscan.models.create`.
    out_indices : sequence of int, optional
        The layers whose maps are returned; four at equal distances if not given.
    """

    STEM, HEAD = "patch_embed.proj", "head"

    def __init__(
        self,
        mixer,
        dim,
        depth,
        *,
        img_size=224,
        patch=16,
        stride=None,
        pads=False,
        class_token=None,
        rope=False,
        drop_path_rate=0.0,
        num_classes=1000,
        in_chans=3,
        features_only=False,
        out_indices=None,
    ):
        check_count("create", "dim", dim)
        check_count("create", "depth", depth, LAYERS)
        check_count("create", "patch", patch)
        if stride is not None:
            check_count("create", "stride", stride)
        check_choice("create", "class_token", class_token, tuple(tokens.CLASS_TOKENS))
        check_switch("create", "rope", rope)
        if rope and dim % 4:
            fail("create", "dim", "a multiple of 4, since tokens are rotated", dim)
        cut = tokens.Cut(patch, stride or patch, pads)
        img_size = tokens.checked_image_size(img_size, cut, rope)
        quarters = sorted({-(-depth * i // 4) - 1 for i in (1, 2, 3, 4)})
        maps, built = chosen_maps(features_only, out_indices, depth, quarters, "layers")

        info = {"num_chs": dim, "reduction": cut.stride}
        super().__init__(
            [info | {"module": f"layers.{i}"} for i in range(built)], maps, num_classes
        )
        self.patch_embed = tokens.Patches(in_chans, dim, cut)
        self.img_size, self.grid = img_size, cut.grid(*img_size)
        self.class_token, self.depth = class_token, depth
        for name in tokens.CLASS_TOKENS[class_token]:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, dim)))
        length = math.prod(self.grid) + len(tokens.CLASS_TOKENS[class_token])
        self.pos_embed = nn.Parameter(torch.zeros(1, length, dim))
        self.rope = tokens.Rope(dim, self.grid[0]) if rope else None
        rates = [0.0, *drop_path_rates(drop_path_rate, (depth,))[0]]
        self.layers = nn.ModuleList([Layer(dim, mixer(i), rates[i]) for i in range(built)])
        self.drop_path = DropPath(rates[-1])
        if maps:
            self.add_norms_of_maps(dim)
        else:
            self.norm_f = nn.RMSNorm(dim, eps=EPS)
            self.head = new_head(dim, num_classes)
        self.reset()

    def add_norms_of_maps(self, dim):
        """The norms that `map_of` needs."""
        self.norm_f = nn.RMSNorm(dim, eps=EPS)

    def reset(self):
        """Parameters as training begins, where that is not how the modules begin."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for layer in self.layers:
            weight = layer.mixer.out_proj.weight
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
            with torch.no_grad():
                weight /= math.sqrt(self.depth)

    def forward_maps(self, images):
        """The maps of the chosen layers, a list of (b, dim, rows, columns)."""
        maps = []
        self.trunk(images, maps)
        return maps

    def forward_features(self, images):
        """The norm of the last layer's tokens, (b, l, dim), class tokens among them."""
        self.check_classifier("forward_features")
        hidden, residual = self.trunk(images)
        return normed(self.norm_f, added(self.drop_path(hidden), residual), hidden.dtype)

    def trunk(self, images, maps=None):
        """What the last layer gives; the maps of chosen layers are appended to `maps`."""
        hidden, grid = self.embed(images)
        residual, place = None, self.place(grid)
        turn = self.rope.tables(self.class_token, grid) if self.rope else None
        for i, layer in enumerate(self.layers):
            if turn:
                hidden = tokens.rotate(hidden, *turn)
                residual = None if residual is None else tokens.rotate(residual, *turn)
            inputs = hidden, residual, *place
            hidden, residual = (
                checkpointed(layer, *inputs) if self.grad_checkpointing else layer(*inputs)
            )
            if maps is not None and i in self.out_indices:
                maps.append(self.as_map(self.map_of(hidden, residual, len(maps)), grid))
        return hidden, residual

    def place(self, grid):
        """What mixers take beside the tokens."""
        return ()

    def map_of(self, hidden, residual, number):
        """The tokens of the map that is returned for a layer, the `number`-th of them."""
        return normed(self.norm_f, added(hidden, residual), hidden.dtype)

    def embed(self, images):
        """Tokens with their positions, and the grid of the patches."""
        x = self.patch_embed(images)
        grid = size_of(x)
        own = [getattr(self, name) for name in tokens.CLASS_TOKENS[self.class_token]]
        x = tokens.insert(x.flatten(2).transpose(1, 2), own, self.rows(grid))
        return x + tokens.resized(self.pos_embed, self.class_token, self.grid, grid), grid

    def rows(self, grid):
        """Where class tokens stand."""
        return tokens.class_rows(self.class_token, math.prod(grid))

    def pooled(self, x):
        """(b, dim): the mean over class tokens (of x (b, l, dim)), or over all tokens."""
        self.check_classifier("forward_head")
        if x.dim() != 3 or x.shape[2] != self.num_features:
            fail("forward_head", "x", f"(b, l, {self.num_features})", tuple(x.shape))
        own = len(tokens.CLASS_TOKENS[self.class_token])
        rows = tokens.class_rows(self.class_token, operator.index(x.shape[1]) - own)
        found = [x[:, row] for row in rows]
        return sum(found) / own if own else x.mean(1)

    def as_map(self, x, grid):
        """Tokens (b, l, dim) as (b, dim, rows, columns), without class tokens."""
        return tokens.without(x, self.rows(grid)).transpose(1, 2).unflatten(2, grid)

    def group_matcher(self, coarse=False):
        """Patterns of the parameters' names by depth; layers are blocks also if `coarse`."""
        check_switch("group_matcher", "coarse", coarse)
        layers = [(r"^layers\.(\d+)\.", None), (r"^norm_f\.", BEFORE)]
        return {"stem": r"^(?:cls_token|pos_embed|patch_embed)", "blocks": layers}

    def adapt(self, state):
        """A state dict of this family with the positions of this model's grid.

        One of a classifier fits a model of feature maps: norms of maps stay as they begin, and
        layers behind the last map are left out.
        """
        state, own = dict(state), self.state_dict()
        for name in ("pos_embed", "rope.freqs_cos", "rope.freqs_sin"):
            if name in own and is_table(state.get(name), own[name]):
                state[name] = self._resized(name, state[name].to(own[name].dtype))
        if self.out_indices is None:
            return keep_own(self, state, "head.", of_other_shape=True)
        behind = (f"layers.{i}." for i in range(len(self.layers), self.depth))
        left_out = ("head.", "norm_f.", *behind)
        state = {k: v for k, v in state.items() if k in own or not k.startswith(left_out)}
        return keep_own(self, state, "outnorm_")

    def _resized(self, name, table):
        """A table of positions, (1, l, dim) or of rotations (l, dim), for this model's grid."""
        form = self.class_token if name == "pos_embed" else None
        count = table.shape[-2] - len(tokens.CLASS_TOKENS[form])
        old = tokens.grid_of(count, self.grid)
        if old is None:
            fail("load", name, "that of a square of patches", f"one of {count} patches")
        new = tokens.resized(table.reshape(1, *table.shape[-2:]), form, old, self.grid)
        return new.reshape(*table.shape[:-2], *new.shape[1:])


def is_table(value, own):
    """Whether a tensor has rows like those of another one; what is none is refused elsewhere."""
    if value is None or not value.is_floating_point() or value.dim() != own.dim():
        return False
    return value.shape[-1] == own.shape[-1]
