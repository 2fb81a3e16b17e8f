"""The public functions for torch tensors, and the way that a call takes.

torch.compile, torch.export       an operator of operators.py, in the graph
a mode, a subclass, meta tensors  the operator too, so that they see it
a transform of torch.func         a Function around the operator
a gradient may be asked for       a Function around the kernel
otherwise                         the kernel

A compiled function guards, call after call, all that was looked at while it was traced, and most of
all that one module was found under two names: 1 us each. So what is traced here and in autograd.py
imports the functions of torch that it needs, and leaves the module itself to api.py.
"""

import torch
from torch import is_tensor
from torch.compiler import is_compiling

from .. import backends
from ..ops import contract
from ..ops import scan as ops
from ..ops import scan2d as ops2d
from ..ops import step as steps
from ..paths import Path
from ..paths.per_sample import Orders
from . import operators, operators2d, orders
from .autograd import (
    Scan,
    gradients_by_operator,
    ordinary,
    recorded_gradients,
    records,
    scan_by_operator,
    transforming,
)
from .autograd2d import OperatorScan2d, Scan2d
from .operators import FRAMEWORK


def scan_of_tensors(
    inputs, delta_softplus, reverse, layout, out_dtype, positions, backend, return_last_state
):
    """y, or (y, last_state), with states_at behind if wanted; recorded for a gradient."""
    if is_compiling():
        flags = delta_softplus, reverse, return_last_state
        is_dtype = out_dtype is None or isinstance(out_dtype, torch.dtype)
        fitting = isinstance(layout, str) and is_dtype and are_steps(positions)
        if fitting and fits(inputs, 5, flags, backend):
            constants = delta_softplus, reverse, layout, out_dtype
            y, *states = operators.SCAN(*inputs, *constants, positions, backend, return_last_state)
            return (y, *states) if states else y
    options = ops.switches("scan", delta_softplus, reverse, layout, out_dtype, FRAMEWORK, positions)
    if return_last_state is not True and return_last_state is not False:
        contract.check_flags("scan", return_last_state=return_last_state)
    if not ordinary(inputs):
        check_arrays("scan", inputs, backend)
        y, last, *states = scan_by_operator(operators.Call("scan", options, backend), inputs)
    else:
        recorded = records(inputs)
        operator = "scan_backward" if recorded else "scan"
        request = ops.request("scan", FRAMEWORK, inputs, options, backend, operator)
        if recorded:
            y, last, *states = Scan.apply(request, return_last_state, *inputs)
        else:
            y, last, _, *states = ops.forward(request, inputs, want_last=return_last_state)
        states = states if positions is not None else []
    states = [last, *states] if return_last_state else states
    return (y, *states) if states else y


def are_steps(positions):
    """Whether positions fit the schema of an operator."""
    if positions is None:
        return True
    if not isinstance(positions, (list, tuple)):
        return False
    return all(type(x) is int for x in positions)


def fits(arrays, needed, flags, backend):
    """Whether arguments fit the schema of an operator; the first `needed` arrays must be given.

    It looks at the arguments alone, to leave few guards. Those that do not fit are looked at again,
    where the errors are raised.
    """
    for i, x in enumerate(arrays):
        if not (is_tensor(x) or (x is None and i >= needed)):
            return False
    for flag in flags:
        if flag is not True and flag is not False:
            return False
    return backend is None or isinstance(backend, str)


def scan_step_of_tensors(state, inputs, delta_softplus, backend):
    """(y, state); in place on `state` unless a gradient may be asked for."""
    arrays = (state, *inputs)
    if ordinary(arrays):
        request = steps.step_request("scan_step", FRAMEWORK, state, inputs, delta_softplus, backend)
        if not records(arrays):
            return steps.step(request, state, inputs)
        return as_scan(state, inputs, delta_softplus, backend, direct=True)
    if not (is_compiling() and fits(arrays, 6, (delta_softplus,), backend)):
        contract.check_flags("scan_step", delta_softplus=delta_softplus)
        check_arrays("scan_step", (*inputs, state), backend, contract.STEP_ARGUMENTS)
    if records(arrays) or transforming():
        return as_scan(state, inputs, delta_softplus, backend, direct=False)
    return operators.SCAN_STEP(*arrays, delta_softplus, backend), state


def as_scan(state, inputs, delta_softplus, backend, direct):
    """A step as a scan of length 1, which has a gradient; the state returned is a new tensor."""
    u, delta, A, B, C, D, z, delta_bias = inputs
    batch, dtype = state.shape[0], state.dtype
    B, C = (x if x.dim() == 2 and x.shape[0] != batch else x.unsqueeze(-1) for x in (B, C))
    u, delta, z = (x if x is None else x.unsqueeze(-1) for x in (u, delta, z))
    inputs = (u, delta, A, B, C, D, z, delta_bias, state, None)
    options = ops.switches("scan_step", delta_softplus)
    if direct:
        request = ops.request("scan_step", FRAMEWORK, inputs, options, backend, "scan_backward")
        y, state, _ = Scan.apply(request, True, *inputs)
    else:
        y, state = scan_by_operator(operators.Call("scan_step", options, backend), inputs)
    return y.squeeze(-1), state.to(dtype)


def scan_backward_of_tensors(inputs, upstream, delta_softplus, reverse, layout, positions, backend):
    """Gradients of all given inputs, in the order of contract.ARGUMENTS."""
    options = ops.switches("scan_backward", delta_softplus, reverse, layout, positions=positions)
    if not ordinary((*inputs, *upstream)):
        check_arrays("scan_backward", inputs, backend)
        check_arrays("scan_backward", upstream, backend, ops.UPSTREAM)
        call = operators.Call("scan_backward", options, backend)
        return gradients_by_operator(call, inputs, upstream)
    given = options, backend, "scan_backward"
    request = ops.request("scan_backward", FRAMEWORK, inputs, *given)
    return recorded_gradients(request, inputs, upstream)


def scan2d_of_tensors(inputs, path, delta_softplus, merge, out_dtype, backend, order=None):
    """y, recorded if a gradient may be asked for."""
    if order is not None:
        inputs = *inputs, orders.as_tensor(ops2d.name_of(path), order, inputs[0], path)
    if is_compiling():
        is_dtype = out_dtype is None or isinstance(out_dtype, torch.dtype)
        fitting = fits(inputs, 5, (delta_softplus, merge), backend)
        if isinstance(path, Path | Orders) and is_dtype and fitting:
            constants = delta_softplus, merge, out_dtype, backend
            return operators2d.SCAN2D(*operators2d.arguments_of(inputs, path, constants))
    function = ops2d.name_of(path)
    options = ops2d.switches(function, path, delta_softplus, merge, out_dtype, FRAMEWORK)
    if not ordinary(inputs):
        check_arrays(function, inputs, backend, ops2d.arguments(path))
        call = operators2d.Call(function, options, backend)
        if transforming():
            return OperatorScan2d.apply(call, *inputs)[0]
        return operators2d.SCAN2D(*call.arguments(inputs))
    recorded = records(inputs)
    operator = "scan2d_backward" if recorded else "scan2d"
    asked = ops2d.request(function, FRAMEWORK, inputs, options, backend, operator)
    if recorded:
        return Scan2d.apply(asked, *inputs)
    return ops2d.forward(asked, inputs)[0]


def check_arrays(function, inputs, backend, names=contract.ARGUMENTS):
    """What the schema of an operator would refuse in words of its own."""
    ops.check_arrays(function, FRAMEWORK, names, inputs)
    if not is_compiling():
        for name, signature in zip(names, FRAMEWORK.signatures(inputs), strict=True):
            if signature is not None:
                FRAMEWORK.layout(function, name, signature)
    if backend is not None:
        backends.check_name(function, "backend", backend)
