"""Where problems are run: a GPU, or the emulator of tests/; tensors, memory and ways of calling."""

import contextlib
import ctypes
import functools
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from bench.gpu.outcomes import NotAvailable

GUARD, POISON = 256, 0xFF  # bytes on both sides of a result; as bytes of a float it is NaN


class Memory:
    """Results are full of NaN before a kernel writes them, and have guards around them."""

    def __init__(self, device=None):
        self._device, self._blocks = device, []  # None: that of the tensors

    def allocate(self, framework, output):
        """In the place of CudaTensors.allocate."""
        shape, strides, dtype = output.recipe
        size = int(np.prod(shape)) * dtype.itemsize
        device = self._device or framework._device
        block = torch.full((size + 2 * GUARD,), POISON, dtype=torch.uint8, device=device)
        self._blocks.append(block)
        empty = torch.empty(0, dtype=dtype, device=device)
        return empty.set_(block.untyped_storage(), GUARD // dtype.itemsize, shape, strides)

    def overruns(self):
        """How many results were written outside of their memory since the last call."""
        blocks, self._blocks = self._blocks, []
        guards = (torch.cat((block[:GUARD], block[-GUARD:])) for block in blocks)
        return sum(bool((guard != POISON).any()) for guard in guards)


class Placed:
    """The arrays of a problem as tensors on a device, gaps and all; other values as they are."""

    def __init__(self, problem, device):
        self.arguments, self._before = {}, []
        for name, value in problem.items():
            if isinstance(value, np.ndarray):
                self.arguments[name], memory = placed(value, device)
                self._before.append((name, memory, memory.clone()))
            else:
                self.arguments[name] = value

    def changed(self):
        """Names of the inputs that a call wrote, also between their elements."""
        return [name for name, now, before in self._before if not torch.equal(now, before)]


def placed(array, device):
    """A tensor with the values, strides and alignment of an array, and its memory as bytes."""
    low, high = np.lib.array_utils.byte_bounds(array)
    offset = low % GUARD
    host = np.frombuffer((ctypes.c_uint8 * (high - low)).from_address(low), np.uint8)
    memory = torch.full((offset + len(host),), POISON, dtype=torch.uint8, device=device)
    memory[offset:] = torch.from_numpy(host.copy()).to(device)
    dtype = getattr(torch, array.dtype.name)
    steps = [step // array.itemsize for step in array.strides]
    empty = torch.empty(0, dtype=dtype, device=device)
    storage = memory.untyped_storage()
    return empty.set_(storage, offset // array.itemsize, array.shape, steps), memory


def plain(call, device):
    return call()


def on_a_stream(call, device):
    """On a stream that is not the default one."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        results = call()
    side.synchronize()
    return results


def in_a_graph(call, device):
    """Captured and replayed twice; the first call compiles and loads, which cannot be captured."""
    call()
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    for _ in range(2):
        graph.replay()
    torch.cuda.synchronize(device)
    return results


class Place:
    """A device, and its memory."""

    def __init__(self, memory, emulated=False):
        self.memory, self._emulated = memory, emulated

    def device(self, way):
        """That of the tensors."""
        if self._emulated:
            return "cpu"
        if way != "other device":
            return "cuda:0"
        if torch.cuda.device_count() < 2:
            raise NotAvailable("there is one GPU")
        return "cuda:1"

    def run(self, way, call):
        """The results of a call."""
        ways = {"stream": on_a_stream, "graph": in_a_graph}
        function = plain if self._emulated else ways.get(way, plain)
        return function(call, self.device(way))

    def synchronize(self):
        if not self._emulated:
            torch.cuda.synchronize()


@contextlib.contextmanager
def gpu():
    """The GPUs of this machine."""
    from selscan.arrays.torch import CudaTensors

    if not torch.cuda.is_available():
        raise NotAvailable("this torch was built without CUDA, or finds no GPU")
    memory = Memory()
    with mock.patch.object(CudaTensors, "allocate", allocate_in(memory)):
        yield Place(memory)


@contextlib.contextmanager
def emulator():
    """Kernels compiled by g++: tensors on the CPU pass for ones on a GPU."""
    import devices
    import pytest
    from emulator import missing, scans

    from selscan.arrays.torch import CudaTensors
    from selscan.backends.cupy.instances import INSTANCES

    if reason := missing():
        raise NotAvailable(reason)
    files = {name: file for file, names in INSTANCES.items() for name in names}
    memory = Memory("cpu")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        kernels = lambda name: scans.function(files[name], name)  # noqa: E731
        found = devices.install(patch, Path(folder), kernels)
        devices.put_tensors_on(patch, found)
        patch.setattr(CudaTensors, "allocate", allocate_in(memory))
        yield Place(memory, emulated=True)


def allocate_in(memory):
    """A method; `framework` becomes its self."""
    return lambda framework, output: memory.allocate(framework, output)


_entered = contextlib.ExitStack()


@functools.cache
def here(emulate):
    """The place of this process, entered once and never left."""
    return _entered.enter_context(emulator() if emulate else gpu())
