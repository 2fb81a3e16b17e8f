"""The scan along a path as operators of torch, as operators.py has those of the scan.

    selscan::scan2d            y
    selscan::scan2d_forward    y, and the states that a backward begins from
    selscan::scan2d_backward   the gradients of the inputs that are given

A path is an argument as a text, which a saved graph holds in full; orders per sample are a tensor,
behind all others, and the size of the maps.
"""

from math import prod

import torch

from ..ops import scan2d as ops
from ..ops.orders import operator_for
from ..ops.scan import signatures, states_output
from ..paths import Path
from ..paths.keeping import keeping
from ..paths.per_sample import Orders
from . import operators
from .operators import FRAMEWORK, define, empty_output

_INPUTS = len(ops.ARGUMENTS)
_ARRAYS = (
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? delta_bias, "
    "str path, bool delta_softplus, bool merge, ScalarType? out_dtype, str? backend, "
    "Tensor? orders=None, SymInt[]? size=None"
)


class Call(operators.Call):
    """All of a call but its tensors."""

    __slots__ = ()

    def arguments(self, inputs):
        """The arguments of an operator."""
        path, softplus, merge, dtype, _ = self.options
        constants = softplus, merge, dtype and getattr(torch, dtype), self.backend
        return arguments_of(inputs, path, constants)


def arguments_of(inputs, path, constants):
    """The arguments of an operator; `constants` without the path."""
    if not isinstance(path, Orders):
        return *inputs, path.text, *constants
    *inputs, orders = inputs
    return *inputs, path.text, *constants, orders, list(path.size)


def split(arguments):
    """The Call and the inputs from the arguments of an operator."""
    inputs, (text, *constants) = arguments[:_INPUTS], arguments[_INPUTS:][:5]
    orders, size = (*arguments[_INPUTS + 5 :], None, None)[:2]
    if orders is None:
        return _call(text, *constants), inputs
    return _call_along(Orders(*orders.shape[1:], tuple(size)), *constants), (*inputs, orders)


@keeping
def _call(text, *constants):
    return _call_along(Path.from_text(text), *constants)


def _call_along(path, softplus, merge, dtype, backend):
    function = ops.name_of(path)
    options = ops.switches(function, path, softplus, merge, dtype, FRAMEWORK)
    return Call(function, options, backend)


def _request(call, inputs, operator):
    """For tensors with data; `operator` is what the backend must have."""
    return ops.request(call.function, FRAMEWORK, inputs, call.options, call.backend, operator)


def _fake_request(call, inputs, operator):
    path = call.options.path
    names = ops.arguments(path)
    return operators.fake_request(call, inputs, operator_for(path, operator), names)


def run_scan2d(*arguments):
    call, inputs = split(arguments)
    return ops.forward(_request(call, inputs, "scan2d"), inputs)[0]


def fake_scan2d(*arguments):
    call, inputs = split(arguments)
    return empty_output(ops.check_forward(_fake_request(call, inputs, "scan2d"))[2], inputs[0])


def run_scan2d_forward(*arguments):
    call, inputs = split(arguments)
    return ops.forward(_request(call, inputs, "scan2d_backward"), inputs, keep_states=True)


def fake_scan2d_forward(*arguments):
    call, inputs = split(arguments)
    request = _fake_request(call, inputs, "scan2d_backward")
    _, problem, y = ops.check_forward(request)
    return tuple(empty_output(x, inputs[0]) for x in (y, states_output(request, problem)))


def run_scan2d_backward(dy, states, *arguments):
    call, inputs = split(arguments)
    gradients = ops.backward(_request(call, inputs, "scan2d_backward"), inputs, dy, states)
    return [x for x in gradients if x is not None]


def fake_scan2d_backward(dy, states, *arguments):
    call, inputs = split(arguments)
    request = _fake_request(call, inputs, "scan2d_backward")
    incoming = signatures(call.function, FRAMEWORK, ops.UPSTREAM, (dy,))
    *_, gradients = ops.check_backward(request, incoming)
    return [empty_output(output, inputs[0]) for output in gradients.values()]


def scan2d_flops(u, delta, A, B, C, D, delta_bias, path, *constants, **_):
    """The papers' count, from shapes: nine for each state of each step, one for D."""
    orders = constants[4] if len(constants) > 4 else None
    table = Path.from_text(path).table.shape if orders is None else orders[1:]
    return u[0] * prod(table) * A[1] * (9 * A[2] + (D is not None))


def scan2d_backward_flops(dy, states, *arguments, **_):
    """Twice the forward, as for a matrix product; once more where it has to run again."""
    return (3 if states is None else 2) * scan2d_flops(*arguments)


SCAN2D = define("scan2d", run_scan2d, fake_scan2d, scan2d_flops, _ARRAYS, "Tensor")
SCAN2D_FORWARD = define(
    "scan2d_forward",
    run_scan2d_forward,
    fake_scan2d_forward,
    scan2d_flops,
    _ARRAYS,
    "(Tensor y, Tensor states)",
)
SCAN2D_BACKWARD = define(
    "scan2d_backward",
    run_scan2d_backward,
    fake_scan2d_backward,
    scan2d_backward_flops,
    f"Tensor dy, Tensor? states, {_ARRAYS}",
    "Tensor[]",
)


def scan2d_backward(call, inputs, dy, states=None):
    """Gradients in the order of the inputs, None where not given, by selscan::scan2d_backward."""
    found = iter(SCAN2D_BACKWARD(dy, states, *call.arguments(inputs)))
    return tuple(None if x is None else next(found) for x in inputs[:_INPUTS])
