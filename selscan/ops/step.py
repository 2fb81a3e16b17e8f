"""One step of a scan, for arrays of one framework; see scan.py for how a call is split."""

import functools
from typing import Any, NamedTuple

from ..arrays.layouts import Output
from . import contract, memory
from .scan import CACHED_SHAPES, layouts_of, request


class Call(NamedTuple):
    """A prepared step."""

    plan: Any  # None if there is nothing to scan
    given: tuple  # (index, name) of the inputs
    y: Output
    new: Output | None  # where the state is not updated in place
    apart: tuple | None = None  # the spans of the state and of the inputs


def check_step(request):
    """The layouts, `initial_state` the one of the state, the Problem, and y."""
    function, framework, _, found, softplus = request
    layouts = layouts_of(function, framework, contract.STEP_ARGUMENTS, found)
    layouts["initial_state"] = layouts.pop("state")
    problem = contract.check_step(function, layouts, softplus, framework.device(found[0]))
    return layouts, problem, framework.like(layouts["u"])


@functools.lru_cache(maxsize=CACHED_SHAPES)
def prepare_step(request):
    layouts, problem, y = check_step(request)
    framework, state = request.framework, layouts["initial_state"]
    new = framework.like(state) if framework.immutable else None
    given = tuple((i, n) for i, n in enumerate(contract.ARGUMENTS) if n in layouts)
    if problem.empty:
        return Call(None, given, y, new)
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    operands["y"] = y.layout, problem.axes["u"]
    operands["last_state"] = state if new is None else new.layout, contract.STATE_AXES
    apart = None
    if new is None:
        spans = tuple((n, *memory.span(x)) for n, x in layouts.items() if n != "initial_state")
        apart = memory.span(state), spans
    plan = request.backend.step_plan(problem, operands)
    return Call(plan, given, y, new, apart)


def step_request(function, framework, state, inputs, delta_softplus, backend, operator="scan_step"):
    """Look at the arguments of a step and check them; the backend must have the operator."""
    contract.check_flags(function, delta_softplus=delta_softplus)
    arrays = (*inputs, state)
    given = delta_softplus, backend, operator, contract.STEP_ARGUMENTS
    asked = request(function, framework, arrays, *given)
    prepare_step(asked)
    return asked


def step(request, state, inputs):
    """(y, state) of one step, in place on `state` where the framework lets arrays be written.

    `inputs` are in the order of contract.ARGUMENTS, without initial_state and seq_idx.
    """
    call = prepare_step(request)
    framework, new = request.framework, state
    arrays, address = (*inputs, state), framework.address
    addresses = {}
    if call.plan is not None:
        addresses = {name: address(arrays[i]) for i, name in call.given}
        if call.apart is not None:
            memory.check_apart(request.function, addresses, *call.apart)
    if call.new is None:
        framework.begin_update(request.function, "state", state)
    else:
        new = framework.allocate(call.new)
    y = framework.allocate(call.y)
    if call.plan is not None:
        addresses["y"] = address(y)
        addresses["last_state"] = addresses["initial_state"] if new is state else address(new)
        request.backend.launch(call.plan, addresses, framework.runs_on())
    return y, new
