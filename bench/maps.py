"""Scans over maps in four ways: fused, gathered and scattered, and by torch alone.

Each way takes delta, B and C as maps, or in the order of the routes, as models have them whose
projections come after gathering. The torch loop has them in order.
"""

from dataclasses import dataclass

import numpy as np
import torch

import selscan
from bench.peers.eager import scan_loop_step
from selscan.paths import MAKERS, MAKERS_3D, Path

NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias")


@dataclass(frozen=True)
class Case:
    """A stage: u is (batch, dim, side, side); `routes` are names for Path.of, or a maker's.

    With a depth u is (batch, dim, depth, side, side).
    """

    name: str
    batch: int
    dim: int
    side: int
    d_state: int
    routes: tuple
    joined: bool = False
    depth: int | None = None

    def path(self):
        """The Path."""
        first, *rest = self.routes
        if self.depth is not None:
            return MAKERS_3D[first](self.depth, self.side, self.side, *rest)
        if first in MAKERS:
            return MAKERS[first](self.side, self.side, *rest)
        return Path.of(self.side, self.side, *self.routes, joined=self.joined)


def stages(model, widths, d_state, routes, sides=(56, 28, 14, 7), batch=4, **options):
    """One case for each stage of a pyramid."""
    return [
        Case(f"{model} {side}", batch, width, side, d_state, routes, **options)
        for width, side in zip(widths, sides, strict=True)
    ]


WIDTHS = (192, 384, 768, 1536)
HIGH = (312, 156, 78, 39)  # at 1248 x 1248 pixels
CASES = {
    case.name: case
    for case in (
        *stages("vmamba", WIDTHS, 1, ("cross",)),
        *stages("vmamba v0", WIDTHS, 16, ("cross",)),
        *stages("vmamba", WIDTHS, 1, ("cross",), HIGH, batch=1),
        *stages("local w2", WIDTHS, 16, ("h", "v_flip", "w2", "w2_flip")),
        *stages("local w7", WIDTHS, 16, ("h", "v_flip", "w7", "w7_flip")),
        *stages("windows 2", WIDTHS[:1], 1, ("window", 2), (56,)),
        *stages("windows 7", WIDTHS[:1], 1, ("window", 7), (56,)),
        *stages("efficient", (96, 192), 16, ("atrous", 2), (56, 28)),
        *stages("efficient", (96,), 16, ("atrous", 2), (312,), batch=1),
        *stages("msv", WIDTHS, 1, ("h_flip", "v", "v_flip"), (28, 14, 7, 4), joined=True),
        *stages("msv", (192,), 1, ("h_flip", "v", "v_flip"), (156,), batch=1, joined=True),
        *stages("video", (384,), 16, ("spatiotemporal",), (14,), batch=1, depth=8),
        *stages("volume", (96, 192), 16, ("tri_orientated",), (32, 16), batch=1, depth=16),
    )
}


def make_inputs(case, in_order):
    """Tensors by name that want gradients, and dy."""
    path, rng = case.path(), np.random.default_rng(0)
    k, l = (1, path.table.size) if path.joined else path.table.shape
    size, b, d, n = path.size, case.batch, case.dim, case.d_state
    last = (l,) if in_order else size

    def normal(*shape):
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    def projected(rows):
        """Of delta, B or C: zero at padding, as from a projection of gathered zeros."""
        x = normal(b, k, rows, *last)
        visited = torch.from_numpy(path.table.reshape(k, 1, l) >= 0)
        return x * visited if in_order else x

    inputs = {
        "u": normal(b, d, *size),
        "delta": 0.5 * projected(d),
        "A": -torch.arange(1, n + 1).float().expand(k, d, n).contiguous(),
        "B": projected(n),
        "C": projected(n),
        "D": normal(k, d),
        "delta_bias": normal(k, d) - 4,
    }
    return {x: v.requires_grad_() for x, v in inputs.items()}, normal(b, d, *size)


def fused(path, **inputs):
    """selscan.scan2d or scan3d."""
    scan = selscan.scan2d if path.depth is None else selscan.scan3d
    return scan(**inputs, path=path, delta_softplus=True)


def unfused(path, order=None, scan=None, **inputs):
    """Gather what is a map, scan, scatter."""
    order = order or Own(path)
    u, delta, B, C = (order.gather(inputs[x]) for x in ("u", "delta", "B", "C"))
    b, k, _, l = delta.shape
    rows = {"u": u.reshape(b, -1, l), "delta": delta.reshape(b, -1, l), "B": B, "C": C}
    rows |= {x: inputs[x].flatten(0, 1) for x in ("A", "D", "delta_bias")}
    y = scan(**rows) if scan else selscan.scan(**rows, delta_softplus=True)
    return order.scatter(y.view(b, k, -1, l))


def torch_alone(path, **inputs):
    """The same by torch, whose scan is a loop over steps."""
    return unfused(path, Torch(path), scan_loop_step, **inputs)


class Own:
    """selscan.gather and selscan.scatter."""

    def __init__(self, path):
        self.path = path

    def gather(self, x):
        """(b, d, h, w) or (b, k, d, h, w) -> (b, k, d, l), or (b, 1, d, k l) of joined routes."""
        path = self.path
        sides = len(path.size)
        if x.shape[-sides:] != path.size or x.dim() < 2 + sides:
            return x  # in order already
        if path.joined and x.dim() == 3 + sides:  # routes share it
            x = x[:, 0]
        ordered = selscan.gather(x, path)
        return ordered.transpose(1, 2).flatten(2)[:, None] if path.joined else ordered

    def scatter(self, y):
        """The inverse, and the sum over routes."""
        if self.path.joined:
            y = y[:, 0].unflatten(2, self.path.table.shape).transpose(1, 2)
        return selscan.scatter(y, self.path)


class Torch:
    """The same by torch: strided copies for rows and columns, indices otherwise."""

    def __init__(self, path):
        self.path, self.size = path, path.size
        self.is_cross = path.depth is None and path == MAKERS["cross"](*self.size)
        self.padding = torch.from_numpy(path.table < 0) if (path.table < 0).any() else None

    def gather(self, x):
        """(b, d, h, w) or (b, k, d, h, w) -> (b, k, d, l), or (b, 1, d, k l) of joined routes."""
        one = 2 + len(self.size)  # axes
        if x.shape[2 - one :] != self.size or x.dim() < one:
            return x  # in order already
        path = self.path
        if x.dim() == one or path.joined:  # routes share it
            routes = [x if x.dim() == one else x[:, 0]] * path.routes
        else:
            routes = x.unbind(1)
        if self.is_cross:
            v = [x.transpose(2, 3) for x in routes]
            ordered = [routes[0], v[1], routes[2], v[3]]
            ordered = [
                x.flatten(2) if i < 2 else x.flatten(2).flip(2) for i, x in enumerate(ordered)
            ]
        else:
            index = torch.from_numpy(path.table.astype(np.int64)).clamp(min=0)
            ordered = [x.flatten(2).index_select(2, i) for x, i in zip(routes, index, strict=True)]
        ordered = torch.stack(ordered, dim=1)
        if self.padding is not None:
            ordered = ordered.masked_fill(self.padding[:, None], 0)
        return ordered.transpose(1, 2).flatten(2)[:, None] if path.joined else ordered

    def scatter(self, y):
        """The inverse, and the sum over routes."""
        path, (h, w) = self.path, self.size[-2:]
        if path.joined:
            y = y[:, 0].unflatten(2, path.table.shape).transpose(1, 2)
        if self.is_cross:
            rows, columns = y[:, 0] + y[:, 2].flip(2), y[:, 1] + y[:, 3].flip(2)
            return rows.unflatten(2, (h, w)) + columns.unflatten(2, (w, h)).transpose(2, 3)
        index = torch.from_numpy(path.inverse.astype(np.int64))
        total = 0
        for route, place in zip(y.unbind(1), index, strict=True):
            found = route.index_select(2, place.clamp(min=0))
            total = total + (found.masked_fill(place < 0, 0) if (place < 0).any() else found)
        return total.unflatten(2, self.size)


# name -> function, are delta, B and C in order?
WAYS = {
    "scan2d": (fused, False),
    "gather, scan, scatter": (unfused, False),
    "scan2d, in order": (fused, True),
    "gather, scan, scatter, in order": (unfused, True),
    "torch loop, in order": (torch_alone, True),
}
