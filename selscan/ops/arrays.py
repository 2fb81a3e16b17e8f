"""Any array, seen the same way: shape, byte steps, dtype name, address.

One small class for each framework, all with the same methods; `framework_of` finds the one that an
array belongs to. torch is looked up in sys.modules, so that NumPy users never import it.
"""

import functools
import sys
from typing import NamedTuple

import numpy as np

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


class Layout(NamedTuple):
    """An array without its data."""

    shape: tuple
    steps: tuple  # bytes
    dtype: str


class Output(NamedTuple):
    """An array to allocate: dense, its axes in any order in memory."""

    layout: Layout
    recipe: tuple  # how the framework allocates it


def dense_order(shape, steps):
    """Axes from the largest step to the smallest if the array is dense, else in their own order.

    Outputs are allocated in the memory order of the input they belong to, as
    ``torch.empty_like`` and ``numpy.empty_like`` do.
    """
    order = sorted(range(len(shape)), key=lambda i: (-abs(steps[i]), i))
    expected = None
    for i in reversed(order):
        if shape[i] != 1:
            if steps[i] != (expected or steps[i]) or steps[i] <= 0:
                return tuple(range(len(shape)))
            expected = steps[i] * shape[i]
    return tuple(order)


def dense_steps(shape, order, unit):
    """Steps of a dense array whose axes run from slowest to fastest as in `order`."""
    steps = [0] * len(shape)
    for i in reversed(order):
        steps[i] = unit
        unit *= max(1, shape[i])
    return tuple(steps)


class Framework:
    """What the frameworks share."""

    def like(self, layout):
        """An output of the shape, dtype and memory order of an input."""
        return self._output(layout.shape, dense_order(layout.shape, layout.steps), layout.dtype)

    def output(self, shape, dtype):
        """A new array in C order."""
        return self._output(shape, tuple(range(len(shape))), dtype)


class NumPyArrays(Framework):
    """numpy.ndarray."""

    name = "numpy"
    title = "a NumPy array"

    def __init__(self):
        names = (n for n in DTYPES if n != "bfloat16")
        self._names = {np.dtype(name).str: name for name in names}

    @staticmethod
    def owns(array):
        """Whether the array can be read as it is: a masked array would lose its mask."""
        return type(array) is np.ndarray or (
            isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray | np.matrix)
        )

    @staticmethod
    def signature(array):
        """What the plan of a call depends on: hashable, cheap to take."""
        return array.shape, array.strides, array.dtype.str

    def layout(self, function, name, signature):
        shape, strides, text = signature
        dtype = self._names.get(text)
        if dtype is None:
            dtype = np.dtype(text)
            dtype = dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"
        return Layout(shape, strides, dtype)

    @staticmethod
    def device(signature):
        return "cpu"

    @staticmethod
    def is_float64(signature):
        return signature[2] == np.dtype(np.float64).str

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
    def _output(shape, order, dtype):
        dtype = np.dtype(dtype)
        recipe = tuple(shape[i] for i in order), dtype, tuple(np.argsort(order).tolist())
        return Output(Layout(shape, dense_steps(shape, order, dtype.itemsize), dtype.name), recipe)

    @staticmethod
    def allocate(output):
        shape, dtype, axes = output.recipe
        return np.empty(shape, dtype).transpose(axes)


class TorchArrays(Framework):
    """torch.Tensor on the CPU."""

    name = "torch"
    title = "a torch tensor"

    def __init__(self, torch):
        self._tensor = torch.Tensor
        self._strided = torch.strided
        self._empty = torch.empty_strided
        self._float64 = torch.float64
        self._by_name = {name: getattr(torch, name) for name in DTYPES}
        self._names = {dtype: name for name, dtype in self._by_name.items()}

    def owns(self, array):
        return isinstance(array, self._tensor)

    def signature(self, array):
        if array.layout is not self._strided or array.is_neg():
            return array.shape, None, array.layout, array.device
        return array.shape, array.stride(), array.dtype, array.device

    def layout(self, function, name, signature):
        shape, strides, dtype, _ = signature
        if strides is None:
            raise TypeError(
                f"{function}: {name} must be a dense tensor; got one of layout {dtype} or with its "
                "negative bit set. Call .to_dense() or .resolve_neg() first."
            )
        size = dtype.itemsize
        text = self._names.get(dtype) or str(dtype).removeprefix("torch.")
        return Layout(tuple(shape), tuple(s * size for s in strides), text)

    @staticmethod
    def device(signature):
        device = signature[3]
        return "cpu" if device.type == "cpu" else str(device)

    def is_float64(self, signature):
        return signature[2] is self._float64

    @staticmethod
    def address(array):
        return array.data_ptr()

    @staticmethod
    def numpy(array):
        return array.detach().numpy()

    @staticmethod
    def check_writable(function, name, array):
        """Every tensor can be written."""

    def _output(self, shape, order, dtype):
        kind = self._by_name[dtype]
        recipe = shape, dense_steps(shape, order, 1), kind
        return Output(Layout(shape, dense_steps(shape, order, kind.itemsize), dtype), recipe)

    def allocate(self, output):
        shape, strides, dtype = output.recipe
        return self._empty(shape, strides, dtype=dtype)


_NUMPY = NumPyArrays()


@functools.cache
def _torch_arrays():
    return TorchArrays(sys.modules["torch"])


def framework_of(array):
    """The framework of an array, or None."""
    if isinstance(array, np.ndarray):
        return _NUMPY if _NUMPY.owns(array) else None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return _torch_arrays()
    return None
