"""The scan along the routes of a path and its gradient, for arrays of one framework.

As in scan.py, what depends on shapes, dtypes, options and the path is computed once and cached, for
as few calls as paths are kept: it is as large as a path.
"""

import functools
from typing import Any, NamedTuple

from ..arrays.layouts import Layout, Output
from ..messages import unserved
from ..paths.constant import KEPT
from . import contract, contract2d
from .contract2d import ARGUMENTS
from .path_contract import check_path
from .scan import Request, check_states, layouts_of, signatures, states_output

UPSTREAM = ("dy",)


class Switches(NamedTuple):
    """The options of a call that kernels know about."""

    path: Any
    softplus: bool
    merge: bool
    out_dtype: str | None = None
    wide: bool = False  # float64 arithmetic whatever the dtypes


class Sink(NamedTuple):
    """A result, and what the kernel writes in its place where that is something else."""

    name: str  # of the operand that the kernel writes
    output: Output
    parts: Output | None = None  # summed over the leading axis afterwards


class Call(NamedTuple):
    """A prepared forward or backward; its plan is None if there is nothing to scan."""

    plan: Any
    given: tuple  # (index, name) of the inputs, and of dy
    sinks: tuple
    states: Output | None = None


def switches(function, path, delta_softplus, merge, out_dtype=None, framework=None):
    """Check and bundle the options; `framework` knows what out_dtype means."""
    check_path(function, path)
    contract.check_flags(function, delta_softplus=delta_softplus, merge=merge)
    if out_dtype is not None:
        name = framework.dtype_name(out_dtype)
        out_dtype = contract.check_out_dtype(function, name, out_dtype)
        framework.check_out_dtype(function, out_dtype)
    return Switches(path, delta_softplus, merge, out_dtype)


def check_forward(request):
    """The layouts of the inputs, the Problem, and y; sizes may be symbolic."""
    function, framework, backend, found, options = request
    device = framework.device(found[0])
    if not hasattr(backend, "RoutesPlan"):
        raise unserved(function, "paths", device)
    layouts = layouts_of(function, framework, ARGUMENTS, found)
    path, softplus = options.path, options.softplus
    problem = contract2d.check(function, layouts, path, softplus, options.wide, device)
    like = contract2d.output_layout(layouts["u"], options.path, options.merge)
    return layouts, problem, framework.like(like, options.out_dtype)


def _sink(request, problem, operands, name, output, axes, parts):
    """How the kernel writes a result in `parts` parts; adds the operand to `operands`."""
    layout = output.layout
    if parts == 1:
        operands[name] = layout, axes
        return Sink(name, output)
    wide = problem.state_dtype if layout.dtype in contract.COMPLEX else problem.real
    part = request.framework.output((parts, *layout.shape), wide)
    if axes.b is None:  # a part for each batch element
        moved = (None if axis is None else axis + 1 for axis in axes[1:6])
        operands[name] = part.layout, contract2d.Axes(0, *moved)
    else:  # for each slice: the kernel adds the offset of its slice
        operands[name] = Layout(layout.shape, part.layout.steps[1:], wide), axes
    return Sink(name, output, part)


@functools.lru_cache(KEPT)
def _prepare_forward(request, keep_states, want_y):
    layouts, problem, y = check_forward(request)
    given = tuple((i, n) for i, n in enumerate(ARGUMENTS) if n in layouts)
    states = states_output(request, problem) if keep_states else None
    if problem.empty:
        states = request.framework.output((0,), problem.real) if keep_states else None
        return Call(None, given, (Sink("y", y),), states)
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    axes = contract2d.maps_axes(len(y.layout.shape), problem.routes > 1)
    sinks = (_sink(request, problem, operands, "y", y, axes, 1),) if want_y else ()
    return Call(request.backend.forward_plan(problem, operands), given, sinks, states)


def forward(request, inputs, *, keep_states=False, want_y=True):
    """(y, states) for `inputs` in the order of ARGUMENTS; None for what is not wanted."""
    call = _prepare_forward(request, keep_states, want_y)
    states = request.framework.allocate(call.states) if keep_states else None
    found = _run(request, call, inputs, states)
    return (found[0] if want_y else None), states


def _run(request, call, arrays, states):
    """Allocate the results, run the kernel, and sum up what it left in parts."""
    framework = request.framework
    results = [framework.allocate(sink.output) for sink in call.sinks]
    if call.plan is None:
        for result in results:
            framework.fill(result, 0)
        return results
    address = framework.address
    addresses = {name: address(arrays[i]) for i, name in call.given}
    if states is not None:
        addresses["states"] = address(states)
    summed = []
    for sink, result in zip(call.sinks, results, strict=True):
        written = result
        if sink.parts is not None:
            written = framework.allocate(sink.parts)
            summed.append((written, result))
        addresses[sink.name] = address(written)
    request.backend.launch(call.plan, addresses, framework.stream())
    for parts, result in summed:
        framework.sum_parts(parts, result)
    return results


def check_backward(request, incoming):
    """Layouts of the inputs and of dy, the Problem, and the gradients; sizes may be symbolic."""
    function, framework, _, found, options = request
    layouts = layouts_of(function, framework, (*ARGUMENTS, *UPSTREAM), found + incoming)
    dy = layouts.pop("dy")
    device = framework.device(found[0])
    path, softplus = options.path, options.softplus
    problem = contract2d.check(function, layouts, path, softplus, options.wide, device)
    y = contract2d.output_layout(layouts["u"], options.path, options.merge)
    contract2d.check_gradient(function, dy, y.shape)
    return layouts, dy, problem, {n: framework.like(x) for n, x in layouts.items()}


@functools.lru_cache(KEPT)
def _prepare_backward(request, incoming):
    layouts, dy, problem, gradients = check_backward(request, incoming)
    names = (*ARGUMENTS, *UPSTREAM)
    given = tuple((i, n) for i, n in enumerate(names) if n in layouts or n == "dy")
    if problem.empty:
        sinks = tuple(Sink(f"d{n}", output) for n, output in gradients.items())
        return Call(None, given, sinks, request.framework.output((0,), problem.real))
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["dy"] = dy, contract2d.maps_axes(len(dy.shape), problem.routes > 1)
    parts = {**dict.fromkeys("BC", request.backend.backward_slices(problem))}
    parts |= dict.fromkeys(("A", "D", "delta_bias"), problem.batch)
    sinks = tuple(
        _sink(request, problem, operands, f"d{n}", out, problem.axes[n], parts.get(n, 1))
        for n, out in gradients.items()
    )
    steps = {sink.name: sink.parts.layout.steps[0] for sink in sinks if sink.parts is not None}
    plan = request.backend.backward_plan(problem, operands, steps)
    return Call(plan, given, sinks, states_output(request, problem))


def backward(request, inputs, dy, states=None):
    """Gradients of all inputs, a tuple in the order of ARGUMENTS, None where not given.

    `states` are those that `forward` kept; without them the forward runs once more.
    """
    framework = request.framework
    incoming = signatures(request.function, framework, UPSTREAM, (dy,))
    if states is None and framework.is_wide(incoming[0]):
        request = Request(*request[:4], request.options._replace(wide=True))
    call = _prepare_backward(request, incoming)
    if states is not None:
        check_states(request, call.states.layout, states)
    elif call.plan is not None:
        states = forward(request, inputs, keep_states=True, want_y=False)[1]
    found = iter(_run(request, call, (*inputs, dy), states))
    return tuple(None if x is None else next(found) for x in inputs)
