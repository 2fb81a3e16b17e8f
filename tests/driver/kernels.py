"""Kernels for the driver: each that was loaded, by what it was compiled of, in the emulator."""

from typing import NamedTuple

from emulator import scans

from selscan.backends.cupy import instances, nvrtc

FILES = {name: file for file, names in instances.INSTANCES.items() for name in names}


class Launch(NamedTuple):
    """A launch that was carried out."""

    kernel: str
    device: int


launches = []


def emulate(symbol, device, grid, block, shared, parameter):
    """Run a kernel of the backend, and note it in `launches`."""
    name = instance_of(symbol)
    launches.append(Launch(name, device))
    scans.function(FILES[name], name)(grid, block, (parameter,), shared)


def instance_of(symbol):
    """The name expression of a function in machine code."""
    for compiled in nvrtc._loader._compiled.values():
        for name, lowered in compiled.lowered.items():
            if lowered == symbol:
                return name
    raise KeyError(f"{symbol} is of no instance that was compiled")
