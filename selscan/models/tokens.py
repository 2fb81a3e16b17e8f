"""Patches of an image in a row, and what is added to them: class tokens, positions, rotations.

Tokens are (b, l, dim), those of patches in row-major order. A grid is the (height, width) of the
map of patches.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..messages import fail
from ..nn.checks import LARGEST, check_tensor
from ..nn.layers import size_of
from .registry import shown

# Where class tokens stand, and the names of their parameters.
CLASS_TOKENS = {
    None: (),
    "first": ("cls_token",),
    "middle": ("cls_token",),
    "both": ("cls_token_head", "cls_token_tail"),
}
ROPE_BASE, ROPE_SIDE = 10000, 14  # angles are those of a map of 14 x 14, whatever its size is


class Cut(NamedTuple):
    """How images are cut into patches."""

    patch: int  # side of one
    stride: int  # from one to the next
    pads: bool  # with zeros at the bottom and on the right, up to full patches; or else refuses

    def grid(self, height, width):
        """How many patches there are, of images of this size."""
        sides = self.padded(height), self.padded(width)
        return tuple((side - self.patch) // self.stride + 1 for side in sides)

    def padded(self, side):
        """The side of an image as it is cut."""
        return -(-side // self.patch) * self.patch if self.pads else side

    def fits(self, height, width):
        """Whether images of this size are taken."""
        if self.pads:
            return min(height, width) >= 1
        more = [side - self.patch for side in (height, width)]
        return min(more) >= 0 and not any(x % self.stride for x in more)

    def expected(self):
        """What sides are taken, for messages."""
        if self.pads:
            return "of at least 1"
        return f"of {self.patch} or a multiple of {self.stride} more"


class Patches(nn.Module):
    """Images (b, in_chans, h, w) to maps of patches (b, dim, rows, columns)."""

    def __init__(self, in_chans, dim, cut):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, cut.patch, stride=cut.stride)
        self.cut = cut

    def forward(self, images):
        check_tensor("forward", "images", images)
        channels = self.proj.in_channels
        is_image = images.dim() == 4 and images.shape[1] == channels
        # torch.compile has to know them as numbers, or it cannot resize tables.
        height, width = size_of(images) if is_image else (0, 0)
        if not is_image or not self.cut.fits(height, width):
            expected = f"(b, {channels}, h, w) with h and w {self.cut.expected()}"
            fail("forward", "images", expected, tuple(images.shape))
        bottom, right = (self.cut.padded(side) - side for side in (height, width))
        return self.proj(F.pad(images, (0, right, 0, bottom)) if bottom or right else images)


def checked_image_size(img_size, cut, rope):
    """(height, width) of images that the patches fit; for `rope` in as many rows as columns."""
    sizes = checked_sides(img_size, cut.expected())
    if not cut.fits(*sizes):
        fail("create", "img_size", f"one or two integers, {cut.expected()}", sizes)
    rows, columns = cut.grid(*sizes)
    if rope and rows != columns:
        hint = " Others can be given to a model that is made for a square."
        fail("create", "img_size", "a square, since tokens are rotated", sizes, hint)
    return sizes


def checked_sides(img_size, which="of at least 1"):
    """(height, width) of an option that is one side or two."""
    sizes = (img_size, img_size) if type(img_size) is int else img_size
    is_pair = isinstance(sizes, tuple | list) and len(sizes) == 2
    if not is_pair or not all(type(side) is int and side >= 1 for side in sizes):
        fail("create", "img_size", f"one or two integers, {which}", shown(img_size))
    if max(sizes) > LARGEST:
        fail("create", "img_size", f"at most {LARGEST} on each side", shown(img_size))
    return tuple(sizes)


def class_rows(form, patches):
    """The places of the class tokens among `patches` patches, counted with them."""
    rows = {None: (), "first": (0,), "middle": (patches // 2,), "both": (0, patches + 1)}
    return rows[form]


def insert(x, tokens, rows):
    """x (b, l, dim) with tokens (1, 1, dim) at some rows, first to last."""
    for row, token in zip(rows, tokens, strict=True):
        x = torch.cat([x[:, :row], token.expand(x.shape[0], 1, -1), x[:, row:]], dim=1)
    return x


def without(x, rows):
    """x (b, l, dim) without some rows."""
    for row in reversed(rows):
        x = torch.cat([x[:, :row], x[:, row + 1 :]], dim=1)
    return x


def resized(table, form, old, new):
    """A table (1, l, dim) for patches of another grid; rows of class tokens stay as they are."""
    if old == new:
        return table
    rows = class_rows(form, math.prod(old))
    patches = without(table, rows).unflatten(1, old).permute(0, 3, 1, 2)
    patches = F.interpolate(patches, size=new, mode="bicubic", align_corners=False)
    own = [table[:, row : row + 1] for row in rows]
    return insert(patches.flatten(2).transpose(1, 2), own, class_rows(form, math.prod(new)))


def grid_of(count, own):
    """The grid of a table with `count` patches, None if it can have none: `own`, or a square."""
    if count < 1 or count == math.prod(own):
        return own if count > 0 else None
    side = math.isqrt(count)
    return (side, side) if side * side == count else None


class Rope(nn.Module):
    """Rotations by the position of a patch: half of the channels by its row, half by its column.

    Channels 2 j and 2 j + 1 of the h = dim / 2 of an axis are rotated by the angle

        position / side * 14 * 10000 ** (-2 j / h)

    Parameters
    ----------
    dim : int
        Channels.
    side : int
        Patches of a row, and of a column.
    """

    def __init__(self, dim, side):
        super().__init__()
        self.grid, half = (side, side), dim // 2
        frequencies = ROPE_BASE ** (-torch.arange(0, half, 2) / half)
        positions = torch.arange(side) / side * ROPE_SIDE
        angles = torch.outer(positions, frequencies).repeat_interleave(2, dim=1)  # (side, half)
        rows = angles[:, None].expand(side, side, half)
        angles = torch.cat([rows, rows.transpose(0, 1)], dim=2).flatten(0, 1)
        self.register_buffer("freqs_cos", angles.cos())
        self.register_buffer("freqs_sin", angles.sin())

    def tables(self, form, grid):
        """cos and sin (1, l, dim) for the tokens of a grid; class tokens are not rotated."""
        rows = class_rows(form, math.prod(grid))
        return [
            insert(resized(table[None], None, self.grid, grid), [still] * len(rows), rows)
            for table, still in (
                (self.freqs_cos, self.freqs_cos.new_ones(1, 1, self.freqs_cos.shape[1])),
                (self.freqs_sin, self.freqs_sin.new_zeros(1, 1, self.freqs_sin.shape[1])),
            )
        ]


def rotate(x, cos, sin):
    """Each two neighbouring channels of x (b, l, dim), rotated; in the dtype of x."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return (x * cos + torch.stack([-b, a], dim=-1).flatten(-2) * sin).to(x.dtype)
