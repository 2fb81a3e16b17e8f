"""The GPU, through CuPy, which is imported here only, at the first call.

Everything else in this folder works without a driver; tests put an object with these functions in
the place of this module.
"""

import functools
from typing import NamedTuple

from ...errors import BackendUnavailable
from .plan import Device
from .toolkit import install


def import_cupy():
    """CuPy, or BackendUnavailable; a foreign import can raise anything."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            f"selscan: the cupy backend needs CuPy ({error}): {install()}."
        ) from error
    except Exception as error:
        hint = install()
        if isinstance(error, OSError):  # CuPy makes the directory of its cache when imported
            hint = "set CUPY_CACHE_DIR to a directory that you can write"
        raise BackendUnavailable(
            f"selscan: CuPy is installed, but importing it failed ({_summary(error)}): {hint}."
        ) from error
    return cupy


def driver():
    """The CUDA release that the driver is of, such as 13; checks that there is a device."""
    cupy = import_cupy()
    release = cupy.cuda.runtime.driverGetVersion() // 1000
    if release < 12:
        found = f"one of CUDA {release} was found" if release else "none was found"
        raise BackendUnavailable(
            f"selscan: the cupy backend needs an NVIDIA driver of CUDA 12 or newer; {found}. Once "
            f"nvidia-smi lists the GPU: {install()}."
        )
    try:
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        built_for = cupy.cuda.runtime.runtimeGetVersion() // 1000
        hint = f": CuPy is for CUDA {built_for}, the driver of CUDA {release}: {install(release)}"
        raise BackendUnavailable(
            f"selscan: CuPy finds no GPU ({_summary(error)}){hint if built_for > release else ''}."
        ) from error
    return release


def capability(device):
    """The compute capability of a device (a number), such as 90."""
    return int(import_cupy().cuda.Device(device).compute_capability)


@functools.cache
def properties(device):
    """What planning knows of a device, read once."""
    attributes = import_cupy().cuda.Device(device).attributes
    return Device(
        attributes["MultiProcessorCount"],
        attributes["MaxSharedMemoryPerBlockOptin"],
        attributes["MaxSharedMemoryPerMultiprocessor"],
    )


def detail():
    """One line for people: the first device, and how many there are."""
    api = import_cupy().cuda.runtime
    name, count = api.getDeviceProperties(0)["name"].decode(), api.getDeviceCount()
    return f"{name}{f' and {count - 1} more' if count > 1 else ''}"


class Constant:
    """An array of the host on a device, at `address`, as long as this object lives."""

    def __init__(self, array, device):
        cupy = import_cupy()
        self.nbytes = array.nbytes
        with cupy.cuda.Device(device):
            # Not of a pool: what is freed there may be given out while a kernel still reads it.
            self._memory = cupy.cuda.Memory(self.nbytes)
            self.address = self._memory.ptr
            kind = cupy.cuda.runtime.memcpyHostToDevice
            cupy.cuda.runtime.memcpy(self.address, array.ctypes.data, self.nbytes, kind)
            # The copy may still be on its way, and no other stream would wait for it.
            cupy.cuda.runtime.streamSynchronize(0)


def upload(array, device):
    """A Constant of an array in C order."""
    return Constant(array, device)


_captured = set()


def hold(constant, stream):
    """Keep a Constant for good if the stream is captured: a graph may be replayed at any time."""
    if import_cupy().cuda.runtime.streamIsCapturing(stream or 0):
        _captured.add(constant)


class Stream(NamedTuple):
    """A stream of any library, as CuPy's functions take it."""

    ptr: int


_stream = functools.lru_cache(Stream)  # a new one takes four times as long


class Function:
    """A loaded kernel: f(grid, block, args, shared_mem=0, stream=None) starts it on its device.

    `stream` is an integer, as all libraries give their streams; None is CuPy's current one.
    """

    def __init__(self, cupy, function, device):
        self._function, self._device = function, device
        self._current, self._guard = cupy.cuda.runtime.getDevice, cupy.cuda.Device

    def __call__(self, grid, block, args, shared_mem=0, stream=None):
        stream = None if stream is None else _stream(stream)
        if self._current() == self._device:
            self._function(grid, block, args, shared_mem, stream)
            return
        with self._guard(self._device):  # the context that the module was loaded in
            self._function(grid, block, args, shared_mem, stream)


def load(image, name, device):
    """A Function of some machine code or PTX, which may use all the shared memory of a block.

    It keeps its module loaded.
    """
    cupy = import_cupy()
    api = cupy.cuda.driver
    with cupy.cuda.Device(device) as current:
        module = cupy.cuda.Module()
        module.load(image)
        function = module.get_function(name)
        static = api.funcGetAttribute(api.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.ptr)
        most = current.attributes["MaxSharedMemoryPerBlockOptin"] - static
        dynamic = api.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        api.funcSetAttribute(function.ptr, dynamic, most)
    return Function(cupy, function, device)


def _summary(error):
    """Type and message on one line; of a pair, the cause: CuPy wraps it into general advice."""
    error = error.__cause__ or error
    return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
