"""Which framework an array belongs to.

None is imported for that: a library is looked up in sys.modules, where whoever made the array has
put it. NumPy and torch users need nothing of guests.py, jax.py and cuda.py.
"""

import sys
import weakref

import numpy as np

from .. import backends
from ..backends.forks import lock
from ..messages import is_tracer, library_of
from .numpy import NumPyArrays
from .torch import TorchArrays

_NUMPY = NumPyArrays()
_torch_arrays = None  # made when the first tensor comes
_jax_arrays = None
# Of the other libraries by class, which may have arrays in both places.
_on_cpu = weakref.WeakKeyDictionary()
_on_cuda = weakref.WeakKeyDictionary()


def is_tensor(array):
    """Whether an array is one of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def is_traced(first, others):
    """Whether a call on arrays, `first` deciding whose they are, is part of a transform of JAX."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(first, jax.Array):
        return False
    return is_tracer(type(first)) or any(is_tracer(type(x)) for x in others)


def is_symbolic(array):
    """Whether nobody knows the numbers of an array: JAX traces it, or torch.compile a call."""
    if is_tracer(type(array)):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_compiling()


def framework_of(array):
    """The framework of an array, or None."""
    if isinstance(array, np.ndarray):
        return _NUMPY if _NUMPY.owns(array) else None
    if is_tensor(array):
        return _of_torch()
    kind = type(array)
    if library_of(kind) == "numba" and hasattr(kind, "__cuda_ndarray__"):
        return _of_cuda(array)  # before DLPack, by which its simulator's pass for NumPy's
    if hasattr(kind, "__dlpack__") and hasattr(kind, "__dlpack_device__"):
        jax = sys.modules.get("jax")
        if jax is not None and isinstance(array, jax.Array):
            return None if is_tracer(kind) else _of_jax(jax)
        return _of_cuda(array) if _is_on_cuda(array) else _of_dlpack(array)
    return None


def _of_torch():
    global _torch_arrays
    if _torch_arrays is None:
        _torch_arrays = TorchArrays(sys.modules["torch"])
    return _torch_arrays


def _of_jax(jax):
    global _jax_arrays
    if _jax_arrays is None:
        with lock:
            from .jax import JaxArrays

        _jax_arrays = JaxArrays(jax)
    return _jax_arrays


def _guests():
    with lock:
        from . import guests
    return guests


def _of_dlpack(array):
    found = _on_cpu.get(type(array))
    if found is None:
        found = _on_cpu.setdefault(type(array), _guests().DLPackArrays(array))
    return found


def _of_cuda(array):
    kind = type(array)
    found = _on_cuda.get(kind)
    if found is None:
        with lock:
            from . import cuda

        cupy = sys.modules.get("cupy")
        if cupy is not None and issubclass(kind, cupy.ndarray):
            found = cuda.CuPyArrays(cupy)
        elif library_of(kind) == "numba":
            found = cuda.NumbaArrays(kind)
        else:
            by_cupy = backends.usable("cupy")
            found = (cuda.CudaGuests if by_cupy else cuda.CudaGuestsOfNumba)(array)
        found = _on_cuda.setdefault(kind, found)
    return found


def _is_on_cuda(array):
    """Whether an array is CuPy's, or one on a GPU that there is a backend for."""
    if library_of(type(array)) == "cupy":
        return True
    try:
        on_gpu = _guests().place(array).startswith("cuda:")
        return on_gpu and any(map(backends.usable, ("cupy", "numba_cuda")))
    except Exception:  # where it is borrowed, this will be told
        return False
