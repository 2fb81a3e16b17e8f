"""Any array, seen the same way: shape, byte steps, dtype name, address.

One small class for each framework, all with the same methods; `framework_of` finds the one that an
array belongs to. torch is looked up in sys.modules, so that NumPy users never import it.
"""

import functools
import sys
from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """An array without its data."""

    shape: tuple
    steps: tuple  # bytes
    dtype: str


def dense_order(shape, steps):
    """Axes from the largest step to the smallest if the array is dense, else in their own order.

    Outputs are allocated in the memory order of the input they belong to, as
    ``torch.empty_like`` and ``numpy.empty_like`` do.
    """
    order = sorted(range(len(shape)), key=lambda i: (-abs(steps[i]), i))
    expected = abs(steps[order[-1]]) if order else 0
    for i in reversed(order):
        if shape[i] != 1 and steps[i] != expected:
            return tuple(range(len(shape)))
        expected *= shape[i]
    return tuple(order)


def dense_steps(shape, order, itemsize):
    """Byte steps of a dense array whose axes run from slowest to fastest as in `order`."""
    steps, step = [0] * len(shape), itemsize
    for i in reversed(order):
        steps[i] = step
        step *= shape[i]
    return tuple(steps)


def _dtype_text(dtype):
    """A dtype that selscan does not know, as a user would write it."""
    dtype = np.dtype(dtype)
    return dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"


class NumPyArrays:
    """numpy.ndarray."""

    name = "numpy"
    title = "a NumPy array"
    _DTYPES = {  # noqa: RUF012 (a constant)
        np.dtype(name).str: name
        for name in ("float16", "float32", "float64", "complex64", "complex128")
    }

    @staticmethod
    def owns(array):
        """Whether the array can be read as it is: a masked array would lose its mask."""
        plain = type(array) is np.ndarray
        return plain or (
            isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray | np.matrix)
        )

    @staticmethod
    def signature(array):
        """What the plan of a call depends on: hashable, cheap to take."""
        return array.shape, array.strides, array.dtype.str

    @classmethod
    def layout(cls, signature):
        shape, strides, dtype = signature
        return Layout(shape, strides, cls._DTYPES.get(dtype) or _dtype_text(dtype))

    @staticmethod
    def device(signature):
        return "cpu"

    @staticmethod
    def address(array):
        return array.__array_interface__["data"][0]

    @staticmethod
    def numpy(array):
        """The same memory as a NumPy array."""
        return array

    @staticmethod
    def check_writable(function, name, array):
        if not array.flags.writeable:
            raise ValueError(f"{function}: {name} is updated in place, but it is read-only.")

    @staticmethod
    def empty(shape, order, dtype):
        return np.empty([shape[i] for i in order], dtype).transpose(np.argsort(order))


class TorchArrays:
    """torch.Tensor on the CPU."""

    name = "torch"
    title = "a torch tensor"

    def __init__(self, torch):
        self._torch = torch
        self._dtypes = {
            getattr(torch, name): name
            for name in ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
        }
        self._by_name = {name: dtype for dtype, name in self._dtypes.items()}
        self._sizes = {dtype: dtype.itemsize for dtype in self._dtypes}

    def owns(self, array):
        return isinstance(array, self._torch.Tensor)

    def signature(self, array):
        if array.layout is not self._torch.strided or array.is_neg():
            raise TypeError(
                f"a tensor of layout {array.layout} or with its negative bit set cannot be "
                "scanned; call .to_dense() or .resolve_neg() first."
            )
        return array.shape, array.stride(), array.dtype, array.device

    def layout(self, signature):
        shape, strides, dtype, _ = signature
        size = self._sizes.get(dtype, 1)
        name = self._dtypes.get(dtype) or str(dtype).removeprefix("torch.")
        return Layout(tuple(shape), tuple(s * size for s in strides), name)

    @staticmethod
    def device(signature):
        return str(signature[3])

    @staticmethod
    def address(array):
        return array.data_ptr()

    @staticmethod
    def numpy(array):
        return array.detach().numpy()

    @staticmethod
    def check_writable(function, name, array):
        """Every tensor can be written."""

    def empty(self, shape, order, dtype):
        strides = dense_steps(shape, order, 1)
        return self._torch.empty_strided(shape, strides, dtype=self._by_name[dtype])


_NUMPY = NumPyArrays()


@functools.cache
def _torch_arrays():
    return TorchArrays(sys.modules["torch"])


def framework_of(array):
    """The framework class of an array, or None."""
    if isinstance(array, np.ndarray):
        return _NUMPY
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return _torch_arrays()
    return None
