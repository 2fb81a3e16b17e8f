"""The public functions where JAX transforms them: the same checks, then operations of XLA."""

from ..ops import gather as gathers
from ..ops import scan as ops
from ..ops import scan2d as ops2d
from ..ops import step as steps
from . import moves, scan, scan2d
from .arrays import FRAMEWORK


def scan_of_tracers(inputs, delta_softplus, reverse, layout, out_dtype, backend, return_last_state):
    """y, or (y, last state)."""
    ops.contract.check_flags("scan", return_last_state=return_last_state)
    options = ops.switches("scan", delta_softplus, reverse, layout, out_dtype, FRAMEWORK)
    request = ops.request("scan", FRAMEWORK, inputs, options, backend, "scan_backward")
    ops.check_forward(request)
    results = scan.scan(request, inputs, return_last_state)
    return tuple(results) if return_last_state else results[0]


def scan_backward_of_tracers(inputs, dy, dlast_state, delta_softplus, reverse, layout, backend):
    """Gradients of all given inputs, in the order of contract.ARGUMENTS."""
    options = ops.switches("scan_backward", delta_softplus, reverse, layout)
    given = options, backend, "scan_backward"
    request = ops.request("scan_backward", FRAMEWORK, inputs, *given)
    names, incoming = ops.UPSTREAM, (dy, dlast_state)
    found = ops.signatures("scan_backward", FRAMEWORK, names, incoming)
    if any(s and FRAMEWORK.is_wide(s) for s in found):
        request = request._replace(options=options._replace(wide=True))
    ops.check_backward(request, found)
    return scan.scan_backward(request, inputs, dy, dlast_state)


def scan_step_of_tracers(state, inputs, delta_softplus, backend):
    """y and the new state."""
    request = steps.step_request(
        "scan_step", FRAMEWORK, state, inputs, delta_softplus, backend, "scan_backward"
    )
    return scan.step(request, state, inputs)


def scan2d_of_tracers(inputs, path, delta_softplus, merge, out_dtype, backend):
    """y."""
    function = ops2d.name_of(path)
    options = ops2d.switches(function, path, delta_softplus, merge, out_dtype, FRAMEWORK)
    given = options, backend, "scan2d_backward", ops2d.ARGUMENTS
    request = ops.request(function, FRAMEWORK, inputs, *given)
    ops2d.check_forward(request)
    return scan2d.scan2d(request, inputs)


def moved_of_tracers(function, array, path, merge, backend):
    """The result of gather or scatter."""
    request = gathers.request(function, FRAMEWORK, array, path, merge, backend)
    gathers.check(request)
    return moves.move(request, array)
