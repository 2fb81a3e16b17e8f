"""The least that a scan must move and compute, and the time that a device needs for that.

Each input is read once and each output written once; each state of each step needs one exponential,
each step one more for softplus and, with z, one and a reciprocal (which the same unit computes) for
silu. The backward reads and computes all that again. States that a forward keeps for the backward
are not counted: how many is up to the kernel.
"""

from typing import NamedTuple

HALF, SINGLE = 2, 4  # bytes of bfloat16 and float32
COPY, EXPONENTIALS = "copy", "exponentials"  # the rates of parts/micro.py


class Work(NamedTuple):
    """Bytes between the device's memory and the chip, and exponentials."""

    bytes: int
    exponentials: int

    def __add__(self, other):
        return Work(self.bytes + other.bytes, self.exponentials + other.exponentials)


def forward(shape):
    """The work of a scan."""
    case = shape.case
    elements = case.batch * case.dim * case.length
    sequences = elements * HALF * (3 + shape.z)  # u, delta, y and z
    return Work(
        sequences + coefficients(case) + weights(case),
        elements * (case.d_state + 1 + 2 * shape.z),
    )


def backward(shape):
    """The work of the gradient alone: u, delta, dy, z, B, C again, and all gradients."""
    case = shape.case
    elements = case.batch * case.dim * case.length
    sequences = elements * HALF * (5 + 2 * shape.z)
    return Work(
        sequences + 2 * coefficients(case) + 2 * weights(case),
        elements * (case.d_state + 1 + 2 * shape.z),
    )


def step(shape):
    """The work of one step: the state is read and written."""
    case = shape.case
    state = case.batch * case.dim * case.d_state * SINGLE
    return forward(shape) + Work(2 * state, 0)


def coefficients(case):
    """Bytes of B and C."""
    return 2 * case.batch * case.groups * case.d_state * case.length * HALF


def weights(case):
    """Bytes of A, D and delta_bias."""
    return case.dim * (case.d_state + 2) * SINGLE


def work(shape, mode):
    """The work of a row: mode is forward, full or step."""
    if mode == "step":
        return step(shape)
    return forward(shape) + backward(shape) if mode == "full" else forward(shape)


class Limit(NamedTuple):
    """The time that a device cannot do without, and what for."""

    us: float
    name: str


def limit(work, rates):
    """The limit of some work, by measured rates (per second, by name); None without both."""
    if COPY not in rates or EXPONENTIALS not in rates:
        return None
    return max(
        Limit(1e6 * work.bytes / rates[COPY], "memory"),
        Limit(1e6 * work.exponentials / rates[EXPONENTIALS], "exponentials"),
    )


def rates_of(rows):
    """Medians per second of the part micro, by name; its rows are in billions."""
    return {row.case: 1e9 * row.p50 for row in rows if row.metric == "rate" and row.p50}
