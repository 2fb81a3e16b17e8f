"""Arrays of other libraries as NumPy arrays on the same memory: all that speak DLPack, and JAX.

A call borrows its inputs, runs as it does for NumPy arrays, and hands its results out. Nothing is
copied on the way.
"""

import math
import sys

import numpy as np

from ..errors import BackendUnavailable
from ..messages import describe, describe_kind, foreign, library_of
from . import dlpack
from .numpy import DTYPES, INTEGERS, NumPyArrays, numpy_dtype

ALIGNMENT = 64  # bytes; XLA copies an array that starts elsewhere
# enum DLDeviceType of dlpack.h
_DEVICES = {
    2: "cuda", 3: "cuda_host", 4: "opencl", 7: "vulkan", 8: "metal", 9: "vpi", 10: "rocm",
    11: "rocm_host", 12: "ext_dev", 13: "cuda_managed", 14: "oneapi", 15: "webgpu", 16: "hexagon",
}  # fmt: skip


def place(array):
    """The device of an array: "cpu", "cuda:0", ..."""
    kind, index = array.__dlpack_device__()
    if kind == dlpack.CPU:
        return "cpu"
    return f"{_DEVICES.get(int(kind), f'DLPack device {int(kind)}')}:{index}"


class Elsewhere:
    """Stands for an array on another device than the CPU until the device is refused."""

    shape = strides = ()
    dtype = np.dtype(bool)  # in which no result is wanted

    def __init__(self, device):
        self.device = device


def aligned(size):
    """Bytes of new memory that every library takes without a copy."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


class GuestArrays(NumPyArrays):
    """What they have in common: once borrowed, arrays are NumPy's."""

    def borrow(self, function, names, arrays):
        views = []  # a local: what an exception drops on its way up calls deleters in mid-flight
        for name, array in zip(names, arrays, strict=True):
            views.append(self._borrow(function, name, array))
        return views

    def _borrow(self, function, name, array):
        if array is None:
            return None
        if not self._knows(array):
            raise foreign(function, name, array, self)
        self._check_place(function, name, array)
        try:
            view = self._view(name, array)
        except Exception as error:  # whatever a library raises where memory cannot be shared
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            raise TypeError(
                f"{function}: {name} must be an array that shares its memory; got "
                f"{describe(array)}, which raised {reason}."
            ) from error
        self._check_dtype(function, name, view.dtype)
        return view

    def _check_place(self, function, name, array):
        """Refuse an array that has no one device."""

    @staticmethod
    def owns(array):
        return isinstance(array, (np.ndarray, Elsewhere))

    @staticmethod
    def signature(array):
        return array.shape, array.strides, array.dtype, array.device

    def layout(self, function, name, signature):
        if signature[3] != "cpu":
            raise BackendUnavailable(
                f"{function}: {self.title} on {signature[3]} cannot be used in this version; pass "
                "torch tensors or CuPy arrays, or move the arrays to the CPU."
            )
        return NumPyArrays.layout(function, name, signature[:3])

    @staticmethod
    def device(signature):
        return signature[3]

    @staticmethod
    def allocate(output):
        shape, dtype, axes = output.recipe
        memory = aligned(math.prod(shape) * dtype.itemsize)
        return memory.view(dtype).reshape(shape).transpose(axes)

    def check_out_dtype(self, function, dtype):
        NumPyArrays.check_out_dtype(function, dtype)
        self._check_dtype(function, "out_dtype", numpy_dtype(dtype))


class DLPackArrays(GuestArrays):
    """Arrays of a library that has __dlpack__ and takes results back with from_dlpack."""

    name = "dlpack"

    def __init__(self, array):
        kind = type(array)
        self.title = describe_kind(kind)
        self._library = library_of(kind)
        self._from_dlpack = _way_back(array, sys.modules.get(self._library))
        self._taken = set()  # dtypes that from_dlpack is known to take

    def borrow(self, function, names, arrays):
        if self._from_dlpack is None:
            name = "state" if "state" in names else names[0]
            raise TypeError(
                f"{function}: {name} must be an array of a library that takes results back; got "
                f"{self.title}, and neither its __array_namespace__() nor the module "
                f"{self._library} has a from_dlpack."
            )
        return super().borrow(function, names, arrays)

    def _knows(self, array):
        kind = type(array)
        return library_of(kind) == self._library and hasattr(kind, "__dlpack__")

    @staticmethod
    def _view(name, array):
        device = place(array)
        if device == "cpu":
            return dlpack.view(array, in_place=name == "state")
        return Elsewhere(device)

    def _check_dtype(self, function, name, dtype):
        """A result may have this dtype: see, before any work, whether it would be taken back."""
        known = dtype.name in DTYPES + INTEGERS
        if dtype in self._taken or not known or self._from_dlpack is None:
            return
        try:
            self.hand_out(None, [aligned(64).view(dtype)])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            raise TypeError(
                f"{function}: {name} must be of a dtype that its library takes back; got {dtype}, "
                f"for which from_dlpack raised {reason}."
            ) from error
        self._taken.add(dtype)

    @staticmethod
    def dtype_name(dtype):
        """The name of a dtype, NumPy's or the library's, which may print as mlx.core.float32."""
        name = NumPyArrays.dtype_name(dtype)
        if name is not None or isinstance(dtype, str):
            return name
        names = str(getattr(dtype, "name", "")), str(dtype).rpartition(".")[2]
        return next((name for name in names if name in DTYPES), None)

    def begin_update(self, function, name, array):
        if not array.flags.writeable:
            raise ValueError(
                f"{function}: {name} must be writable, it is updated in place; got an array that "
                "its library shares for reading only. Pass it to selscan.scan as initial_state."
            )

    def hand_out(self, like, arrays):
        take = self._from_dlpack
        return [None if x is None else take(dlpack.producer(x)) for x in arrays]


def _way_back(array, module):
    """The function by which the library of an array takes results; None if there is none."""
    try:
        namespace = array.__array_namespace__()
    except Exception:  # it has none, or not of the version that it takes for the newest
        namespace = None
    for home in (namespace, module):
        if callable(found := getattr(home, "from_dlpack", None)):
            return found
    # TensorFlow's takes a capsule, as all did before the array API standard.
    module = getattr(getattr(module, "experimental", None), "dlpack", None)
    if callable(found := getattr(module, "from_dlpack", None)):
        return lambda array: found(array.__dlpack__())
    return None
