"""Gather and scatter along paths in three ways: selscan's, strided copies, index_select.

Strided copies are what the official repositories of the papers do: flip, transpose and slices of
tensors, and as the backward the same back again. Sides must be multiples of step and window.
"""

import functools

import numpy as np
import torch

import selscan

SHAPE = (4, 192, 56, 56)  # b, d, h, w: the first stage of the papers' models
PATHS = {
    "cross": selscan.paths.cross(*SHAPE[2:]),
    "bidirectional": selscan.paths.bidirectional(*SHAPE[2:]),
    "atrous 2": selscan.paths.atrous(*SHAPE[2:], step=2),
    "window 7": selscan.paths.window(*SHAPE[2:], size=7),
    "window 2": selscan.paths.window(*SHAPE[2:], size=2),
}


def cross_gather(x):
    """As VMamba's CrossScan."""
    y = x.new_empty(len(x), 4, x.shape[1], x[0, 0].numel())
    y[:, 0] = x.flatten(2)
    y[:, 1] = x.mT.flatten(2)
    y[:, 2:] = y[:, :2].flip(-1)
    return y


def cross_scatter(y):
    """As VMamba's CrossMerge."""
    y = y[:, :2] + y[:, 2:].flip(-1)
    return (y[:, 0].view(SHAPE) + y[:, 1].view(SHAPE).mT).contiguous()


def bidirectional_gather(x):
    x = x.flatten(2)
    return torch.stack([x, x.flip(-1)], 1)


def bidirectional_scatter(y):
    return (y[:, 0] + y[:, 1].flip(-1)).view(SHAPE)


def atrous_routes(x):
    """Views of the pixels of each route, as EfficientVMamba has them."""
    return x[:, :, ::2, ::2], x[:, :, 1::2, ::2].mT, x[:, :, ::2, 1::2], x[:, :, 1::2, 1::2].mT


def atrous_gather(x):
    y = x.new_empty(len(x), 4, x.shape[1], x[0, 0].numel() // 4)
    for i, route in enumerate(atrous_routes(x)):
        y[:, i] = route.flatten(2)
    return y


def atrous_scatter(y):
    x = y.new_empty(SHAPE)
    for i, route in enumerate(atrous_routes(x)):
        route.copy_(y[:, i].view(route.shape))
    return x


def windows(x, size):
    """(b, d, window row, row, window column, column) with rows and window columns exchanged."""
    return x.unflatten(-1, (-1, size)).unflatten(2, (-1, size)).transpose(3, 4)


def window_gather(x, size):
    """As LocalMamba's local_scan."""
    x = windows(x, size).flatten(2)
    return torch.stack([x, x.flip(-1)], 1)


def window_scatter(y, size):
    b, d, h, w = SHAPE
    y = y[:, 0] + y[:, 1].flip(-1)
    return y.view(b, d, h // size, w // size, size, size).transpose(3, 4).reshape(SHAPE)


STRIDED = {
    "cross": (cross_gather, cross_scatter),
    "bidirectional": (bidirectional_gather, bidirectional_scatter),
    "atrous 2": (atrous_gather, atrous_scatter),
    "window 7": tuple(functools.partial(f, size=7) for f in (window_gather, window_scatter)),
    "window 2": tuple(functools.partial(f, size=2) for f in (window_gather, window_scatter)),
}


def ours(name):
    path = PATHS[name]
    return lambda x: selscan.gather(x, path), lambda y: selscan.scatter(y, path)


def index_select(name):
    """By tables of pixels, and of positions; these paths have no padding."""
    path = PATHS[name]
    places = torch.from_numpy(path.table.copy())
    visited = path.inverse >= 0
    steps = np.where(visited, path.inverse + path.length * np.arange(path.routes)[:, None], 0)
    # A pixel has one place on each route, or one in all.
    steps = torch.from_numpy(steps if visited.all() else steps.sum(axis=0)[None])

    def gather(x):
        y = x.flatten(2).index_select(2, places.flatten())
        return y.unflatten(2, places.shape).swapaxes(1, 2).contiguous()

    def scatter(y):
        y = y.swapaxes(1, 2).flatten(2).index_select(2, steps.flatten())
        return y.unflatten(2, steps.shape).sum(2).view(SHAPE)

    return gather, scatter


WAYS = {"selscan": ours, "strided": STRIDED.get, "index_select": index_select}


def check(name):
    """Refuse a way that gives another result."""
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    want = None
    for way in WAYS.values():
        gather, scatter = way(name)
        y = gather(x)
        got = y, scatter(y)
        want = want or got
        torch.testing.assert_close(got, want)
