"""GPUs, torch tensors on them, CuPy and Numba without any of these: host memory, noted launches."""

import contextlib
import sys
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from cuda_parts import Gpu, Nvrtc, make_loader

from selscan import backends
from selscan.arrays import find
from selscan.arrays import torch as arrays
from selscan.backends import cupy as backend
from selscan.backends.cupy import gpu, instances, paste, plan
from selscan.backends.numba_cuda import gpu as numba_gpu


class Launch(NamedTuple):
    """What a device was asked for."""

    kernel: str
    device: int
    stream: int
    shared: int


class Devices(Gpu):
    """Devices for a Loader. `run(name)` is the function behind a kernel; they note each launch."""

    def __init__(self, run):
        super().__init__((90,) * 4)
        self._run = run
        self.launches = []
        self.streams = {}  # the current one of a device; 0 where nothing is said

    def load(self, image, name, device):
        super().load(image, name, device)
        name = name.removeprefix("_Z")

        def function(grid, block, args, shared_mem=0, stream=None):
            self.launches.append(Launch(name, device, stream, shared_mem))
            self._run(name)(grid, block, args, shared_mem)

        return function

    def stream(self, number):
        return self.streams.get(number, 0)


class Host:
    """In the place of gpu.Constant: the array where it is."""

    def __init__(self, array):
        assert array.flags.c_contiguous
        self._array = array
        self.address = array.ctypes.data


def nothing(name):
    """A kernel that does nothing."""
    return lambda grid, block, args, shared_mem: None


def install(patch, directory, run=nothing):
    """Devices that the backend uses instead of those of this machine."""
    devices = Devices(run)
    compiler = devices.compiler = Nvrtc()
    loader = make_loader(directory, compiler, devices, instances.INSTANCES, paste.SOURCES)
    patch.setattr(backend.nvrtc, "kernel", loader.kernel)
    patch.setattr(backend.nvrtc, "check", loader.check)
    patch.setattr(gpu, "properties", lambda device: plan.Device())
    patch.setattr(gpu, "upload", lambda array, device: Host(array))
    patch.setattr(gpu, "hold", lambda constant, stream: None)
    patch.setattr(gpu, "detail", lambda: "a GPU")
    backends.forget()
    return devices


def put_tensors_on(patch, devices, place=lambda shape: "cuda:0"):
    """Let torch's tensors on the CPU pass for ones on a GPU; what is allocated is NaN."""
    import torch

    def allocate(self, output):
        shape, strides, dtype = output.recipe
        devices.allocated.append(str(self._device))
        found = torch.empty_strided(shape, strides, dtype=dtype)
        return found.fill_(torch.nan if dtype.is_floating_point or dtype.is_complex else 2**30)

    devices.allocated = []
    tensors = find.framework_of(torch.empty(0))
    patch.setattr(tensors, "_on", {"cpu": tensors})
    patch.setattr(arrays.TorchArrays, "device", staticmethod(lambda found: place(tuple(found[0]))))
    patch.setattr(arrays.CudaTensors, "allocate", allocate)
    patch.setattr(torch._C, "_cuda_getCurrentRawStream", devices.stream, raising=False)


class CuPyArray:
    """cupy.ndarray on a NumPy array."""

    __module__ = "cupy"

    def __init__(self, host, device=0):
        self.host = host
        self.data = SimpleNamespace(ptr=host.ctypes.data, device_id=device)
        self.shape, self.strides, self.dtype = host.shape, host.strides, host.dtype

    def transpose(self, axes):
        return CuPyArray(self.host.transpose(axes), self.data.device_id)

    def __setitem__(self, key, value):
        self.host[key] = getattr(value, "host", value)

    @property
    def real(self):
        return CuPyArray(self.host.real, self.data.device_id)

    @property
    def __cuda_array_interface__(self):
        return self.host.__array_interface__ | {"stream": 7}

    def __dlpack__(self, **_):
        raise AssertionError("nobody needs a capsule of an array of CuPy")

    def __dlpack_device__(self):
        return 2, self.data.device_id


class Exchanged:
    """An array of a library that has DLPack, on a GPU; the CuPy below takes it."""

    __module__ = "exchanged"

    def __init__(self, host, device=(2, 0)):
        self.host, self.device = host, device

    def __dlpack__(self, **_):
        raise AssertionError("only CuPy's from_dlpack makes a capsule")

    def __dlpack_device__(self):
        return self.device

    def __array_namespace__(self):
        return SimpleNamespace(from_dlpack=lambda x: Exchanged(x.host, (2, x.data.device_id)))


class NumbaArray:
    """An array of numba.cuda."""

    __module__ = "numba.cuda.cudadrv.devicearray"
    __cuda_ndarray__ = True

    def __init__(self, host, stream=0, device=0):
        self.host, self.stream = host, stream
        self.shape, self.strides, self.dtype = host.shape, host.strides, host.dtype
        self.device_ctypes_pointer = SimpleNamespace(value=host.ctypes.data)
        context = SimpleNamespace(device=SimpleNamespace(id=device))
        self.gpu_data = SimpleNamespace(context=context)

    def copy_to_host(self):
        return self.host.copy()


def install_cupy(patch, devices):
    """A module cupy, with a current device and streams; what it allocates is NaN."""
    current = [0]
    devices.guards = []

    @contextlib.contextmanager
    def guard(number):
        before, current[0] = current[0], number
        devices.guards.append(number)
        yield
        current[0] = before

    class Null(contextlib.nullcontext):
        ptr = 0

    def empty(shape, dtype):
        return CuPyArray(np.full(shape, np.nan, dtype), current[0])

    def asarray(x):
        return CuPyArray(x)

    streams = SimpleNamespace(null=Null())
    api = SimpleNamespace(
        Device=guard,
        Stream=streams,
        get_current_stream=lambda number: SimpleNamespace(ptr=devices.stream(number)),
    )
    cupy = SimpleNamespace(
        ndarray=CuPyArray,
        cuda=api,
        empty=empty,
        asarray=asarray,
        asnumpy=lambda x: x.host,
        from_dlpack=lambda x: CuPyArray(x.host, x.device[1]),
    )
    patch.setitem(sys.modules, "cupy", cupy)
    patch.setattr(find._on_cuda, "data", {})
    return cupy


def install_numba(patch):
    """Memory of numba.cuda; what it allocates is NaN."""

    def allocate(shape, steps, dtype, number):
        order = sorted(range(len(shape)), key=lambda axis: -steps[axis])
        dense = np.full([shape[axis] for axis in order], np.nan, dtype)
        return NumbaArray(dense.transpose(np.argsort(order)), device=number)

    def copy_to(array, host, number):
        array.host[...] = host

    patch.setattr(numba_gpu, "allocate", allocate)
    patch.setattr(numba_gpu, "copy_to", copy_to)
    patch.setattr(find._on_cuda, "data", {})
