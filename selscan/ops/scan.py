"""The scan, its gradient and one step of it, for arrays of one framework.

Every call is split in two. What depends on shapes, strides, dtypes and options only - all checks,
the choice of tiles, the layout of the outputs - is computed once and cached (`_prepare_*`). What is
left for each call is to allocate outputs and to collect addresses.
"""

import functools
from typing import Any, NamedTuple

from .. import backends
from ..arrays.find import framework_of
from ..arrays.layouts import Layout, Output
from ..messages import fail, foreign
from . import contract, memory

GRADIENT_OF = {name: f"d{name}" for name in contract.ARGUMENTS if name != "seq_idx"}
UPSTREAM = ("dy", "dlast_state")
CACHED_SHAPES = 512


class Switches(NamedTuple):
    """The options of a call that kernels know about."""

    softplus: bool
    reverse: bool
    layout: str
    wide: bool = False  # float64 arithmetic whatever the dtypes
    out_dtype: str | None = None  # of y; None: that of u


class Request(NamedTuple):
    """A call without its data: all that its plan depends on."""

    function: str  # its name in messages
    framework: Any
    backend: Any  # module
    signatures: tuple  # of the inputs, None where not given
    options: Any


def switches(function, delta_softplus, reverse=False, layout="bdl", out_dtype=None, framework=None):
    """Check and bundle the options; `framework` knows what out_dtype means."""
    contract.check_flags(function, delta_softplus=delta_softplus, reverse=reverse)
    contract.check_layout(function, layout)
    if out_dtype is not None:
        name = framework.dtype_name(out_dtype)
        out_dtype = contract.check_out_dtype(function, name, out_dtype)
        framework.check_out_dtype(function, out_dtype)
    return Switches(delta_softplus, reverse, layout, False, out_dtype)


def framework_for(function, array, name):
    """The framework of the first argument, which all others must share."""
    framework = framework_of(array)
    if framework is None:
        raise foreign(function, name, array, None)
    return framework


def request(function, framework, inputs, options, backend, names=contract.ARGUMENTS):
    """Look at the inputs; an error names the first that is not an array of the framework."""
    found = signatures(function, framework, names, inputs)
    device = framework.device(found[0])
    module = backends.choose(function, backend, device)
    return Request(function, framework.on(device), module, found, options)


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
    """A prepared forward or step."""

    plan: Any  # None if there is nothing to scan
    given: tuple  # (index, name) of the inputs
    y: Output
    last_state: Output | None
    states: Output | None
    apart: tuple = ()  # of a step: the spans of the state and of the inputs


def check_forward(request):
    """The layouts of the inputs, the Problem, y and the last state; sizes may be symbolic."""
    function, framework, _, found, options = request
    layouts = layouts_of(function, framework, contract.ARGUMENTS, found)
    problem = contract.check(function, layouts, *options[:4], framework.device(found[0]))
    y = framework.like(layouts["u"], options.out_dtype)
    return layouts, problem, y, framework.output(problem.state_shape, problem.state_dtype)


def states_output(request, problem):
    """The states that a forward keeps for the backward, as the backend likes them."""
    size = request.backend.states_size(problem)
    return request.framework.output((size,), problem.real)


@functools.lru_cache(maxsize=CACHED_SHAPES)
def _prepare_forward(request, want_y):
    layouts, problem, y, last = check_forward(request)
    backend = request.backend
    given = tuple((i, n) for i, n in enumerate(contract.ARGUMENTS) if n in layouts)
    if problem.empty:
        return Call(None, given, y, last, request.framework.output((0,), problem.real))
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    if want_y:
        operands["y"] = y.layout, problem.axes["u"]
    operands["last_state"] = last.layout, contract.STATE_AXES
    plan = backend.forward_plan(problem, operands)
    return Call(plan, given, y, last, states_output(request, problem))


def forward(request, inputs, *, keep_states=False, want_last=False, want_y=True):
    """Scan `inputs` (in the order of contract.ARGUMENTS, None where not given).

    Returns (y, last_state, states), None for what is not wanted.
    """
    call = _prepare_forward(request, want_y)
    framework = request.framework
    y = framework.allocate(call.y) if want_y else None
    last_state = framework.allocate(call.last_state) if want_last else None
    states = framework.allocate(call.states) if keep_states else None
    if call.plan is None:
        if want_last:
            initial = inputs[contract.ARGUMENTS.index("initial_state")]
            framework.fill(last_state, 0 if initial is None else initial)
        return y, last_state, states
    address = framework.address
    addresses = {name: address(inputs[i]) for i, name in call.given}
    if want_y:
        addresses["y"] = address(y)
    if want_last:
        addresses["last_state"] = address(last_state)
    if keep_states and call.states.layout.shape != (0,):
        addresses["states"] = address(states)
    request.backend.launch(call.plan, addresses, framework.stream())
    return y, last_state, states


class BackwardCall(NamedTuple):
    """A prepared backward."""

    plan: Any
    given: tuple  # (index, name) of the inputs, dy and dlast_state
    states: Layout  # of the states that the forward kept
    gradients: tuple  # (name of the input, Output)
    direct: tuple  # (name of the input, result) that the kernel writes itself
    partial: tuple  # (name of the input, result, Output) summed over the leading axis afterwards
    scratch: Output | None = None  # that the kernels need besides
    sums: Any = None  # plan of those sums


def check_backward(request, incoming):
    """Layouts by name of the inputs and of dy and dlast_state, the Problem, and the gradients."""
    function, framework, _, found, options = request
    names = (*contract.ARGUMENTS, *UPSTREAM)
    layouts = layouts_of(function, framework, names, found + incoming)
    upstream = {n: layouts.pop(n) for n in UPSTREAM if n in layouts}
    problem = contract.check(function, layouts, *options[:4], framework.device(found[0]))
    contract.check_gradients(function, upstream, problem)
    gradients = {n: framework.like(x) for n, x in layouts.items() if n in GRADIENT_OF}
    return layouts, upstream, problem, gradients


@functools.lru_cache(maxsize=CACHED_SHAPES)
def _prepare_backward(request, incoming):
    layouts, upstream, problem, gradients = check_backward(request, incoming)
    framework, backend = request.framework, request.backend
    names = (*contract.ARGUMENTS, *UPSTREAM)
    given = tuple((i, n) for i, n in enumerate(names) if n in layouts or n in upstream)
    if problem.empty:
        states = framework.output((0,), problem.real).layout
        return BackwardCall(None, given, states, tuple(gradients.items()), (), ())
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["dy"] = upstream["dy"], problem.axes["u"]
    if "dlast_state" in upstream:
        operands["dlast_state"] = upstream["dlast_state"], contract.STATE_AXES
    slices, rows = backend.backward_parts(problem)
    direct, partial = [], []
    for name, output in gradients.items():
        result, axes = GRADIENT_OF[name], problem.axes[name]
        timed = axes[3] is not None
        if name in "BC" and timed:
            parts = slices
        else:
            parts = 1 if timed or name == "initial_state" else rows
        if parts == 1:
            operands[result] = output.layout, axes
            direct.append((name, result))
            continue
        is_complex = output.layout.dtype in contract.COMPLEX
        dtype = problem.state_dtype if is_complex else problem.real
        part = framework.output((parts, *output.layout.shape), dtype)
        partial.append((name, result, part))
        if timed:  # a part for each slice: the kernel adds the offset of its slice
            inner = Layout(output.layout.shape, part.layout.steps[1:], dtype)
            operands[result] = inner, axes
        else:  # a part for each batch entry, or several
            moved = tuple(None if a is None else a + 1 for a in axes[1:])
            operands[result] = part.layout, (0, *moved)
    plan = backend.backward_plan(problem, operands, {r: p.layout.steps[0] for _, r, p in partial})
    states = states_output(request, problem).layout
    size = backend.backward_scratch(problem)
    scratch = framework.output((size,), problem.real) if size else None
    sums = None
    if partial:
        pairs = [(part.layout, gradients[name].layout) for name, _, part in partial]
        sums = backend.sum_plan(problem, pairs)
    found = tuple(gradients.items()), tuple(direct), tuple(partial)
    return BackwardCall(plan, given, states, *found, scratch, sums)


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


def backward(request, inputs, dy, dlast_state, states=None):
    """Gradients of all given inputs, a tuple in the order of GRADIENT_OF.

    `states` are those that `forward` kept; without them the forward runs once more.
    """
    function, framework, backend, _, _ = request
    incoming = signatures(function, framework, UPSTREAM, (dy, dlast_state))
    if states is None and any(s and framework.is_wide(s) for s in incoming):
        request = request._replace(options=request.options._replace(wide=True))
    call = _prepare_backward(request, incoming)
    if states is not None:
        check_states(request, call.states, states)
    allocate, address = framework.allocate, framework.address
    gradients = {name: allocate(output) for name, output in call.gradients}
    if call.plan is None:
        for name, gradient in gradients.items():
            # Nothing was scanned: the last state is the initial one.
            passed_on = name == "initial_state" and dlast_state is not None
            framework.fill(gradient, dlast_state if passed_on else 0)
        return tuple(gradients.get(name) for name in GRADIENT_OF)
    arrays = (*inputs, dy, dlast_state)
    addresses = {name: address(arrays[i]) for i, name in call.given}
    if call.states.shape != (0,):
        if states is None:
            states = forward(request, inputs, keep_states=True, want_y=False)[2]
        addresses["states"] = address(states)
    if call.scratch is not None:
        scratch = allocate(call.scratch)
        addresses["carries"] = address(scratch)
    for name, result in call.direct:
        addresses[result] = address(gradients[name])
    parts = [(name, result, allocate(output)) for name, result, output in call.partial]
    for _, result, part in parts:
        addresses[result] = address(part)
    backend.launch(call.plan, addresses, framework.stream())
    if parts:
        backend.sum_parts(call.sums, framework, [(x, gradients[n]) for n, _, x in parts])
    return tuple(gradients.get(name) for name in GRADIENT_OF)
