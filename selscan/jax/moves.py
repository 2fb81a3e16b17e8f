"""Gather and scatter for traced arrays: each is the gradient of the other."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..ops import gather as ops
from ..paths.keeping import keeping
from . import calls
from .arrays import FRAMEWORK
from .batching import Place, over_batches
from .guards import reverse_only
from .partition import sharded


class Call(NamedTuple):
    """A gather or a scatter without its array."""

    function: str
    backend: Any
    path: Any
    merge: bool  # of a scatter; the gradient of a gather is merged if all routes read one map


def move(request, array):
    """The result of a request that was checked."""
    shared = array.ndim == 2 + len(request.path.size)  # one map for all routes
    merge = shared if request.function == "gather" else request.merge
    call = Call(request.function, request.backend, request.path, merge)
    return differentiable(call)(*reverse_only(call.function, [array]))


@keeping
def differentiable(call):
    """The operation of one array, with its gradient, and the gradient of that."""

    def operation(array):
        [signature] = FRAMEWORK.signatures((array,))
        asked = call.function, FRAMEWORK, call.backend, signature, call.path, call.merge
        request = ops.Request(*asked)
        plan, output = ops.prepare(request)
        if plan is None:
            return [jnp.zeros(output.layout.shape, array.dtype)]
        return calls.launch(call.function, plan, {"source": array}, {"result": output})

    def places(array):
        if call.function == "gather":
            return [Place(0, array.ndim - 1 - len(call.path.size))], [Place(0, 2)]
        return [Place(0, 2)], [Place(0, 1 if call.merge else 2)]

    def channels(array):
        return array.shape[places(array)[0][0].d], 1, 1

    mapped = over_batches(sharded(call.function, operation, places, channels), places)

    @jax.custom_vjp
    def moved(array):
        [result] = mapped(array)
        return result

    def keep(array):
        return moved(array), None

    def pull_back(_, gradient):
        other = "scatter" if call.function == "gather" else "gather"
        return (differentiable(call._replace(function=other))(gradient),)

    moved.defvjp(keep, pull_back)
    return moved
