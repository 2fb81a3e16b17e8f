"""The gate: one small scan and its gradients on the GPU against a loop in float64 on the CPU.

It is the first thing of a run. What it needs on the CPU is not compiled, so it takes as long as the
first machine code.
"""

import math

TOLERANCES = {"forward": 1e-5, "backward": 1e-4}  # of the norm, float32
SHAPE = (2, 64, 300, 16)


def inputs():
    """u, delta, A, B, C, D, delta_bias and z on the CPU, and dy."""
    import torch

    b, d, l, n = SHAPE
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    made = {"u": normal(b, d, l), "delta": normal(b, d, l), "A": -normal(d, n).abs()}
    made |= {"B": normal(b, n, l), "C": normal(b, n, l), "D": normal(d)}
    made |= {"delta_bias": normal(d), "z": normal(b, d, l)}
    return made, normal(b, d, l)


def expected(made, dy):
    """y and the gradients, in float64."""
    import torch

    from bench.peers.eager import scan_loop_step

    leaves = {name: x.double().requires_grad_() for name, x in made.items()}
    u, delta, A, B, C, D, bias, z = leaves.values()
    y = scan_loop_step(u, delta, A, B[:, None], C[:, None], D, bias)
    y = y * torch.nn.functional.silu(z)
    return y.detach(), torch.autograd.grad(y, list(leaves.values()), dy.double())


def errors():
    """The largest error of y, and of the gradients, as parts of the norms."""
    import selscan
    from bench.gpu.inputs import DEVICE

    made, dy = inputs()
    y, gradients = expected(made, dy)
    there = {name: x.to(DEVICE) for name, x in made.items()}
    options = {"delta_softplus": True, "backend": "cupy"}
    found = selscan.scan_backward(dy.to(DEVICE), **there, **options)
    pairs = [(getattr(found, name), x) for name, x in zip(made, gradients, strict=True)]
    return {
        "forward": error(selscan.scan(**there, **options), y),
        "backward": max(error(*pair) for pair in pairs),
    }


def error(found, want):
    """The norm of a difference as a part of the norm; NaN counts as infinite."""
    value = float((found.cpu().double() - want).norm() / want.norm())
    return math.inf if math.isnan(value) else value
