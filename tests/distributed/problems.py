"""Scans of one process, and what the pieces of several make of them."""

import numpy as np
import torch
from harness import to_numpy, to_tensor
from strategies import make_problem, with_gradients
from tensors import INPUTS

import selscan

from .jobs import axis_of_time

ARRAYS = (*INPUTS, "seq_idx")


def make(**options):
    """A problem with the gradients of its results."""
    problem = make_problem(**options)
    return with_gradients(problem, seed=3) | {x: problem[x] for x in problem if x == "out_dtype"}


def arguments(problem):
    """Tensors by name, dy and dlast among them, and the options of a scan."""
    names = {"dlast_state": "dlast", "dy": "dy"} | {x: x for x in ARRAYS}
    tensors = {names[x]: to_tensor(v) for x, v in problem.items() if isinstance(v, np.ndarray)}
    options = {x: v for x, v in problem.items() if not isinstance(v, np.ndarray)}
    return {"tensors": tensors, "options": options}


def alone(problem):
    """y, the last state and the gradients by name, in one process."""
    given = arguments(problem)
    tensors, options = given["tensors"], given["options"]
    dy, dlast = tensors.pop("dy"), tensors.pop("dlast")
    leaves = {x: v.requires_grad_() for x, v in tensors.items() if x != "seq_idx"}
    y, last = selscan.scan(**tensors, **options, return_last_state=True)
    ((y * dy).sum() + (last.conj() * dlast).sum().real).backward()
    return y.detach(), last.detach(), {x: v.grad for x, v in leaves.items()}


def joined(results, problem):
    """(y, last state) and gradients by name of all pieces: in a row, or summed over the ranks."""
    layout = problem["layout"]
    y = torch.cat([x[0] for x in results], axis_of_time("u", results[0][0], layout))
    gradients = {}
    for name in (x for x in INPUTS if x in problem):
        parts = [x[2][name] for x in results if name in x[2]]
        axis = axis_of_time(name, parts[0], layout)
        gradients[name] = sum(parts) if axis is None else torch.cat(parts, axis)
    return (y, results[0][1]), gradients


def as_grads(gradients):
    """ScanGrads of NumPy arrays."""
    return selscan.ScanGrads(*(to_numpy(gradients.get(name)) for name in INPUTS))
