"""Which framework an array belongs to.

None is imported for that: a library is looked up in sys.modules, where whoever made the array has
put it. NumPy and torch users need nothing of exchange.py.
"""

import sys

import numpy as np

from ..messages import library_of
from .arrays import NumPyArrays, TorchArrays

_NUMPY = NumPyArrays()
_torch_arrays = None  # made when the first tensor comes


def framework_of(array):
    """The framework of an array, or None."""
    global _torch_arrays
    if isinstance(array, np.ndarray):
        return _NUMPY if _NUMPY.owns(array) else None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        if _torch_arrays is None:
            _torch_arrays = TorchArrays(torch)
        return _torch_arrays
    kind = type(array)
    if hasattr(kind, "__dlpack__") and hasattr(kind, "__dlpack_device__"):
        from . import exchange

        return exchange.framework_of(array)
    if library_of(kind) == "numba" and hasattr(kind, "__cuda_array_interface__"):
        from . import cuda

        return cuda.framework_of(array)
    return None
