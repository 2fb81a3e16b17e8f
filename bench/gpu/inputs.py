"""Inputs of a shape, made on the GPU, as `selscan.cases.make_inputs` makes them in NumPy."""

import math

import torch

from bench.gpu.shapes import Shape

HALF, SINGLE = torch.bfloat16, torch.float32
DEVICE = "cuda"


def make(shape: Shape, seed: int) -> dict:
    """u, delta, A, B, C, D, z, delta_bias and dy, to be scanned with softplus; contiguous.

    z is None where the shape has none. For a step u, delta, z are (b, d), B and C are (b, g, n),
    and there is a state.
    """
    device = DEVICE
    generator = torch.Generator(device).manual_seed(seed)
    case = shape.case
    b, d, l, n, g = case.batch, case.dim, case.length, case.d_state, case.groups

    def normal(*size, dtype=SINGLE):
        return torch.randn(size, generator=generator, device=device, dtype=dtype)

    steps = torch.empty(d, device=device).uniform_(
        math.log(1e-3), math.log(1e-1), generator=generator
    )
    rates = torch.arange(1, n + 1, device=device, dtype=SINGLE)
    single = l == 1
    sequence = (b, d) if single else (b, l, d) if shape.layout == "bld" else (b, d, l)
    shared = (b, g, n) if single else (b, l, g, n) if shape.layout == "bld" else (b, g, n, l)
    found = {
        "u": normal(*sequence, dtype=HALF),
        "delta": normal(*sequence, dtype=HALF).mul_(0.5),
        "A": -rates * torch.exp(0.1 * normal(d, n)),
        "B": normal(*shared, dtype=HALF),
        "C": normal(*shared, dtype=HALF),
        "D": normal(d),
        "z": normal(*sequence, dtype=HALF) if shape.z else None,
        # softplus of it is log-uniform in 1e-3 .. 1e-1
        "delta_bias": torch.log(torch.expm1(torch.exp(steps))),
    }
    return found | ({"state": normal(b, d, n)} if single else {"dy": normal(*sequence, dtype=HALF)})


def size_of(inputs: dict) -> int:
    """Bytes of all tensors."""
    return sum(x.nbytes for x in inputs.values() if x is not None)
