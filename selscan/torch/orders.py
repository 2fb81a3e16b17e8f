"""Orders per sample as tensors."""

import numpy as np
import torch
from torch.compiler import is_compiling

from ..messages import foreign
from ..ops.dtypes import check_dtype
from .operators import FRAMEWORK


def as_tensor(function, order, like, path):
    """A tensor (b, k, l), also of NumPy's; of one table as many as `like` has samples."""
    if isinstance(order, np.ndarray):
        if not is_compiling():
            native = "" if order.dtype.isnative else "byte-swapped "
            check_dtype(function, "path", native + order.dtype.name, False)
        order = torch.as_tensor(np.ascontiguousarray(order))
    if not isinstance(order, torch.Tensor):
        raise foreign(function, "path", order, FRAMEWORK)
    if order.dim() == 3:
        return order
    return order.expand(like.shape[0], path.routes, path.length)
