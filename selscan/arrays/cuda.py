"""Arrays on a GPU: CuPy's, Numba's, and those of other libraries than torch as one of these.

Results are allocated by the library of the inputs, on their device, and kernels are launched on the
stream that this library works on, so nothing has to wait.
"""

import copy

import numpy as np

from ..backends.cupy.gpu import import_cupy
from ..backends.numba_cuda import gpu
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

    def runs_on(self):
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
    """Arrays of a library with DLPack that are on a GPU, as CuPy's.

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


class NumbaArrays(NumPyArrays):
    """Arrays of numba.cuda, on the legacy default stream: it and Numba's streams wait for another.

    Those of its simulator too, whose memory is the host's and whose device is "cudasim:0".
    """

    name = "numba"

    def __init__(self, kind):
        self.title, self._on = describe_kind(kind), {}

    on = CuPyArrays.on

    @staticmethod
    def owns(array):
        kind = type(array)
        return library_of(kind) == "numba" and hasattr(kind, "__cuda_ndarray__")

    @staticmethod
    def signature(array):
        # Shapes of the simulator cannot be indexed from the end.
        return tuple(array.shape), tuple(array.strides), array.dtype, gpu.device_of(array)

    layout = staticmethod(CuPyArrays.layout)
    device = staticmethod(CuPyArrays.device)

    @staticmethod
    def address(array):
        return gpu.address_of(array)

    def runs_on(self):
        return 0

    def allocate(self, output):
        layout, (_, dtype, _) = output
        return gpu.allocate(layout.shape, layout.steps, dtype, self._number)

    def fill(self, array, values):
        """Only of arrays without steps, and by way of the host."""
        values = values if isinstance(values, int) else values.copy_to_host()
        host = np.zeros(array.shape, array.dtype)
        NumPyArrays.fill(host, values)
        gpu.copy_to(array, host, self._number)

    begin_update = staticmethod(CuPyArrays.begin_update)


class CudaGuestsOfNumba(NumbaArrays, DLPackArrays):
    """The guests of CudaGuests as Numba's arrays, where there is no CuPy.

    An input is on the legacy default stream when its library has handed it out; for results the
    host waits.
    """

    name = "dlpack"

    def __init__(self, array):
        DLPackArrays.__init__(self, array)
        self._on = {}

    @staticmethod
    def owns(array):
        return isinstance(array, Elsewhere) or NumbaArrays.owns(array)

    @staticmethod
    def signature(array):
        return (CudaGuests if isinstance(array, Elsewhere) else NumbaArrays).signature(array)

    def _view(self, name, array):
        device = place(array)
        if not device.startswith("cuda:"):
            return Elsewhere(device)
        return gpu.from_dlpack(array, number_of(device))

    def _check_dtype(self, function, name, dtype):
        """As for CudaGuests."""

    begin_update = staticmethod(CudaGuests.begin_update)

    def hand_out(self, like, arrays):
        producers = gpu.producers(arrays, number_of(place(like)))
        return [None if x is None else self._from_dlpack(x) for x in producers]
