"""What each way of training on many ranks sends: a model, `python docs/distributed/costs.py`.

Bytes that one rank sends for one layer, a Mamba mixer, in a forward and a backward together. What
all ranks gather goes around a ring: a rank sends its own part and those that it is handed to the
next one, size - 1 parts in all. Heads of buffers, 32 bytes each, are left out.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """Sizes of a mixer, and of what it is given."""

    batch: int = 1
    length: int = 2**20
    dim: int = 2560
    d: int = 5120  # channels of the scan
    n: int = 16
    rank: int = 160
    width: int = 4  # of the convolution
    number: int = 2  # bytes of an activation and of a parameter
    state: int = 4  # bytes of a number of a state


def parameters(x):
    """Numbers in a mixer: projections, convolution, and A, D and delta_bias."""
    projections = 3 * x.dim * x.d + x.d * (x.rank + 2 * x.n) + x.rank * x.d
    return projections + x.d * (x.width + 1) + x.d * (x.n + 2)


def data_parallel(x, size):
    """Gradients are reduced and gathered again."""
    return 2 * (size - 1) * parameters(x) * x.number // size


def fully_shard(x, size):
    """Parameters are gathered twice, gradients are reduced to the rank that keeps them."""
    return 3 * (size - 1) * parameters(x) * x.number // size


def state(x):
    return x.batch * x.d * x.n * x.state


def gather(x, size):
    """The state and the sum of delta', and the gradient of the state."""
    return (size - 1) * (2 * state(x) + x.batch * x.d * x.state)


def ring(x, size):
    """The state and its gradient, to one rank each."""
    return 2 * state(x)


def halo(x, size):
    """The last steps before the convolution, and their gradients."""
    return 2 * x.batch * x.d * (x.width - 1) * x.number


def channels(x, size):
    """u, delta, z and y change places, from time to channels and back, and their gradients."""
    moved = 4 * x.batch * x.length * x.d * x.number
    return 2 * moved * (size - 1) // size**2


def everything(x, size):
    """The input of the mixer on every rank, and its gradient reduced to pieces."""
    return 2 * (size - 1) * x.batch * x.length * x.dim * x.number // size


ROWS = [
    ("`DistributedDataParallel`", "batch", data_parallel),
    ("`fully_shard`", "batch", fully_shard),
    ('`scan`, `mode="gather"`, with `halo`', "time", lambda x, k: gather(x, k) + halo(x, k)),
    ('`scan`, `mode="ring"`, with `halo`', "time", lambda x, k: ring(x, k) + halo(x, k)),
    ("time to channels and back, by all-to-all *", "time", channels),
    ("the whole input gathered on every rank *", "time", everything),
]


def table(layer=None, sizes=(8, 64)):
    """As Markdown, MB."""
    layer = layer or Layer()
    head = " | ".join(f"{size} ranks" for size in sizes)
    lines = [f"| | cuts | {head} |", "|---|---|" + "---:|" * len(sizes)]
    for name, what, cost in ROWS:
        cells = " | ".join(f"{cost(layer, size) / 1e6:,.4g}" for size in sizes)
        lines.append(f"| {name} | {what} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
