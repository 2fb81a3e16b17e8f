"""The scan, its gradient and one step of it, for arrays of one framework.

Every call is split in two. What depends on shapes, strides, dtypes and options only - all checks,
the choice of tiles, the layout of the outputs - is computed once and cached (`prepare_*`). What is
left for each call is to allocate outputs and to collect addresses.
"""

import functools
from typing import Any, NamedTuple

from .. import backends
from ..arrays.find import framework_of
from ..arrays.layouts import Output
from ..messages import fail, foreign
from . import contract, memory, pieces, sinks

GRADIENT_OF = {name: f"d{name}" for name in contract.ARGUMENTS if name != "seq_idx"}
UPSTREAM = ("dy", "dlast_state", "dstates_at")
CACHED_SHAPES = 512


class Switches(NamedTuple):
    """The options of a call that kernels know about."""

    softplus: bool
    reverse: bool
    layout: str
    wide: bool = False  # float64 arithmetic whatever the dtypes
    out_dtype: str | None = None  # of y; None: that of u
    positions: tuple | None = None  # steps whose states are results


class Request(NamedTuple):
    """A call without its data: all that its plan depends on."""

    function: str  # its name in messages
    framework: Any
    backend: Any  # module
    signatures: tuple  # of the inputs, None where not given
    options: Any


def switches(
    function,
    delta_softplus,
    reverse=False,
    layout="bdl",
    out_dtype=None,
    framework=None,
    positions=None,
):
    """Check and bundle the options; `framework` knows what out_dtype means."""
    contract.check_flags(function, delta_softplus=delta_softplus, reverse=reverse)
    contract.check_layout(function, layout)
    if out_dtype is not None:
        name = framework.dtype_name(out_dtype)
        out_dtype = contract.check_out_dtype(function, name, out_dtype)
        framework.check_out_dtype(function, out_dtype)
    positions = contract.positions_of(function, positions)
    return Switches(delta_softplus, reverse, layout, False, out_dtype, positions)


def framework_for(function, array, name):
    """The framework of the first argument, which all others must share."""
    framework = framework_of(array)
    if framework is None:
        raise foreign(function, name, array, None)
    return framework


def request(
    function, framework, inputs, options, backend, operator="scan", names=contract.ARGUMENTS
):
    """Look at the inputs; an error names the first that is not an array of the framework.

    `operator` is what the backend must have.
    """
    found = signatures(function, framework, names, inputs)
    device = framework.device(found[0])
    module = serving(backends.choose(function, operator, backend, device), options)
    return Request(function, framework.on(device), module, found, options)


def serving(module, options):
    """A backend, or one that cuts scans for it where states are wanted and it cannot stop there."""
    positions = getattr(options, "positions", None)
    if positions and not getattr(module, "STOPS", False):
        return pieces.cutting(module)
    return module


def signatures(function, framework, names, arrays):
    """What the framework says of each array, None where it is not given."""
    found = framework.signatures(arrays)
    if () in found or found[0] is None:
        check_arrays(function, framework, names, arrays)
    return found


def check_arrays(function, framework, names, arrays):
    """Raise for the first that is not an array of the framework."""
    for name, array in zip(names, arrays, strict=True):
        if array is None and name not in contract.REQUIRED:
            continue
        if not framework.owns(array):
            raise foreign(function, name, array, framework)


def layouts_of(function, framework, names, found):
    """Layouts by name, all on one device."""
    given = {n: s for n, s in zip(names, found, strict=True) if s is not None}
    for name in names:
        if name in contract.REQUIRED and name not in given:
            raise foreign(function, name, None, framework)
    contract.check_devices(function, {n: framework.device(s) for n, s in given.items()})
    return {n: memory.in_64_bits(framework.layout(function, n, s)) for n, s in given.items()}


class Call(NamedTuple):
    """A prepared call."""

    plan: Any  # None if there is nothing to scan
    given: tuple  # (index, name) of the arrays that come in
    sinks: sinks.Sinks
    states: Output | None = None  # that a forward keeps, or a backward begins from
    scratch: Output | None = None  # that the kernels need besides
    numbers: dict | None = None  # constants that they need: Outputs of one element by their value
    states_at: Output | None = None  # without an element, which no kernel writes


def run(request, call, arrays, states=None):
    """Allocate the results of a call, run its kernels on arrays, and sum up what is in parts."""
    framework, backend = request.framework, request.backend
    address = framework.address
    results = call.sinks.allocate(framework)
    addresses, pairs = call.sinks.written(framework, results)
    for i, name in call.given:
        addresses[name] = address(arrays[i])
    if states is not None and call.states.layout.shape != (0,):
        addresses["states"] = address(states)
    if call.scratch is not None:
        scratch = framework.allocate(call.scratch)
        addresses["carries"] = address(scratch)
    numbers = []  # in use as long as this call takes
    for value, output in (call.numbers or {}).items():
        numbers.append(framework.allocate(output))
        framework.fill(numbers[-1], value)
        addresses[f"number {value}"] = address(numbers[-1])
    backend.launch(call.plan, addresses, framework.runs_on())
    if pairs:
        call.sinks.sum_up(backend, framework, pairs)
    return results


def checked(request, layouts):
    """The Problem of these layouts."""
    options, device = request.options, request.framework.device(request.signatures[0])
    return contract.check(
        request.function, layouts, *options[:4], device=device, positions=options.positions
    )


def check_forward(request):
    """The layouts of the inputs, the Problem, y, the last state and those at some steps.

    Sizes may be symbolic.
    """
    function, framework, _, found, options = request
    layouts = layouts_of(function, framework, contract.ARGUMENTS, found)
    problem = checked(request, layouts)
    y = framework.like(layouts["u"], options.out_dtype)
    shapes = problem.state_shape, problem.states_at_shape
    last, states_at = (framework.output(x, problem.state_dtype) for x in shapes)
    return layouts, problem, y, last, states_at


def states_output(request, problem):
    """The states that a forward keeps for the backward, as the backend likes them."""
    size = 0 if problem.empty else request.backend.states_size(problem)
    return request.framework.output((size,), problem.real)


@functools.lru_cache(maxsize=CACHED_SHAPES)
def prepare_forward(request, keep_states, want_last, want_y):
    layouts, problem, y, last, states_at = check_forward(request)
    given = tuple((i, n) for i, n in enumerate(contract.ARGUMENTS) if n in layouts)
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    outputs = [("y", y, problem.axes["u"])] if want_y else []
    # Whether or not it is wanted, the plan is the same.
    operands["last_state"] = last.layout, contract.STATE_AXES
    if want_last:
        outputs.append(("last_state", last, contract.STATE_AXES))
    if problem.positions:
        outputs.append(("states_at", states_at, contract.STATES_AT_AXES))
    written = sinks.results(operands, outputs)
    states = states_output(request, problem) if keep_states else None
    plan = None if problem.empty else request.backend.forward_plan(problem, operands)
    size = 0 if problem.empty else request.backend.forward_scratch(problem, operands)
    return Call(plan, given, written, states, *more_memory(request, problem, size), states_at)


def more_memory(request, problem, size):
    """What a kernel needs besides: scratch memory of some elements, and constants."""
    output = request.framework.output
    numbers = request.backend.NUMBERS if isinstance(request.backend, pieces.Cut) else ()
    scratch = output((size,), problem.real) if size else None
    return scratch, {value: output((2,), problem.real) for value in numbers}


def forward(request, inputs, *, keep_states=False, want_last=False, want_y=True):
    """Scan `inputs` (in the order of contract.ARGUMENTS, None where not given).

    Returns (y, last_state, states, states_at), None for what is not wanted: `states` are those that
    are kept for the backward, `states_at` those at the steps of the options.
    """
    call = prepare_forward(request, keep_states, want_last, want_y)
    framework = request.framework
    states = framework.allocate(call.states) if keep_states else None
    if call.plan is not None:
        found = iter(run(request, call, inputs, states))
    else:
        found = iter(call.sinks.allocate(framework))
    y = next(found) if want_y else None
    last_state = next(found) if want_last else None
    states_at = next(found, None)
    if states_at is None and request.options.positions is not None:
        states_at = framework.allocate(call.states_at)
    if call.plan is None and want_last:
        initial = inputs[contract.ARGUMENTS.index("initial_state")]
        framework.fill(last_state, 0 if initial is None else initial)
    return y, last_state, states, states_at


def check_backward(request, incoming):
    """Layouts by name of the inputs and of UPSTREAM, the Problem, and the gradients."""
    function, framework, _, found, options = request
    names = (*contract.ARGUMENTS, *UPSTREAM)
    layouts = layouts_of(function, framework, names, found + incoming)
    upstream = {n: layouts.pop(n) for n in UPSTREAM if n in layouts}
    if "dstates_at" in upstream and options.positions is None:
        fail(function, "return_states_at", "the steps that dstates_at belongs to", None)
    problem = checked(request, layouts)
    contract.check_gradients(function, upstream, problem)
    gradients = {n: framework.like(x) for n, x in layouts.items() if n in GRADIENT_OF}
    return layouts, upstream, problem, gradients


def backward_call(request, problem, names, operands, gradients):
    """The Call of a backward; `names` of all that may come in, `gradients` by input."""
    given = tuple((i, name) for i, name in enumerate(names) if name in operands)
    states = states_output(request, problem)
    if problem.empty:
        outputs = [(f"d{n}", output, problem.axes[n]) for n, output in gradients.items()]
        return Call(None, given, sinks.results(operands, outputs), states)
    written = sinks.gradients(request, problem, operands, gradients)
    plan = request.backend.backward_plan(problem, operands, sinks.part_steps(written))
    more = more_memory(request, problem, request.backend.backward_scratch(problem))
    return Call(plan, given, written, states, *more)


@functools.lru_cache(maxsize=CACHED_SHAPES)
def prepare_backward(request, incoming):
    layouts, upstream, problem, gradients = check_backward(request, incoming)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["dy"] = upstream["dy"], problem.axes["u"]
    if "dlast_state" in upstream:
        operands["dlast_state"] = upstream["dlast_state"], contract.STATE_AXES
    if "dstates_at" in upstream and problem.positions:
        operands["dstates_at"] = upstream["dstates_at"], contract.STATES_AT_AXES
    names = (*contract.ARGUMENTS, *UPSTREAM)
    return backward_call(request, problem, names, operands, gradients)


def check_states(request, expected, states):
    """What was kept by the forward, and may have gone through anybody's hands since."""
    function, framework, _, found, _ = request
    [got] = framework.signatures((states,))
    layout = framework.layout(function, "states", got)
    if layout != expected:
        wanted = f"{expected.shape}, {expected.dtype} and without gaps, as the forward made them"
        fail(function, "states", wanted, f"{layout.shape}, {layout.dtype}, steps {layout.steps}")
    devices = {"u": framework.device(found[0]), "states": framework.device(got)}
    contract.check_devices(function, devices)


def backward(request, inputs, dy, dlast_state, dstates_at=None, states=None):
    """Gradients of all given inputs, a tuple in the order of GRADIENT_OF.

    `states` are those that `forward` kept; without them the forward runs once more.
    """
    framework = request.framework
    upstream = dy, dlast_state, dstates_at
    incoming = signatures(request.function, framework, UPSTREAM, upstream)
    if states is None and any(s and framework.is_wide(s) for s in incoming):
        request = request._replace(options=request.options._replace(wide=True))
    call = prepare_backward(request, incoming)
    if states is not None:
        check_states(request, call.states.layout, states)
    if call.plan is None:
        gradients = call.sinks.allocate(framework)
        for sink, gradient in zip(call.sinks.all, gradients, strict=True):
            # Nothing was scanned: the last state is the initial one.
            passed_on = sink.name == "dinitial_state" and dlast_state is not None
            framework.fill(gradient, dlast_state if passed_on else 0)
    else:
        if states is None and call.states.layout.shape != (0,):
            states = forward(request, inputs, keep_states=True, want_y=False)[2]
        gradients = run(request, call, (*inputs, *upstream), states)
    found = iter(gradients)
    return tuple(None if x is None else next(found) for x in inputs[: len(GRADIENT_OF)])
