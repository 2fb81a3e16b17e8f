"""Launches: a kernel, the arrays that it gets, and the grid."""

import functools
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import gpu
from .shapes import MOST_MOVING, MOVERS
from .views import View, memory_dtype


class Launch(NamedTuple):
    """One kernel, without addresses and stream."""

    kernel: str  # its name
    number: str  # the dtype that it is made for
    views: tuple  # of View or, for tables, of device arrays
    scalars: tuple  # (value, name of its type)
    grid: int
    block: tuple

    def start(self, addresses, stream):
        """Launch it on the current device."""
        arrays = [x.array(addresses) if isinstance(x, View) else x for x in self.views]
        function = compiled(self.kernel, self.number, self.signature())
        function[self.grid, self.block, stream](*arrays, *(value for value, _ in self.scalars))

    def signature(self):
        """What the kernel is compiled for: names of dtypes and numbers of axes, types of scalars.

        Strides are not part of it.
        """
        arrays = tuple((memory_dtype(str(x.dtype)).name, len(x.shape)) for x in self.views)
        return arrays, tuple(kind for _, kind in self.scalars)


class Plan(NamedTuple):
    """Launches, one after the other, on a device."""

    device: int
    launches: tuple

    def start(self, addresses, stream):
        with gpu.on(self.device):
            if self.has_tables() and gpu.is_captured(stream):
                raise RuntimeError(
                    "selscan: the numba_cuda backend cannot move or scan along a path while a CUDA "
                    "graph is captured: the graph would read tables that are freed when the path "
                    "is forgotten. The backend cupy can."
                )
            stream = gpu.stream_of(stream)
            for launch in self.launches:
                launch.start(addresses, stream)

    def has_tables(self):
        """Whether kernels read arrays of the plan itself."""
        return any(not isinstance(x, View) for launch in self.launches for x in launch.views)


def moving(kernel, number, *views):
    """The Launch of a kernel whose threads take elements of the last of the views."""
    blocks = -(-prod(views[-1].shape) // MOVERS)
    return Launch(kernel, number, views, (), min(blocks, MOST_MOVING), (MOVERS,))


def python_function(kernel, number):
    """A kernel as a function of Python."""
    from . import backward, forward, moves

    if kernel == "gather":
        return moves.gather
    if kernel in ("scatter", "sum_parts"):
        make = moves.make_scatter if kernel == "scatter" else moves.make_sum
        return make(np.dtype(number).type)
    make = forward.make_forward if kernel == "scan_forward" else backward.make_backward
    return make(number)


def numba_signature(signature):
    """The types of Numba for a Launch.signature()."""
    from numba.cuda import types
    from numba.cuda.np.numpy_support import from_dtype

    arrays, scalars = signature
    found = [types.Array(from_dtype(np.dtype(name)), ndim, "A") for name, ndim in arrays]
    return types.void(*found, *(getattr(types, kind) for kind in scalars))


@functools.cache
def compiled(kernel, number, signature) -> Any:
    """A kernel that can be launched."""
    return gpu.cuda().jit(numba_signature(signature))(python_function(kernel, number))
