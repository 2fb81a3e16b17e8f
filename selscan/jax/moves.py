"""Gather and scatter for traced arrays: each is the gradient of the other."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..ops import gather as ops
from ..paths.keeping import keeping
from . import calls, orders
from .arrays import FRAMEWORK
from .batching import Place, over_batches
from .guards import reverse_only
from .manual import alike
from .partition import sharded


class Call(NamedTuple):
    """A gather or a scatter without its array."""

    function: str
    backend: Any
    path: Any
    merge: bool  # of a scatter; the gradient of a gather is merged if all routes read one map


def move(request, array, order=None):
    """The result of a request that was checked; `order` are orders per sample."""
    shared = array.ndim == 2 + len(request.path.size)  # one map for all routes
    merge = shared if request.function == "gather" else request.merge
    call = Call(request.function, request.backend, request.path, merge)
    [array] = reverse_only(call.function, [array])
    return differentiable(call)(*alike([array] if order is None else [array, order]))


@keeping
def differentiable(call):
    """The operation of one array, with its gradient, and the gradient of that.

    Orders per sample are an array behind it.
    """

    def operation(array, *numbers):
        signature, *order = FRAMEWORK.signatures((array, *numbers))
        asked = call.function, FRAMEWORK, call.backend, signature, call.path, call.merge
        request = ops.Request(*asked, *order)
        plan, output = ops.prepare(request)
        if plan is None:
            return alike([jnp.zeros(output.layout.shape, array.dtype), array])[:1]
        operands = {"source": array}
        for order in numbers:
            operands["path"] = orders.checked(call.function, call.backend, call.path, order)
        return calls.launch(call.function, plan, operands, {"result": output})

    def places(array, *numbers):
        others = [Place(0, None)] * len(numbers)
        if call.function == "gather":
            return [Place(0, array.ndim - 1 - len(call.path.size)), *others], [Place(0, 2)]
        return [Place(0, 2), *others], [Place(0, 1 if call.merge else 2)]

    def channels(array, *numbers):
        return array.shape[places(array)[0][0].d], 1, 1

    mapped = over_batches(sharded(call.function, operation, places, channels), places)

    @jax.custom_vjp
    def moved(*arrays):
        [result] = mapped(*arrays)
        return result

    def keep(array, *numbers):
        return moved(array, *numbers), numbers

    def pull_back(numbers, gradient):
        other = "scatter" if call.function == "gather" else "gather"
        found = differentiable(call._replace(function=other))(gradient, *numbers)
        return found, *[None] * len(numbers)

    moved.defvjp(keep, pull_back)
    return moved
