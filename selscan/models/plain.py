"""What Vim and LocalVim have in common: layers of mixers over the patches of one map."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from ..messages import describe, fail
from ..nn.layers import DropPath, drop_path_rates
from . import tokens
from .checkpoints import keep_own
from .registry import checked_indices

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


class Plain(nn.Module):
    """Patches, class tokens, positions, layers, and a classifier or the maps of some layers.

    Parameters
    ----------
    mixers : sequence of torch.nn.Module
        One for each layer, from tokens (b, l, dim) to the same; `place` has what else they take.
    dim : int
        Channels.
    img_size : int or (int, int)
        Height and width of the images that positions are learned for. For other images they are
        resized at each call.
    patch, stride : int
        Side of a patch, and distance between two; without a stride they touch.
    pads : bool
        As in `tokens.Patches`.
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

    def __init__(
        self,
        mixers,
        dim,
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
        super().__init__()
        if class_token not in tokens.CLASS_TOKENS:
            expected = "None, 'first', 'middle' or 'both'"
            fail(type(self).__name__, "class_token", expected, describe(class_token))
        self.patch_embed = tokens.Patches(in_chans, dim, patch, stride or patch, pads)
        self.img_size = tokens.checked_image_size(img_size, self.patch_embed, rope)
        self.grid = self.patch_embed.grid(*self.img_size)
        self.class_token = class_token
        for name in tokens.CLASS_TOKENS[class_token]:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, dim)))
        length = math.prod(self.grid) + len(tokens.CLASS_TOKENS[class_token])
        self.pos_embed = nn.Parameter(torch.zeros(1, length, dim))
        self.rope = tokens.Rope(dim, self.grid[0]) if rope else None
        rates = [0.0, *drop_path_rates(drop_path_rate, (len(mixers),))[0]]
        self.layers = nn.ModuleList([Layer(dim, *x) for x in zip(mixers, rates, strict=False)])
        self.drop_path = DropPath(rates[-1])
        self.out_indices = None
        if features_only:
            quarters = sorted({-(-len(mixers) * i // 4) - 1 for i in (1, 2, 3, 4)})
            chosen = quarters if out_indices is None else out_indices
            self.out_indices = checked_indices(chosen, len(mixers), "layers")
            self.add_norms_of_maps(dim)
        else:
            self.norm_f = nn.RMSNorm(dim, eps=EPS)
            self.head = nn.Linear(dim, num_classes)
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
                weight /= math.sqrt(len(self.layers))

    def forward(self, images):
        """Scores (b, num_classes), or a list of maps (b, dim, rows, columns)."""
        hidden, grid = self.embed(images)
        residual, maps = None, []
        turn = self.rope.tables(self.class_token, grid) if self.rope else None
        for i, layer in enumerate(self.layers):
            if turn:
                hidden = tokens.rotate(hidden, *turn)
                residual = None if residual is None else tokens.rotate(residual, *turn)
            hidden, residual = layer(hidden, residual, *self.place(grid))
            if self.out_indices and i in self.out_indices:
                maps.append(self.as_map(self.map_of(hidden, residual, len(maps)), grid))
                if i == self.out_indices[-1]:
                    return maps
        stream = added(self.drop_path(hidden), residual)
        return self.head(self.pooled(normed(self.norm_f, stream, hidden.dtype), grid))

    def place(self, grid):
        """What mixers take beside the tokens."""
        return ()

    def map_of(self, hidden, residual, number):
        """The tokens of the map that is returned for a layer, the `number`-th of them."""
        return normed(self.norm_f, added(hidden, residual), hidden.dtype)

    def embed(self, images):
        """Tokens with their positions, and the grid of the patches."""
        x = self.patch_embed(images)
        grid = tuple(x.shape[2:])
        own = [getattr(self, name) for name in tokens.CLASS_TOKENS[self.class_token]]
        x = tokens.insert(x.flatten(2).transpose(1, 2), own, self.rows(grid))
        return x + tokens.resized(self.pos_embed, self.class_token, self.grid, grid), grid

    def rows(self, grid):
        """Where class tokens stand."""
        return tokens.class_rows(self.class_token, math.prod(grid))

    def pooled(self, x, grid):
        """(b, dim): the mean over class tokens, or over all tokens."""
        rows = [x[:, row] for row in self.rows(grid)]
        return sum(rows) / len(rows) if rows else x.mean(1)

    def as_map(self, x, grid):
        """Tokens (b, l, dim) as (b, dim, rows, columns), without class tokens."""
        return tokens.without(x, self.rows(grid)).transpose(1, 2).unflatten(2, grid)

    def adapt(self, state):
        """A state dict of this family with the positions of this model's grid.

        One of a classifier fits a model of feature maps: norms of maps stay as they begin.
        """
        state, own = dict(state), self.state_dict()
        for name in ("pos_embed", "rope.freqs_cos", "rope.freqs_sin"):
            if name in own and is_table(state.get(name), own[name]):
                state[name] = self._resized(name, state[name].to(own[name].dtype))
        if self.out_indices is None:
            return keep_own(self, state, "head.", of_other_shape=True)
        left_out = ("head.", "norm_f.")
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
