"""The public functions where JAX transforms them: the same checks, then operations of XLA."""

import jax.numpy as jnp
import numpy as np

from ..messages import foreign
from ..ops import gather as gathers
from ..ops import scan as ops
from ..ops import scan2d as ops2d
from ..ops import step as steps
from . import moves, scan, scan2d
from .arrays import FRAMEWORK


def scan_of_tracers(
    inputs, delta_softplus, reverse, layout, out_dtype, positions, backend, return_last_state
):
    """y, or (y, last state), with the states at some steps behind if wanted."""
    ops.contract.check_flags("scan", return_last_state=return_last_state)
    options = ops.switches("scan", delta_softplus, reverse, layout, out_dtype, FRAMEWORK, positions)
    request = ops.request("scan", FRAMEWORK, inputs, options, backend, "scan_backward")
    ops.check_forward(request)
    results = scan.scan(request, inputs, return_last_state)
    return tuple(results) if len(results) > 1 else results[0]


def scan_backward_of_tracers(inputs, upstream, delta_softplus, reverse, layout, positions, backend):
    """Gradients of all given inputs, in the order of contract.ARGUMENTS."""
    options = ops.switches("scan_backward", delta_softplus, reverse, layout, positions=positions)
    given = options, backend, "scan_backward"
    request = ops.request("scan_backward", FRAMEWORK, inputs, *given)
    found = ops.signatures("scan_backward", FRAMEWORK, ops.UPSTREAM, upstream)
    if any(s and FRAMEWORK.is_wide(s) for s in found):
        request = request._replace(options=options._replace(wide=True))
    ops.check_backward(request, found)
    return scan.scan_backward(request, inputs, *upstream)


def scan_step_of_tracers(state, inputs, delta_softplus, backend):
    """y and the new state."""
    request = steps.step_request(
        "scan_step", FRAMEWORK, state, inputs, delta_softplus, backend, "scan_backward"
    )
    return scan.step(request, state, inputs)


def scan2d_of_tracers(inputs, path, delta_softplus, merge, out_dtype, backend, order=None):
    """y."""
    function = ops2d.name_of(path)
    if order is not None:
        inputs = *inputs, as_operand(function, order, inputs[0], path)
    options = ops2d.switches(function, path, delta_softplus, merge, out_dtype, FRAMEWORK)
    request = ops2d.request(function, FRAMEWORK, inputs, options, backend, "scan2d_backward")
    ops2d.check_forward(request)
    return scan2d.scan2d(request, inputs)


def moved_of_tracers(function, array, path, merge, backend, order=None):
    """The result of gather or scatter."""
    if order is not None:
        order = as_operand(function, order, array, path)
    request = gathers.request(function, FRAMEWORK, array, path, merge, backend, order)
    gathers.check(request)
    return moves.move(request, array, order)


def as_operand(function, order, like, path):
    """Orders per sample (b, k, l), also of NumPy; of one table as many as `like` has samples."""
    if isinstance(order, np.ndarray):
        order = jnp.asarray(order)
    if not FRAMEWORK.owns(order):
        raise foreign(function, "path", order, FRAMEWORK)
    if order.ndim == 3:
        return order
    return jnp.broadcast_to(order, (like.shape[0], path.routes, path.length))
