"""Mixers of maps: projections and a convolution around scans along a path."""

from torch import nn
from torch.nn import functional as F

from .. import paths
from ..messages import describe, fail
from ..ops.given_path import are_names, path_over, table_of
from ..paths import Path
from .checks import (
    check_choice,
    check_count,
    check_switch,
    check_tensor,
    checked_rank,
    checked_width,
)
from .layers import SqueezeExcite, size_of
from .s6maps import S6Maps

FIRST, SECOND = slice(0, 1), slice(1, 2)  # groups of parameters


class MapMixer(S6Maps):
    """What goes around the scans: projections, a convolution, a norm and a gate.

    `mix`, from (b, channels, h, w) to (b, h, w, channels), is left to the classes below; maps with
    a depth have (t, h, w) in the place of (h, w).
    """

    sides = 2  # axes of a map

    def __init__(self, dim, groups, d_state, ratio, conv_bias, gate, dt_rank="auto"):
        function = type(self).__name__
        for name, value in (("dim", dim), ("d_state", d_state)):
            check_count(function, name, value)
        for name, value in (("conv_bias", conv_bias), ("gate", gate)):
            check_switch(function, name, value)
        channels = checked_width(function, "ratio", ratio, dim)
        rank = checked_rank(function, dt_rank, dim)
        super().__init__(channels, groups, d_state, rank)
        self.gate = gate
        self.out_norm = nn.LayerNorm(channels)
        self.in_proj = nn.Linear(dim, channels * (2 if gate else 1), bias=False)
        convolution = nn.Conv2d if self.sides == 2 else nn.Conv3d
        conv = convolution(channels, channels, 3, padding=1, groups=channels, bias=conv_bias)
        setattr(self, f"conv{self.sides}d", conv)
        self.out_proj = nn.Linear(channels, dim, bias=False)

    def forward(self, x):  # (b, h, w, dim)
        check_tensor("forward", "x", x)
        if x.dim() != 2 + self.sides or x.shape[-1] != self.in_proj.in_features:
            expected = f"(b, {'t, ' * (self.sides == 3)}h, w, {self.in_proj.in_features})"
            fail("forward", "x", expected, tuple(x.shape), " Are the channels first?")
        x = self.in_proj(x)
        x, z = x.chunk(2, dim=-1) if self.gate else (x, None)
        y = self.mix(x.movedim(-1, 1))
        return self.out_proj(y if z is None else y * F.silu(z))

    def scan_for_norm(self, x, path, groups=slice(None), merge=True):
        """The scan, in the dtype of the norm, with channels last.

        That dtype is float32 under autocast, in which the official code returns scans, too.
        """
        y = self.scan(x, path, groups, merge, self.out_norm.weight.dtype)
        return y.movedim(-1 - self.sides, -1)


class PathMixer(MapMixer):
    """A mixer along any path: what `Mixer2d` and `Mixer3d` have in common."""

    def __init__(self, dim, path, d_state, dt_rank, ratio, conv_bias, gate, combine):
        function = type(self).__name__
        groups = groups_of(function, path, (8,) * self.sides)  # as those of other sizes
        if combine is not None and not isinstance(combine, nn.Module):
            expected = "None or a torch.nn.Module"
            raise TypeError(f"{function}: combine must be {expected}; got {describe(combine)}.")
        super().__init__(dim, groups, d_state, ratio, conv_bias, gate, dt_rank)
        self.path = path
        if combine is not None:
            self.multi_scan = combine

    def mix(self, x):
        conv = getattr(self, f"conv{self.sides}d")
        x, combine = F.silu(conv(x)), getattr(self, "multi_scan", None)
        path = path_over(type(self).__name__, self.path, size_of(x, self.sides))
        y = self.scan_for_norm(x, path, merge=combine is None)
        return self.out_norm(y if combine is None else combine(y))


class Mixer2d(PathMixer):
    """SS2D of VMamba (Liu et al. 2024), along any path.

        x, z = in_proj(input)
        y = out_norm(scan(silu(conv2d(x))))
        output = out_proj(y * silu(z))

    `selscan.paths.cross` makes it the mixer of VMamba, `selscan.paths.atrous` that of
    EfficientVMamba, windows that of LocalMamba; a path of your own makes a new one.

    Parameters
    ----------
    dim : int
        Channels of the input and the output.
    path : callable, str, selscan.paths.Path or table (k, l)
        As `selscan.scan2d` takes it: a function of the height and width of a map, which gives the
        same number of routes for maps of all sizes, or the name of one; a Path, for maps of its
        size alone, or a table.
    d_state : int
        States of the scan.
    dt_rank : int or "auto"
        Width of the bottleneck that delta comes through; "auto" is a sixteenth of `dim`, rounded
        up.
    ratio : float
        Channels of the scan, as a multiple of `dim`.
    conv_bias : bool
        Whether the convolution has a bias.
    gate : bool
        Whether there is z.
    combine : torch.nn.Module, optional
        Called with each route's map (b, k, h, w, channels), to make one map (b, h, w, channels);
        without it they are added up. Its parameters are named ``multi_scan``.

    Raises
    ------
    ValueError, TypeError
        An option out of its range, or of another kind.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn, paths
    >>> mixer = nn.Mixer2d(16, path=paths.bidirectional, d_state=4)
    >>> mixer(torch.zeros(2, 5, 7, 16)).shape
    torch.Size([2, 5, 7, 16])
    """

    def __init__(
        self,
        dim,
        path=paths.cross,
        *,
        d_state=16,
        dt_rank="auto",
        ratio=2.0,
        conv_bias=True,
        gate=True,
        combine=None,
    ):
        super().__init__(dim, path, d_state, dt_rank, ratio, conv_bias, gate, combine)


class Mixer3d(PathMixer):
    """`Mixer2d` for maps with a depth, videos and volumes: (b, t, h, w, dim).

        x, z = in_proj(input)
        y = out_norm(scan(silu(conv3d(x))))
        output = out_proj(y * silu(z))

    Parameters
    ----------
    dim : int
        Channels of the input and the output.
    path : callable, str, selscan.paths.Path or table (k, l)
        As `selscan.scan3d` takes it: a function of depth, height and width, which gives the same
        number of routes for maps of all sizes, or the name of one; a Path, for maps of its size
        alone, or a table.
    d_state, dt_rank, ratio, conv_bias, gate, combine
        As in `Mixer2d`.

    Raises
    ------
    ValueError, TypeError
        An option out of its range, or of another kind.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn
    >>> mixer = nn.Mixer3d(16, path="tri_orientated", d_state=4)
    >>> mixer(torch.zeros(2, 4, 5, 7, 16)).shape
    torch.Size([2, 4, 5, 7, 16])
    """

    sides = 3

    def __init__(
        self,
        dim,
        path=paths.cross3d,
        *,
        d_state=16,
        dt_rank="auto",
        ratio=2.0,
        conv_bias=True,
        gate=True,
        combine=None,
    ):
        super().__init__(dim, path, d_state, dt_rank, ratio, conv_bias, gate, combine)


def groups_of(function, path, size):
    """Groups of parameters that a path asks for, which may be one for maps of any size."""
    if not (isinstance(path, Path | str) or callable(path) or are_names(path)):
        return len(table_of(function, path))
    like = path_over(function, path, size)
    return 1 if like.joined else like.routes


class MultiScaleMixer2d(MapMixer):
    """The mixer of MSVMamba (Shi et al. 2024): scans of the map and of one of half its size.

        full = scan(silu(conv2d(x)))         along rows
        half = scan(silu(conv2d_b1(x)))      along rows backward, then along columns both ways
        output = out_proj(se(full + enlarged(half)) * silu(z)),   with norms in between

    The routes over the smaller map are joined: they are one sequence.

    Parameters
    ----------
    dim, d_state, ratio, gate
        As in `Mixer2d`.
    version : {1, 3}
        In version 1 each route is normalised before they are added up, and the smaller map is
        enlarged by linear interpolation. In version 3 the sum is normalised, and the pixels of
        the smaller map are repeated.
    """

    def __init__(self, dim, *, d_state=1, ratio=2.0, gate=True, version=1):
        check_choice("MultiScaleMixer2d", "version", version, (1, 3))
        super().__init__(dim, 2, d_state, ratio, True, gate)
        channels = self.conv2d.in_channels
        self.version = version
        self.se = SqueezeExcite(channels)
        self.conv2d_b1 = nn.Conv2d(channels, channels, 7, stride=2, padding=3, groups=channels)

    def mix(self, x):
        full, half = F.silu(self.conv2d(x)), F.silu(self.conv2d_b1(x))
        rows = paths.unidirectional(*size_of(full))
        joined = Path.of(*size_of(half), "h_flip", "v", "v_flip", joined=True)
        if self.version == 1:  # the first group of parameters is that of the smaller map
            half = self.out_norm(self.scan_for_norm(half, joined, FIRST, merge=False)).sum(1)
            full = self.out_norm(self.scan_for_norm(full, rows, SECOND))
            return self.se(full + enlarged(half, full, mode="bilinear", align_corners=False))
        full = self.scan_for_norm(full, rows, FIRST)
        half = self.scan_for_norm(half, joined, SECOND)
        return self.se(self.out_norm(full + enlarged(half, full, mode="nearest")))


def enlarged(x, like, **options):
    """A map (b, h, w, c) in the height and width of another one."""
    x = F.interpolate(x.permute(0, 3, 1, 2), size=like.shape[1:3], **options)
    return x.permute(0, 2, 3, 1)
