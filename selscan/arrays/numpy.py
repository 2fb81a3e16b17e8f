"""What the frameworks share, and NumPy's arrays."""

import numpy as np

from .layouts import Layout, Output, dense_order, dense_steps
from .rounding import narrowable

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


class Framework:
    """What the frameworks share."""

    immutable = False  # arrays that nobody may write, not even where a call says so

    @staticmethod
    def check_out_dtype(function, dtype):
        """Refuse one of the supported dtypes that this framework cannot hold at present."""

    def borrow(self, function, names, arrays):
        """The arguments of a call as arrays with the methods below, None as None."""
        return arrays

    def hand_out(self, like, arrays):
        """Results as arrays of the kind and on the device of `like`, None as None."""
        return arrays

    def on(self, device):
        """The framework of arrays on a device, where they are not all on one."""
        return self

    def runs_on(self):
        """What the library's own work runs on, for launches: a CUDA stream, an integer; on the CPU
        a number of threads, or None if it has no say."""

    def signatures(self, arrays):
        """`signature` of each array; None for None, and () for what is not one of these."""
        owns, signature = self.owns, self.signature
        return tuple([x if x is None else signature(x) if owns(x) else () for x in arrays])

    def like(self, layout, dtype=None):
        """An output of the shape, memory order and, if none is given, dtype of an input."""
        order = dense_order(layout.shape, layout.steps)
        return self._output(layout.shape, order, dtype or layout.dtype)

    def output(self, shape, dtype):
        """A new array in C order."""
        return self._output(shape, tuple(range(len(shape))), dtype)


class NumPyArrays(Framework):
    """numpy.ndarray."""

    name = "numpy"
    title = "a NumPy array"

    @staticmethod
    def owns(array):
        """Whether the array can be read as it is: a masked array would lose its mask."""
        return type(array) is np.ndarray or (
            isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray | np.matrix)
        )

    @staticmethod
    def signature(array):
        """What the plan of a call depends on: hashable, cheap to take."""
        return array.shape, array.strides, array.dtype

    @staticmethod
    def layout(function, name, signature):
        shape, strides, dtype = signature
        text = dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"
        return Layout(shape, strides, text)

    @staticmethod
    def dtype_name(dtype):
        """The name of a dtype, a class or a string that NumPy takes for one, or None."""
        if isinstance(dtype, str) and dtype in DTYPES:
            return dtype  # bfloat16 may not be known to NumPy yet
        if not isinstance(dtype, str | type | np.dtype):
            return None  # NumPy would ask it for its items
        try:
            dtype = np.dtype(dtype)
        except (TypeError, ValueError, SyntaxError):  # whatever its parser of strings raises
            return None
        return dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"

    @staticmethod
    def check_out_dtype(function, dtype):
        try:
            numpy_dtype(dtype)
        except ImportError as error:
            raise TypeError(
                f"{function}: out_dtype must be a dtype that can be had here; got {dtype}. {error}"
            ) from None

    @staticmethod
    def device(signature):
        return "cpu"

    @staticmethod
    def is_wide(signature):
        return signature[2].char in "dD"

    @staticmethod
    def address(array):
        return array.__array_interface__["data"][0]

    @staticmethod
    def sum_parts(parts, array):
        """array = the sum over the first axis of `parts`, in their dtype, rounded once."""
        with np.errstate(all="ignore"):
            if parts.dtype == array.dtype:
                np.sum(parts, axis=0, out=array)
            else:
                array[...] = narrowable(np.sum(parts, axis=0), array.dtype)

    @staticmethod
    def fill(array, values):
        """array = values, an array or 0; of complex values for a real array the real part."""
        if array.dtype.kind != "c" and not isinstance(values, int):
            values = narrowable(values.real, array.dtype)
        array[...] = values

    @staticmethod
    def begin_update(function, name, array):
        """Announce that a kernel writes to an argument; refuse one that is read-only."""
        if not array.flags.writeable:
            raise ValueError(
                f"{function}: {name} must be writable, it is updated in place; got a read-only "
                f"array. Pass {name}.copy()."
            )

    @staticmethod
    def _output(shape, order, dtype):
        kind = numpy_dtype(dtype)
        recipe = tuple(shape[i] for i in order), kind, tuple(np.argsort(order).tolist())
        return Output(Layout(shape, dense_steps(shape, order, kind.itemsize), dtype), recipe)

    @staticmethod
    def allocate(output):
        shape, dtype, axes = output.recipe
        return np.empty(shape, dtype).transpose(axes)


def numpy_dtype(name):
    """The dtype of one of DTYPES or INTEGERS."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError("NumPy has no bfloat16 of its own; pip install ml_dtypes.") from None
    return np.dtype(ml_dtypes.bfloat16)
