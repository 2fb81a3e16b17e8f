"""Operands and results whose neighbours along every axis lie more than 4 GiB apart.

Memory is promised and not there until it is touched, so an array takes a page for each number. An
offset that is cut to 32 bits anywhere ends at another place, where results stay NaN.
"""

import mmap
from unittest import mock

import numpy as np

from selscan.arrays.layouts import Layout, Output, dense_steps
from selscan.backends.cupy import plan_backward
from selscan.ops import contract
from selscan.ops import scan as ops

from . import scans

NO_RESERVE = 0x4000  # MAP_NORESERVE, which Python 3.11 does not name
FAR = 2**32
ROOM = 2**41  # bytes of a mapping
START = 2**38  # where an array begins: offsets may be wrong either way
DIGIT = 128  # an axis has fewer elements than that, so that no two of an array meet


def memory():
    """Bytes that nothing lies in."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    return mmap.mmap(-1, ROOM, flags=flags)


def far_steps(count, contiguous=None, size=0):
    """Bytes between neighbours along so many axes; one of them may be contiguous."""
    steps = [FAR + mmap.PAGESIZE * DIGIT**axis for axis in range(count)]
    if contiguous is not None:
        steps[contiguous] = size
    return tuple(steps)


def nested_steps(shape):
    """The same of an array that is updated in place, which must not look as if it met itself."""
    return tuple(step + mmap.PAGESIZE for step in dense_steps(shape, range(len(shape)), FAR))


def empty(shape, dtype, steps):
    """An array without numbers."""
    return np.ndarray(shape, dtype, memory(), START, steps)


def far(array, contiguous=None):
    """A copy of an array whose elements are far from one another, but along one axis."""
    steps = far_steps(array.ndim, contiguous, array.itemsize)
    copy = empty(array.shape, array.dtype, steps)
    copy[...] = array
    return copy


def far_problem(problem, contiguous=None):
    """A problem with all its arrays far; `contiguous` is an axis of sequences, and of B and C."""
    return {
        name: far(value, contiguous if value.ndim > 2 and name != "initial_state" else None)
        if isinstance(value, np.ndarray)
        else value
        for name, value in problem.items()
    }


class FarArrays(scans.Poisoned):
    """NumPy's arrays, whose results are far apart too; parts of sums only from one another."""

    def like(self, layout, dtype=None):
        return Output(Layout(layout.shape, layout.steps, dtype or layout.dtype), ())

    def output(self, shape, dtype):
        steps = dense_steps(shape, range(len(shape)), np.dtype(dtype).itemsize)
        steps = (FAR, *steps[1:]) if len(shape) > 1 else steps
        return Output(Layout(tuple(shape), steps, dtype), ())

    @staticmethod
    def allocate(output):
        layout = output.layout
        array = empty(layout.shape, layout.dtype, layout.steps)
        if len(layout.shape) > 1:  # saved states lie as `kept` says
            array[...] = np.nan
        return array


def kept(problem, shape):
    """In the place of plan_backward.kept_operand: only the channels of a group are neighbours."""
    steps = (*far_steps(len(shape) - 1), np.dtype(problem.state_dtype).itemsize)
    return plan_backward.Kept(shape, steps, problem.state_dtype), (0, 2, 3, 1)


def _request(function, problem, arrays, forward=None, backward=None):
    framework = FarArrays()
    options = ops.Switches(problem["delta_softplus"], problem["reverse"], problem["layout"])
    found = ops.signatures(function, framework, contract.ARGUMENTS, arrays)
    return ops.Request(function, framework, scans.Emulated(forward, backward), found, options)


def forward(problem, mapping):
    """y and the last state."""
    arrays = tuple(problem.get(name) for name in contract.ARGUMENTS)
    request = _request("scan", problem, arrays, mapping)
    with mock.patch.object(plan_backward, "kept_operand", kept):
        return ops.forward(request, arrays, keep_states=True, want_last=True)[:2]


def backward(problem, forward, mapping):
    """Gradients in the order of the inputs."""
    problem = dict(problem)
    dy, dlast_state = problem.pop("dy"), problem.pop("dlast_state")
    arrays = tuple(problem.get(name) for name in contract.ARGUMENTS)
    request = _request("scan_backward", problem, arrays, forward, mapping)
    with mock.patch.object(plan_backward, "kept_operand", kept):
        return ops.backward(request, arrays, dy, dlast_state)
