"""JAX's arrays while a function is traced: shapes and dtypes, no memory."""

import jax

from ..arrays.jax import JaxArrays
from ..arrays.layouts import Layout, dense_steps
from ..arrays.numpy import numpy_dtype
from ..messages import fail


class TracedArrays(JaxArrays):
    """jax.Array, traced or not, as XLA passes it to a kernel: in C order, on a CPU.

    On other devices a program is refused when it is lowered for them (guards.py).
    """

    @staticmethod
    def owns(array):
        return isinstance(array, jax.Array)

    def signature(self, array):
        return tuple(array.shape), array.dtype.name

    def layout(self, function, name, signature):
        shape, dtype = signature
        if not all(isinstance(n, int) for n in shape):
            got = f"({', '.join(map(str, shape))})"
            fail(function, name, "of a shape of integers", got, " Export each shape on its own.")
        try:
            unit = numpy_dtype(dtype).itemsize
        except TypeError:  # no dtype of NumPy: keys of jax.random
            raise TypeError(
                f"{function}: {name} must be an array of numbers; got {dtype}."
            ) from None
        return Layout(shape, dense_steps(shape, range(len(shape)), unit), dtype)

    @staticmethod
    def device(signature):
        return "cpu"

    @staticmethod
    def is_wide(signature):
        return signature[1] in ("float64", "complex128")


FRAMEWORK = TracedArrays(jax)
