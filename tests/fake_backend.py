"""A backend that serves `scan` alone, by a loop over steps on the CPU: see test_backends.py."""

from types import SimpleNamespace

import numpy as np

SERVES = frozenset(("scan",))


def check():
    """It can always run."""


def detail():
    return "a loop"


def forward_plan(problem, operands):
    return problem, operands


def forward_scratch(problem, operands):
    return 0


def launch(plan, addresses, runs_on=None):
    problem, operands = plan
    x = {name: view(*operands[name], problem, address) for name, address in addresses.items()}
    u, B, C = x["u"][:, :, 0], x["B"], x["C"]
    delta = x["delta"][:, :, 0] + (x["delta_bias"][:, :, 0] if "delta_bias" in x else 0)
    delta = np.logaddexp(delta, 0) if problem.softplus else delta
    h = np.zeros(problem.state_shape) + (x["initial_state"][..., 0] if "initial_state" in x else 0)
    for t in range(problem.length)[:: -1 if problem.reverse else 1]:
        h = np.exp(delta[..., t, None] * x["A"][..., 0]) * h
        h += (delta * u)[..., t, None] * B[..., t]
        y = (C[..., t] * h).sum(-1) + (x["D"][..., 0, 0] * u[..., t] if "D" in x else 0)
        if "z" in x:
            y *= x["z"][:, :, 0, t] / (1 + np.exp(-x["z"][:, :, 0, t]))
        x["y"][:, :, 0, t] = y
    if "last_state" in x:
        x["last_state"][..., 0] = h


def view(layout, axes, problem, address):
    """An array (b, d, n, t) on an operand, of size 1 along axes that it does not have."""
    interface = {"data": (address, False), "shape": layout.shape, "strides": layout.steps}
    interface |= {"typestr": np.dtype(layout.dtype).str, "version": 3}
    array = np.asarray(SimpleNamespace(__array_interface__=interface))
    there = [i for i, axis in enumerate(axes[:4]) if axis is not None]
    array = array.transpose([axes[i] for i in there])
    array = np.expand_dims(array, [i for i in range(4) if i not in there])
    if array.shape[1] in (1, problem.dim):
        return array
    return array.repeat(problem.dim // array.shape[1], axis=1)  # of a group
