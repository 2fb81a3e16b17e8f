"""Orders per sample of traced arrays."""

from ..ops import orders as ops
from . import calls
from .arrays import FRAMEWORK


def checked(function, backend, path, order):
    """A copy of (b, k, l) that kernels trust; where its numbers are wrong the program raises."""
    [signature] = FRAMEWORK.signatures((order,))
    plan, output = ops.prepare(function, FRAMEWORK, backend, signature, path.pixels)
    if plan is None:
        return order.astype("int32")
    return calls.launch(function, plan, {"source": order}, {"result": output})[0]
