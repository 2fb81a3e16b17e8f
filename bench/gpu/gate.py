"""The gate: one small scan and its gradients on the GPU against the CPU, before anything else.

With the first machine code compiled or read from disk it takes a few seconds; without it more.
"""

import math

import numpy as np

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

    made = {"dy": normal(b, d, l), "u": normal(b, d, l), "delta": normal(b, d, l)}
    made |= {"A": -normal(d, n).abs(), "B": normal(b, n, l), "C": normal(b, n, l)}
    made |= {"D": normal(d), "z": normal(b, d, l), "delta_softplus": True}
    here = {k: x.numpy() if torch.is_tensor(x) else x for k, x in made.items()}
    there = {k: x.to(DEVICE) if torch.is_tensor(x) else x for k, x in made.items()}
    gradients = selscan.scan_backward(**here, backend="cpu")
    found = selscan.scan_backward(**there, backend="cupy")
    pairs = [(x, w) for x, w in zip(found, gradients, strict=True) if w is not None]
    del here["dy"], there["dy"]
    want = selscan.scan(**here, backend="cpu")
    y = selscan.scan(**there, backend="cupy")
    return {"forward": error(y, want), "backward": max(error(*pair) for pair in pairs)}


def error(found, want):
    """The norm of a difference as a part of the norm; NaN counts as infinite."""
    want = want.astype(np.float64)
    value = np.linalg.norm(found.cpu().double().numpy() - want) / np.linalg.norm(want)
    return math.inf if math.isnan(value) else float(value)
