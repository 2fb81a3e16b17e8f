"""Gather and scatter of the CUDA backend on NumPy arrays, in the emulator."""

import functools

import numpy as np
from devices import Host

from selscan.arrays.find import framework_of
from selscan.backends.cupy import launches2d
from selscan.ops import gather as ops

from .scans import DEVICE, Poisoned, function


class Emulated:
    """The backend, with the mapping that is asked for."""

    def __init__(self, mapping=None, device=DEVICE):
        self._mapping, self._device = mapping, device

    orders_plan = staticmethod(launches2d.orders_plan)

    def move_plan(self, moved):
        return launches2d.move_plan(moved, self._device, Host, self._mapping)

    @staticmethod
    def launch(plan, addresses, runs_on=None):
        plan.launch(function(plan.file, plan.name), addresses)


class Filled(Poisoned):
    """New arrays are full of something that no test expects."""

    @staticmethod
    def allocate(output):
        array = super(Poisoned, Poisoned).allocate(output)
        array.view(np.uint8)[...] = 0xA5
        return array


def _move(name, array, path, merge, mapping, order=None):
    """`order` are orders per sample, of which `path` says the sizes."""
    found = framework_of(array).signatures((array, order))
    request = ops.Request(name, Filled(), Emulated(mapping), found[0], path, merge, found[1])
    return ops.run(request, array, order)


gather = functools.partial(_move, "gather", merge=True, mapping=None)
scatter = functools.partial(_move, "scatter", mapping=None)
