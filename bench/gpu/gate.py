"""The gate: one small scan and its gradients on the GPU against the CPU, before anything else.

With the first machine code compiled or read from disk it takes a few seconds; without it more.
"""

import math

TOLERANCES = {"forward": 1e-5, "backward": 1e-4}  # of the norm, float32
SHAPE = (2, 64, 300, 16)


def errors():
    """The largest error of y, and of the gradients, as parts of the norms."""
    import torch

    import selscan
    from bench.gpu.inputs import DEVICE

    b, d, l, n = SHAPE
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    here = {"u": normal(b, d, l), "delta": normal(b, d, l), "A": -normal(d, n).abs()}
    here |= {"B": normal(b, n, l), "C": normal(b, n, l), "D": normal(d), "z": normal(b, d, l)}
    there = {name: x.to(DEVICE) for name, x in here.items()}
    dy = normal(b, d, l)
    want = selscan.scan(**here, delta_softplus=True, backend="cpu")
    gradients = selscan.scan_backward(dy, **here, delta_softplus=True, backend="cpu")
    y = selscan.scan(**there, delta_softplus=True, backend="cupy")
    found = selscan.scan_backward(dy.to(DEVICE), **there, delta_softplus=True, backend="cupy")
    pairs = [(x, w) for x, w in zip(found, gradients, strict=True) if w is not None]
    return {"forward": error(y, want), "backward": max(error(*pair) for pair in pairs)}


def error(found, want):
    """The norm of a difference as a part of the norm; NaN counts as infinite."""
    value = float((found.cpu().double() - want.double()).norm() / want.double().norm())
    return math.inf if math.isnan(value) else value
