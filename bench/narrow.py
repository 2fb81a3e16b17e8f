"""Training in 16 bits: selscan's state is float32, a loop's is kept in 16 bits.

    python -m bench.narrow [--length N] [--steps N] [--csv FILE]

16 channels with one state each, whose step sizes begin as Mamba's do, learn together a running
mean that forgets 1/512 a step, from noise. u, delta, B and C are in 16 bits, weights and Adam in
float32.
"""

import argparse

import torch
from torch.nn import functional as F

import selscan
from bench.rows import Row, environment, markdown, nothing, short, write_csv

WIDTH, BATCH, RATE, FORGETS = 16, 4, 0.02, 1 / 512
LAST = 10  # steps whose losses are averaged


def loop(u, delta, A, B, C, delta_bias):
    """S6 with everything in the dtype of u, (b, d, l); B and C (b, n, l)."""
    kind = u.dtype
    delta = F.softplus(delta + delta_bias[:, None].to(kind))
    decay = torch.exp(delta[..., None] * A[:, None].to(kind)).unbind(2)
    flow = ((delta * u)[..., None] * B.mT[:, None]).unbind(2)
    h, ys = torch.zeros_like(decay[0]), []
    for a, x, c in zip(decay, flow, C.unbind(2), strict=True):
        h = a * h + x
        ys.append((h * c[:, None]).sum(-1))
    return torch.stack(ys, -1)


def ours(u, delta, A, B, C, delta_bias):
    """The same by selscan."""
    return selscan.scan(u, delta, A, B, C, delta_bias=delta_bias, delta_softplus=True)


def batch(length):
    """Noise (b, 1, l), and its running mean, scaled to a variance of one."""
    x = torch.randn(BATCH, 1, length)
    one = torch.ones_like(x)
    mean = selscan.scan(x, FORGETS * one, torch.tensor([[-1.0]]), one, one)
    return x, mean * (2 / FORGETS) ** 0.5


def losses(way, length, steps):
    """The loss at each step."""
    kind, function = WAYS[way]
    torch.manual_seed(0)
    begin = torch.logspace(-3, -1, WIDTH)  # step sizes
    bias = begin.expm1().log().requires_grad_()
    A = -torch.ones(WIDTH, 1)
    weights = ((2 / begin).sqrt() / WIDTH).requires_grad_()
    optimizer = torch.optim.Adam([bias, weights], lr=RATE)
    delta = torch.zeros(BATCH, WIDTH, length, dtype=kind)
    one = torch.ones(BATCH, 1, length, dtype=kind)
    found = []
    for _ in range(steps):
        x, target = batch(length)
        y = function(x.to(kind).expand(-1, WIDTH, -1), delta, A, one, one, bias)
        loss = F.mse_loss((weights[:, None] * y).sum(1, keepdim=True), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return torch.tensor(found)


WAYS = {
    "float32, selscan": (torch.float32, ours),
    "bfloat16, selscan": (torch.bfloat16, ours),
    "float16, selscan": (torch.float16, ours),
    "bfloat16, state in bfloat16": (torch.bfloat16, loop),
    "float16, state in float16": (torch.float16, loop),
}


def main(arguments=None):
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--csv")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(environment(), flush=True)
    rows, lines = [], []
    case = f"{options.steps} steps of {options.length}"
    for way in WAYS:
        found = losses(way, options.length, options.steps)
        values = {
            "loss, first": found[:LAST].mean().item(),
            "loss, last": found[-LAST:].mean().item(),
            "not finite": float((~found.isfinite()).sum()),
        }
        empty = nothing() | {"count": LAST}
        rows += [
            Row(case, way, "training", name, **empty | {"p50": value}, unit="", threads=1)
            for name, value in values.items()
        ]
        lines.append([way, *map(short, values.values())])
        print(*lines[-1], flush=True)
    print(markdown([case, *values], lines))
    if options.csv:
        write_csv(rows, options.csv)


if __name__ == "__main__":
    main()
