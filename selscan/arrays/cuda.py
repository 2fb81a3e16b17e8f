"""Arrays on a GPU: CuPy's, and those of other libraries than torch as CuPy arrays.

Results are allocated by the library of the inputs, on their device, and kernels are launched on the
stream that this library works on, so nothing has to wait. CuPy and Numba are looked up where who
made an array has imported them.
"""

import copy
import sys

from ..backends.cupy.gpu import import_cupy
from ..messages import describe_kind, library_of
from .guests import DLPackArrays, Elsewhere, place
from .numpy import NumPyArrays


def number_of(device):
    """1 of "cuda:1"."""
    return int(device.partition(":")[2])


class CuPyArrays(NumPyArrays):
    """cupy.ndarray, on the current stream of CuPy."""

    name = "cupy"
    title = "a CuPy array"

    def __init__(self, cupy):
        self._cupy, self._on = cupy, {}

    def on(self, device):
        found = self._on.get(device)
        if found is None:
            found = copy.copy(self)
            found._number = number_of(device)
            found = self._on.setdefault(device, found)
        return found

    def owns(self, array):
        return isinstance(array, self._cupy.ndarray)

    @staticmethod
    def signature(array):
        return array.shape, array.strides, array.dtype, f"cuda:{array.data.device_id}"

    @staticmethod
    def layout(function, name, signature):
        return NumPyArrays.layout(function, name, signature[:3])

    @staticmethod
    def device(signature):
        return signature[3]

    @staticmethod
    def address(array):
        return array.data.ptr

    def stream(self):
        return self._cupy.cuda.get_current_stream(self._number).ptr

    def allocate(self, output):
        shape, dtype, axes = output.recipe
        with self._cupy.cuda.Device(self._number):
            return self._cupy.empty(shape, dtype).transpose(axes)

    def fill(self, array, values):
        with self._cupy.cuda.Device(self._number):
            NumPyArrays.fill(array, values)

    @staticmethod
    def begin_update(function, name, array):
        """CuPy has no arrays that must not be written."""


class CudaGuests(CuPyArrays, DLPackArrays):
    """Arrays of a library with DLPack that are on a GPU.

    The exchange orders the streams of both: CuPy's current one waits for that on which an input was
    made, and the library lets its own wait for results.
    """

    name = "dlpack"

    def __init__(self, array):
        DLPackArrays.__init__(self, array)
        CuPyArrays.__init__(self, import_cupy())

    def owns(self, array):
        return isinstance(array, (self._cupy.ndarray, Elsewhere))

    @staticmethod
    def signature(array):
        if isinstance(array, Elsewhere):
            return array.shape, array.strides, array.dtype, array.device
        return CuPyArrays.signature(array)

    def _view(self, name, array):
        device = place(array)
        return self._cupy.from_dlpack(array) if device.startswith("cuda:") else Elsewhere(device)

    def _check_dtype(self, function, name, dtype):
        """Whether its library takes a dtype back cannot be seen before there is a result."""

    @staticmethod
    def begin_update(function, name, array):
        raise ValueError(
            f"{function}: {name} must be a torch tensor, a CuPy array or a Numba array on a GPU, "
            "where it is updated in place; got one that came through DLPack. Pass it to "
            "selscan.scan as initial_state."
        )

    def hand_out(self, like, arrays):
        return [None if x is None else self._from_dlpack(x) for x in arrays]


class NumbaArrays(CudaGuests):
    """Arrays of numba.cuda, on the legacy default stream: it and Numba's streams wait for another.

    They have the CUDA array interface instead of DLPack. Who takes an array by it waits for the
    stream of the array on the host; so it is told of none.
    """

    name = "numba"

    def __init__(self, array):
        self.title = describe_kind(type(array))
        self._from_dlpack = sys.modules["numba.cuda"].as_cuda_array
        CuPyArrays.__init__(self, import_cupy())

    def _knows(self, array):
        return library_of(type(array)) == "numba" and hasattr(array, "__cuda_array_interface__")

    def _view(self, name, array):
        return self._cupy.asarray(_Memory(array))

    def stream(self):
        return self._cupy.cuda.Stream.null.ptr

    def allocate(self, output):
        with self._cupy.cuda.Device(self._number), self._cupy.cuda.Stream.null:
            return super().allocate(output)

    begin_update = staticmethod(CuPyArrays.begin_update)

    def hand_out(self, like, arrays):
        return [None if x is None else self._from_dlpack(_Memory(x)) for x in arrays]


class _Memory:
    """That of an array, which it keeps alive, and no stream to wait for."""

    def __init__(self, array):
        self._array = array
        self.__cuda_array_interface__ = array.__cuda_array_interface__ | {"stream": None}
