"""scan2d for torch tensors, and the way that a call takes (see torch_route.py)."""

import torch
from torch.compiler import is_compiling

from . import torch_ops2d
from .autograd import ordinary, records, transforming
from .autograd2d import OperatorScan2d, Scan2d
from .ops import scan2d as ops
from .ops.scan import request
from .paths import Path
from .torch_ops import FRAMEWORK
from .torch_route import check_arrays, fits


def scan2d(inputs, path, delta_softplus, merge, out_dtype, backend):
    """y, recorded if a gradient may be asked for."""
    if is_compiling():
        is_dtype = out_dtype is None or isinstance(out_dtype, torch.dtype)
        fitting = fits(inputs, 5, (delta_softplus, merge), backend)
        if isinstance(path, Path) and is_dtype and fitting:
            constants = path.text, delta_softplus, merge, out_dtype, backend
            return torch_ops2d.SCAN2D(*inputs, *constants)
    options = ops.switches("scan2d", path, delta_softplus, merge, out_dtype, FRAMEWORK)
    if not ordinary(inputs):
        check_arrays("scan2d", inputs, backend, ops.ARGUMENTS)
        call = torch_ops2d.Call("scan2d", options, backend)
        if transforming():
            return OperatorScan2d.apply(call, *inputs)[0]
        return torch_ops2d.SCAN2D(*inputs, *call.constants())
    asked = request("scan2d", FRAMEWORK, inputs, options, backend, ops.ARGUMENTS)
    if records(inputs):
        return Scan2d.apply(asked, *inputs)
    return ops.forward(asked, inputs)[0]
