"""Tokens sorted by content, each sample in an order of its own: `python -m bench.orders`.

Fused, gathered and scattered by selscan, and by torch.gather and scatter_add around selscan's scan,
in turns; CPU time on one thread. A path needs the same order for all samples.
"""

import statistics
import time

import torch

import selscan
from bench.parts.scan2d import runner

# name -> samples, channels, states, tokens; there are two routes, up and down.
CASES = {"image 14 x 14": (8, 384, 16, 196), "points": (4, 384, 16, 2048)}
ROUNDS = 6  # of which the first does not count


def make_inputs(name):
    """Orders, tensors by name that want gradients, and dy; tokens are maps of one row."""
    (b, d, n, l), k = CASES[name], 2
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "u": torch.randn(b, d, 1, l, generator=generator),
        "delta": 0.5 * torch.randn(b, k, d, 1, l, generator=generator),
        "A": -torch.arange(1, n + 1).float().expand(k, d, n).contiguous(),
        "B": torch.randn(b, k, n, 1, l, generator=generator),
        "C": torch.randn(b, k, n, 1, l, generator=generator),
    }
    up = inputs["u"].mean(dim=(1, 2)).argsort(dim=1)
    orders = torch.stack([up, up.flip(1)], dim=1)
    inputs = {x: v.requires_grad_() for x, v in inputs.items()}
    return orders, inputs, torch.randn(b, d, 1, l, generator=generator)


def fused(orders, **inputs):
    """selscan.scan2d."""
    return selscan.scan2d(**inputs, path=orders, delta_softplus=True)


def unfused(orders, u, delta, A, B, C):
    """selscan.gather, scan and scatter."""

    def gather(x):
        return selscan.gather(x, orders, size=(1, orders.shape[2]))

    y = scanned(gather(u), gather(delta), A, gather(B), gather(C))
    return selscan.scatter(y, orders, size=(1, orders.shape[2]))


def by_torch(orders, u, delta, A, B, C):
    """torch.gather and torch.scatter_add."""
    index = orders[:, :, None]  # (b, k, 1, l)

    def gather(x):
        x = x[:, None] if x.dim() == 4 else x  # (b, 1 or k, rows, 1, l)
        x = x.squeeze(3).expand(-1, orders.shape[1], -1, -1)
        return x.gather(3, index.expand(x.shape))

    y = scanned(gather(u), gather(delta), A, gather(B), gather(C))
    b, k, d, l = y.shape
    index = index.expand(b, k, d, l).transpose(1, 2).reshape(b, d, k * l)
    total = torch.zeros_like(u)[:, :, 0]
    return total.scatter_add(2, index, y.transpose(1, 2).reshape(b, d, k * l))[:, :, None]


def scanned(u, delta, A, B, C):
    """All routes at once, as channels in groups."""
    b, k, d, l = u.shape
    rows = [x.reshape(b, k * d, l) for x in (u, delta)]
    return selscan.scan(*rows, A.flatten(0, 1), B, C, delta_softplus=True).view(b, k, d, l)


WAYS = {"scan2d": fused, "gather, scan, scatter": unfused, "torch.gather": by_torch}


def runs_of(name):
    """Calls without arguments by way and mode."""
    orders, inputs, dy = make_inputs(name)
    return {
        (way, mode): runner(function, orders, inputs, dy, mode)
        for way, function in WAYS.items()
        for mode in ("forward", "full")
    }


def check(name):
    """All ways agree."""
    orders, inputs, dy = make_inputs(name)
    found = {}
    for way, function in WAYS.items():
        y = function(orders, **inputs)
        found[way] = [y, *torch.autograd.grad(y, list(inputs.values()), dy)]
    for others in found.values():
        for got, want in zip(others, found["scan2d"], strict=True):
            assert (got - want).abs().max() <= 1e-4 * want.abs().max()


def measure(name):
    """Print the medians of a case."""
    runs = runs_of(name)
    times = {cell: [] for cell in runs}
    for _ in range(ROUNDS):
        for cell, run in runs.items():
            start = time.process_time()
            run()
            times[cell].append(1e3 * (time.process_time() - start))
    for (way, mode), found in times.items():
        print(f"{name}, {way}, {mode}: {statistics.median(found[1:]):.1f} ms", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in CASES:
        check(name)
        measure(name)
