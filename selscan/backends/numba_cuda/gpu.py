"""numba.cuda, which is imported here and by the kernels, at the first call: devices and memory.

In Numba's simulator (NUMBA_ENABLE_CUDASIM=1) the device is this process, and device arrays are
NumPy's.
"""

import numpy as np

from ...errors import BackendUnavailable
from .. import SIMULATED

INSTALL = "pip install 'selscan[numba-cuda13]', or 'selscan[numba-cuda12]' for a driver of CUDA 12"


def import_cuda():
    """numba.cuda of the package numba-cuda, or BackendUnavailable; an import can raise anything."""
    try:
        import numba_cuda  # noqa: F401 numba.cuda is this package's where it is installed
        from numba import cuda
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            f"selscan: the numba_cuda backend needs numba-cuda ({error}): {INSTALL}."
        ) from error
    except Exception as error:
        raise BackendUnavailable(
            f"selscan: numba-cuda is installed, but importing it failed ({_summary(error)}): "
            f"{INSTALL}."
        ) from error
    return cuda


def cuda():
    """numba.cuda, where somebody has device arrays or `check` has passed."""
    from numba import cuda

    return cuda


def check():
    """Raise BackendUnavailable, with the reason and what helps, where no kernel could run."""
    cuda = import_cuda()
    if SIMULATED:
        return
    try:
        reason = "" if len(cuda.gpus) > 0 else "there is none"
    except Exception as error:  # of the driver, or of the search for it
        reason = _summary(error)
    if reason:
        raise BackendUnavailable(
            f"selscan: the numba_cuda backend finds no GPU ({reason}). Once nvidia-smi lists the "
            f"GPU: {INSTALL}. Without one, NUMBA_ENABLE_CUDASIM=1 simulates it, for tests."
        )
    if not cuda.is_available():
        raise BackendUnavailable(
            f"selscan: the numba_cuda backend finds no NVVM, with which it compiles: {INSTALL}."
        )


def detail():
    """One line for people: the first device, and how many there are."""
    if SIMULATED:
        return "Numba's simulator on the CPU"
    name, count = cuda().gpus[0].name, len(cuda().gpus)
    name = name.decode() if isinstance(name, bytes) else str(name)
    return f"{name}{f' and {count - 1} more' if count > 1 else ''}"


def number_of(device):
    """1 of "cuda:1"."""
    return int(device.partition(":")[2] or 0)


def on(number):
    """A context in which a device is the current one."""
    return cuda().gpus[number]


def stream_of(stream):
    """Numba's object for the stream of any library, an integer; 0 is the legacy default one."""
    if SIMULATED:
        return 0
    return cuda().external_stream(stream) if stream else cuda().legacy_default_stream()


def is_captured(stream):
    """Whether a CUDA graph is captured from a stream, an integer; never from the legacy one, 0."""
    if SIMULATED or not stream:
        return False
    from cuda.bindings import driver  # numba-cuda requires it

    error, status = driver.cuStreamIsCapturing(stream)
    if error != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"selscan: cuStreamIsCapturing returned {error}.")
    return status != driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE


class _Memory:
    """What the CUDA array interface says of some memory."""

    def __init__(self, address, shape, steps, dtype):
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "strides": steps,
            "typestr": dtype.str,
            "stream": None,
            "version": 3,
        }


def array_at(address, shape, steps, dtype):
    """A device array on the current device, which does not own its memory."""
    memory = _Memory(address, shape, steps, dtype)
    if not SIMULATED:
        return cuda().as_cuda_array(memory, sync=False)
    memory.__array_interface__ = memory.__cuda_array_interface__
    return _simulated(np.asarray(memory))


def _simulated(array):
    """The simulator's device array on the memory of a NumPy array."""
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(array)


def device_of(array):
    """Where a device array is: "cuda:0", ..., or "cudasim:0"."""
    return "cudasim:0" if SIMULATED else f"cuda:{array.gpu_data.context.device.id}"


def address_of(array):
    """Where a device array begins."""
    if SIMULATED:
        return array.__array_interface__["data"][0]
    return array.device_ctypes_pointer.value or 0


def allocate(shape, steps, dtype, number):
    """A new device array on a device."""
    with on(number):
        return cuda().device_array(shape, dtype=dtype, strides=steps)


def copy_to(array, host, number):
    """Copy a NumPy array into a device array of any strides."""
    with on(number):
        array[...] = host


def from_dlpack(array, number):
    """A device array on the memory of a producer on the GPU, which is kept alive.

    numba-cuda requires cuda.core, which reads and writes DLPack.
    """
    from cuda.core.utils import StridedMemoryView

    with on(number):
        memory = StridedMemoryView.from_dlpack(array, stream_ptr=_LEGACY)
        dtype = memory.dtype
        steps = tuple(dtype.itemsize * step for step in memory.strides)
        found = array_at(memory.ptr, memory.shape, steps, _exchanged(dtype)).view(dtype)
    found.producer = memory
    return found


_LEGACY = 1  # the legacy default stream, in DLPack


def _exchanged(dtype):
    """A dtype that the CUDA array interface knows: bfloat16, of kind V, as its bits."""
    return np.dtype("uint16") if dtype.kind == "V" else dtype


def producers(arrays, number):
    """Device arrays, None as it is, as what a from_dlpack takes; the host waits for them."""
    with on(number):
        stream_of(0).synchronize()
        return [None if x is None else _producer(x) for x in arrays]


def _producer(array):
    """A device array, whose values are there, as a producer."""
    from cuda.core.utils import StridedMemoryView

    dtype = _exchanged(array.dtype)
    memory = _Memory(address_of(array), array.shape, array.strides, dtype)
    memory.array = array  # kept alive
    found = StridedMemoryView.from_cuda_array_interface(memory, stream_ptr=-1)
    return found.view(dtype=array.dtype)


def upload(array):
    """A copy of a NumPy array on the current device."""
    return cuda().to_device(array)


def _summary(error):
    """Type and message on one line."""
    text = " ".join(str(error).split()).rstrip(" :.")
    return f"{type(error).__name__}: {text:.300}"
