"""The scan, its gradient and one step of it, for arrays of one framework.

Every call is split in two. What depends on shapes, strides, dtypes and options only - all checks,
the choice of tiles, the layout of the outputs - is computed once and cached (`_prepare_*`). What is
left for each call is to allocate outputs and collect addresses.
"""

import functools
from typing import NamedTuple

import numpy as np

from .. import backends
from . import contract
from .arrays import Layout, dense_order, dense_steps, framework_of

GRADIENT_OF = {
    "u": "du",
    "delta": "ddelta",
    "A": "dA",
    "B": "dB",
    "C": "dC",
    "D": "dD",
    "z": "dz",
    "delta_bias": "ddelta_bias",
    "initial_state": "dinitial_state",
}
_CACHED_SHAPES = 512


class Output(NamedTuple):
    """An array to allocate."""

    shape: tuple
    order: tuple  # axes from slowest to fastest in memory
    dtype: str

    def layout(self):
        steps = dense_steps(self.shape, self.order, np.dtype(self.dtype).itemsize)
        return Layout(self.shape, steps, self.dtype)

    def allocate(self, framework):
        return framework.empty(self.shape, self.order, self.dtype)


class Switches(NamedTuple):
    """The options of a call that kernels know about."""

    softplus: bool
    reverse: bool
    layout: str
    wide: bool = False  # float64 arithmetic whatever the dtypes


def switches(function, delta_softplus, reverse=False, layout="bdl"):
    """Check and bundle the options."""
    contract.check_flags(function, delta_softplus=delta_softplus, reverse=reverse)
    contract.check_layout(function, layout)
    return Switches(delta_softplus, reverse, layout)


def signatures(function, framework, names, arrays):
    """What plans are cached by; an error names the first array of another kind."""
    found = []
    for name, array in zip(names, arrays, strict=True):
        if array is None and name not in contract.REQUIRED:
            found.append(None)
        elif framework.owns(array):
            found.append(framework.signature(array))
        else:
            raise contract.foreign(function, name, array, framework)
    return tuple(found)


def framework_for(function, u, name="u"):
    """The framework of the first argument, which all others must share."""
    framework = framework_of(u)
    if framework is None:
        raise contract.foreign(function, name, u, None)
    return framework


def _layouts(function, framework, names, found):
    """Layouts by name; checks what a framework cannot lend (device, subclass, misalignment)."""
    layouts, devices = {}, {}
    for name, signature in zip(names, found, strict=True):
        if signature is not None:
            layouts[name] = framework.layout(signature)
            devices[name] = framework.device(signature)
    contract.check_devices(function, devices)
    return layouts


class ForwardCall(NamedTuple):
    plan: object
    given: tuple  # (index, name) of the operands
    y: Output
    last_state: Output
    states: Output | None


@functools.lru_cache(maxsize=_CACHED_SHAPES)
def _prepare_forward(function, backend, framework, found, options, keep_states, want_y):
    layouts = _layouts(function, framework, contract.ARGUMENTS, found)
    problem = contract.check(function, layouts, *options)
    u = layouts["u"]
    y = Output(u.shape, dense_order(u.shape, u.steps), u.dtype)
    last = Output(problem.state_shape, (0, 1, 2), problem.real)
    given = tuple((i, n) for i, n in enumerate(contract.ARGUMENTS) if n in layouts)
    if problem.empty:
        return ForwardCall(None, given, y, last, None)
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    if want_y:
        operands["y"] = y.layout(), problem.axes["u"]
    operands["last_state"] = last.layout(), (0, 1, 2, None)
    plan = backend.forward_plan(problem, operands)
    states = Output((backend.states_size(problem),), (0,), problem.real) if keep_states else None
    return ForwardCall(plan, given, y, last, states)


def forward(
    function, framework, inputs, options, backend=None, *, keep_states=False, want_last=False,
    want_y=True,
):  # fmt: skip
    """Run the scan on `inputs` (in the order of contract.ARGUMENTS, None where not given).

    Returns (y, last_state, states), None for what is not wanted.
    """
    found = signatures(function, framework, contract.ARGUMENTS, inputs)
    module = backends.choose(function, backend, framework.device(found[0]))
    call = _prepare_forward(function, module, framework, found, options, keep_states, want_y)
    y = call.y.allocate(framework) if want_y else None
    last_state = call.last_state.allocate(framework) if want_last else None
    if call.plan is None:
        if want_last:
            initial = inputs[-1]
            framework.numpy(last_state)[...] = 0 if initial is None else framework.numpy(initial)
        return y, last_state, None
    addresses = {name: framework.address(inputs[i]) for i, name in call.given}
    if want_y:
        addresses["y"] = framework.address(y)
    if want_last:
        addresses["last_state"] = framework.address(last_state)
    states = None
    if keep_states:
        states = call.states.allocate(framework)
        addresses["states"] = framework.address(states)
    module.scan_forward(call.plan, addresses)
    return y, last_state, states


class BackwardCall(NamedTuple):
    plan: object
    given: tuple
    outputs: dict  # name of the argument -> Output, its gradient
    direct: tuple  # (argument, result) the kernel writes itself
    partial: tuple  # (argument, result, Output of the parts, axes of a part in the gradient)


@functools.lru_cache(maxsize=_CACHED_SHAPES)
def _prepare_backward(function, backend, framework, found, options):
    names = (*contract.ARGUMENTS, "dy", "dlast_state")
    layouts = _layouts(function, framework, names, found)
    gradients = {n: layouts.pop(n) for n in ("dy", "dlast_state") if n in layouts}
    problem = contract.check(function, layouts, *options)
    contract.check_gradients(function, gradients, problem)
    outputs = {
        name: Output(x.shape, dense_order(x.shape, x.steps), x.dtype)
        for name, x in layouts.items()
    }
    given = tuple((i, n) for i, n in enumerate(names) if n in layouts or n in gradients)
    if problem.empty:
        return BackwardCall(None, given, outputs, (), ())
    direct, partial = [], []
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["dy"] = gradients["dy"], problem.axes["u"]
    if "dlast_state" in gradients:
        operands["dlast_state"] = gradients["dlast_state"], (0, 1, 2, None)
    slices = backend.backward_slices(problem)
    for name, output in outputs.items():
        result, axes = GRADIENT_OF[name], problem.axes[name]
        timed = axes[3] is not None
        parts = slices if name in "BC" and timed else problem.batch
        if (timed and name not in "BC") or name == "initial_state" or parts == 1:
            operands[result] = output.layout(), axes
            direct.append((name, result))
            continue
        # One part for each slice (B and C with a time axis) or batch entry, summed afterwards.
        shape = (parts, *output.shape)
        part = Output(shape, tuple(range(len(shape))), problem.real)
        layout = part.layout()
        if timed:
            operands[result] = Layout(output.shape, layout.steps[1:], problem.real), axes
        else:
            moved = tuple(None if a is None else a + 1 for a in axes[1:])
            operands[result] = layout, (0, *moved)
        partial.append((name, result, part))
    plan = backend.backward_plan(problem, operands, {r: p.layout().steps[0] for _, r, p in partial})
    return BackwardCall(plan, given, outputs, tuple(direct), tuple(partial))


def backward(function, framework, inputs, dy, dlast_state, options, states=None, backend=None):
    """Gradients of all given inputs, a tuple in the order of contract.ARGUMENTS.

    `states` are those that `forward` kept; without them the forward runs once more.
    """
    names = (*contract.ARGUMENTS, "dy", "dlast_state")
    arrays = (*inputs, dy, dlast_state)
    if dy is None:
        raise contract.foreign(function, "dy", dy, framework)
    found = signatures(function, framework, names, arrays)
    if states is None:
        options = options._replace(wide=_any_wide(framework, found[-2:]))
    module = backends.choose(function, backend, framework.device(found[0]))
    call = _prepare_backward(function, module, framework, found, options)
    gradients = {name: output.allocate(framework) for name, output in call.outputs.items()}
    if call.plan is None:
        for name, gradient in gradients.items():
            # Nothing was scanned: the last state is the initial one.
            passed_on = name == "initial_state" and dlast_state is not None
            framework.numpy(gradient)[...] = framework.numpy(dlast_state) if passed_on else 0
        return tuple(gradients.get(name) for name in contract.ARGUMENTS)
    if states is None:
        states = forward(
            function, framework, inputs, options, backend, keep_states=True, want_y=False
        )[2]
    addresses = {name: framework.address(arrays[i]) for i, name in call.given}
    addresses["states"] = framework.address(states)
    for name, result in call.direct:
        addresses[result] = framework.address(gradients[name])
    parts = []
    for name, result, output in call.partial:
        part = workspace(output.shape, output.dtype)
        parts.append((name, part))
        addresses[result] = part.__array_interface__["data"][0]
    module.scan_backward(call.plan, addresses)
    for name, part in parts:
        np.sum(part, axis=0, out=framework.numpy(gradients[name]), dtype=part.dtype)
    return tuple(gradients.get(name) for name in contract.ARGUMENTS)


def _any_wide(framework, found):
    return any(s is not None and framework.layout(s).dtype == "float64" for s in found)


def check_step(function, framework, state, inputs, delta_softplus):
    """The checks of `step` alone."""
    contract.check_flags(function, delta_softplus=delta_softplus)
    found = signatures(function, framework, _STEP_ARGUMENTS, (*inputs, state))
    module = backends.choose(function, None, framework.device(found[0]))
    _prepare_step(function, module, framework, found, delta_softplus)


def step(function, framework, state, inputs, delta_softplus, backend=None):
    """One step in place on `state`; `inputs` in the order of contract.ARGUMENTS but its last."""
    contract.check_flags(function, delta_softplus=delta_softplus)
    arrays = (*inputs, state)
    found = signatures(function, framework, _STEP_ARGUMENTS, arrays)
    module = backends.choose(function, backend, framework.device(found[0]))
    call = _prepare_step(function, module, framework, found, delta_softplus)
    framework.check_writable(function, "state", state)
    y = call.y.allocate(framework)
    if call.plan is not None:
        addresses = {name: framework.address(arrays[i]) for i, name in call.given}
        addresses["y"] = framework.address(y)
        addresses["last_state"] = addresses["initial_state"]
        module.scan_forward(call.plan, addresses)
    return y, state


@functools.lru_cache(maxsize=_CACHED_SHAPES)
def _prepare_step(function, backend, framework, found, softplus):
    layouts = _layouts(function, framework, _STEP_ARGUMENTS, found)
    layouts["initial_state"] = state = layouts.pop("state")
    if any(n > 1 and step == 0 for n, step in zip(state.shape, state.steps, strict=True)):
        raise ValueError(f"{function}: state must not share memory between elements (broadcast).")
    problem = contract.check_step(function, layouts, softplus)
    u = layouts["u"]
    y = Output(u.shape, dense_order(u.shape, u.steps), u.dtype)
    given = tuple((i, n) for i, n in enumerate(contract.ARGUMENTS) if n in layouts)
    if problem.empty:
        return ForwardCall(None, given, y, None, None)
    operands = {name: (layouts[name], problem.axes[name]) for _, name in given}
    operands["y"] = y.layout(), problem.axes["u"]
    operands["last_state"] = state, problem.axes["initial_state"]
    return ForwardCall(backend.forward_plan(problem, operands), given, y, None, None)


_STEP_ARGUMENTS = (*contract.ARGUMENTS[:-1], "state")


def workspace(shape, dtype):
    """An uninitialised array for partial sums."""
    return np.empty(shape, dtype)
