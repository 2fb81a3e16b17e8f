"""What a peer is, and how it is checked."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reference import scan, scan_backward
from selscan.cases import Case, make_inputs

NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias")
TOLERANCE = 1e-4  # of the largest value; a wrong formula is off by far more


def never(*_):
    """No reason: the peer runs everywhere, or takes every case."""


@dataclass(frozen=True)
class Peer:
    """One implementation: `run(prepare(inputs, dy), backward)` is what is timed.

    `prepare` takes NumPy arrays in layout "bdl", by name, and is outside of the timing; `run` gives
    a dict with y and, after a backward, the gradients by the names of the inputs.
    """

    name: str
    prepare: Callable[[dict, np.ndarray], Any]
    run: Callable[[Any, bool], dict]
    missing: Callable[[], str | None] = never  # why it cannot run here
    refuses: Callable[[Case], str | None] = never  # why it cannot run a case
    quadratic: bool = False  # the backward takes O(length^2)
    gradients: bool = True  # False where it has a forward alone

    def lacks(self, mode):
        """Why it has no such mode, or None."""
        return "it has no backward" if mode == "full" and not self.gradients else None


def make_dy(case, dtype="float32"):
    """The gradient of the loss with respect to y, (b, d, l)."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((case.batch, case.dim, case.length)).astype(dtype)


def check(peer, case, dtype="float32"):
    """The largest error of y and the gradients on a small form of `case`, over the largest value.

    Raises
    ------
    ArithmeticError : the peer is wrong.
    """
    groups = min(case.groups, 2)
    small = replace(case, name="check", batch=2, dim=16 * groups, length=37, groups=groups)
    inputs, dy = make_inputs(small, dtype), make_dy(small, dtype)
    want = {"y": scan(**inputs, delta_softplus=True)}
    if peer.gradients:
        want |= zip(NAMES, scan_backward_of(inputs, dy), strict=True)
    got = peer.run(peer.prepare(inputs, dy), peer.gradients)
    errors = {name: relative_error(got[name], want[name]) for name in want}
    worst = max(errors, key=errors.get)
    if not errors[worst] < TOLERANCE:
        raise ArithmeticError(f"{peer.name}: {worst} is off by {errors[worst]:.1e}")
    return errors[worst]


def scan_backward_of(inputs, dy):
    """The reference's gradients in the order of NAMES."""
    grads = scan_backward(dy, **inputs, delta_softplus=True)
    return (getattr(grads, name) for name in NAMES)


def relative_error(got, want):
    """The largest difference over the largest value; infinite where a shape or a NaN differs."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape or not np.isfinite(got).all():
        return np.inf
    return float(np.abs(got - want).max() / np.abs(want).max())
