"""The scan along the routes of a path and its gradient, for arrays of one framework.

As in scan.py, what depends on shapes, dtypes, options and the path is computed once and cached, for
as few calls as paths are kept: it is as large as a path.
"""

from typing import Any, NamedTuple

from ..paths.keeping import keeping
from . import contract, contract2d, orders, scan, sinks
from .contract2d import ARGUMENTS as ARGUMENTS
from .contract2d import arguments
from .path_contract import check_path
from .scan import (
    Call,
    backward_call,
    check_states,
    layouts_of,
    run,
    signatures,
    states_output,
)

UPSTREAM = ("dy",)


class Switches(NamedTuple):
    """The options of a call that kernels know about."""

    path: Any
    softplus: bool
    merge: bool
    out_dtype: str | None = None
    wide: bool = False  # float64 arithmetic whatever the dtypes


def name_of(path):
    """The public function for a path."""
    return f"scan{len(path.size)}d"


def switches(function, path, delta_softplus, merge, out_dtype=None, framework=None):
    """Check and bundle the options; `framework` knows what out_dtype means."""
    check_path(function, path)
    contract.check_flags(function, delta_softplus=delta_softplus, merge=merge)
    if out_dtype is not None:
        name = framework.dtype_name(out_dtype)
        out_dtype = contract.check_out_dtype(function, name, out_dtype)
        framework.check_out_dtype(function, out_dtype)
    return Switches(path, delta_softplus, merge, out_dtype)


def request(function, framework, inputs, options, backend, operator):
    """Look at the inputs, in the order of `arguments`; `operator` is what the backend must have."""
    path = options.path
    operator = orders.operator_for(path, operator)
    names = arguments(path)
    return scan.request(function, framework, inputs, options, backend, operator, names)


def _problem(request, layouts):
    """The Problem of these layouts."""
    function, framework, _, found, options = request
    device = framework.device(found[0])
    switches = options.path, options.softplus, options.wide
    return contract2d.check(function, layouts, *switches, device, options.merge)


def check_forward(request):
    """The layouts of the inputs, the Problem, and y; sizes may be symbolic."""
    function, framework, _, found, options = request
    layouts = layouts_of(function, framework, arguments(options.path), found)
    problem = _problem(request, layouts)
    like = contract2d.output_layout(layouts["u"], options.path, options.merge)
    return layouts, problem, framework.like(like, options.out_dtype)


@keeping
def prepare_forward(request, keep_states, want_y):
    layouts, problem, y = check_forward(request)
    given = tuple((i, n) for i, n in enumerate(arguments(problem.path)) if n in layouts)
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    axes = contract2d.maps_axes(len(y.layout.shape), problem.path)
    written = sinks.results(operands, [("y", y, axes)] if want_y else [])
    states = states_output(request, problem) if keep_states else None
    if problem.empty:
        return Call(None, given, written, states)
    plan = request.backend.forward_plan(problem, operands)
    size = request.backend.forward_scratch(problem, operands)
    scratch = request.framework.output((size,), problem.real) if size else None
    return Call(plan, given, written, states, scratch)


def forward(request, inputs, *, keep_states=False, want_y=True):
    """(y, states) for `inputs` in the order of ARGUMENTS; None for what is not wanted."""
    call = prepare_forward(request, keep_states, want_y)
    states = request.framework.allocate(call.states) if keep_states else None
    found = _results(request, call, _checked(request, inputs), states)
    return (found[0] if want_y else None), states


def _checked(request, arrays):
    """The arrays with orders per sample, which are behind the ARGUMENTS, in a form to trust."""
    path, at = request.options.path, len(ARGUMENTS)
    if path.table is not None:
        return arrays
    return *arrays[:at], orders.checked(request, path, arrays[at]), *arrays[at + 1 :]


def _results(request, call, arrays, states):
    """The results of a call, zeros if there is nothing to scan."""
    if call.plan is not None:
        return run(request, call, arrays, states)
    results = call.sinks.allocate(request.framework)
    for result in results:
        request.framework.fill(result, 0)
    return results


def _are_of_use(request, wanted, states):
    """Whether states are wanted and were kept.

    Of a backend that may keep none: that may depend on how arrays lie, which may have changed.
    """
    framework = request.framework
    if not getattr(request.backend, "MAY_KEEP_NONE", False):
        return True
    [found] = framework.signatures((states,))
    return (0,) not in (wanted.shape, framework.layout(request.function, "states", found).shape)


def check_backward(request, incoming):
    """Layouts of the inputs and of dy, the Problem, and the gradients; sizes may be symbolic."""
    function, framework, _, found, options = request
    names = *arguments(options.path), *UPSTREAM
    layouts = layouts_of(function, framework, names, found + incoming)
    dy = layouts.pop("dy")
    problem = _problem(request, layouts)
    y = contract2d.output_layout(layouts["u"], options.path, options.merge)
    contract2d.check_gradient(function, dy, y.shape)
    gradients = {n: framework.like(x) for n, x in layouts.items() if n in ARGUMENTS}
    return layouts, dy, problem, gradients


@keeping
def prepare_backward(request, incoming):
    layouts, dy, problem, gradients = check_backward(request, incoming)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["dy"] = dy, contract2d.maps_axes(len(dy.shape), problem.path)
    names = *arguments(problem.path), *UPSTREAM
    return backward_call(request, problem, names, operands, gradients)


def backward(request, inputs, dy, states=None):
    """Gradients of the inputs, a tuple in the order of ARGUMENTS, None where not given.

    `states` are those that `forward` kept; without them the forward runs once more.
    """
    framework = request.framework
    incoming = signatures(request.function, framework, UPSTREAM, (dy,))
    if states is None and framework.is_wide(incoming[0]):
        request = request._replace(options=request.options._replace(wide=True))
    call = prepare_backward(request, incoming)
    if states is not None and not _are_of_use(request, call.states.layout, states):
        states = None
    if states is not None:
        check_states(request, call.states.layout, states)
    elif call.plan is not None and call.states.layout.shape != (0,):
        states = forward(request, inputs, keep_states=True, want_y=False)[1]
    found = iter(_results(request, call, _checked(request, (*inputs, dy)), states))
    return tuple(None if x is None else next(found) for x in inputs[: len(ARGUMENTS)])
