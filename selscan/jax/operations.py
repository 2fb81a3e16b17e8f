"""Forward and backward of a scan, along a path or not, as operations that vmap knows.

They take and return plain lists of arrays. Nothing differentiates them: gradients.py does.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ..arrays.rounding import narrowable
from ..backends.cpu import xla
from ..ops import scan as ops
from ..ops.contract import ARGUMENTS, STATE_AXES, STATES_AT_AXES
from ..paths.keeping import keeping
from . import calls
from .arrays import FRAMEWORK
from .batching import Place, over_batches
from .guards import once
from .manual import alike
from .partition import sharded


class Call(NamedTuple):
    """A scan of sequences without its arrays; scan2d.py has that of maps."""

    function: str
    options: Any
    backend: Any
    names: tuple  # of the arrays that are given

    arguments = ARGUMENTS
    states_axes = ("batch", "groups")  # of a Problem: the axes of kept states, before one more
    joins_channels = True

    @property
    def time(self):
        """The axis of time of u."""
        return 2 if self.options.layout == "bdl" else 1

    def trusted(self, inputs):
        """The inputs as kernels take them."""
        return inputs

    def inputs(self, arrays):
        """All arguments in their order, None where not given."""
        found = dict(zip(self.names, arrays, strict=True))
        return tuple(found.get(name) for name in self.arguments)

    def request(self, inputs):
        """What the plan of a call depends on."""
        found = tuple(x if x is None else FRAMEWORK.signature(x) for x in inputs)
        return ops.Request(self.function, FRAMEWORK, self.backend, found, self.options)

    def problem(self, arrays):
        """The Problem of the given arrays."""
        return self.check(self.request(self.inputs(arrays)))

    def check(self, request):
        return ops.check_forward(request)[1]

    def prepare_forward(self, request, keep_states, want_last, want_y):
        return ops.prepare_forward(request, keep_states, want_last, want_y)

    def prepare_backward(self, request, dy, dlast_state=None, dstates_at=None):
        upstream = dy, dlast_state, dstates_at
        return ops.prepare_backward(request, FRAMEWORK.signatures(upstream))

    @property
    def has_positions(self):
        """Whether states at some steps are results."""
        return self.options.positions is not None

    def places(self, problem):
        """Of the given arrays."""
        return [self.place(problem.axes[name]) for name in self.names]

    def place(self, axes):
        return Place(axes.b, axes.d if self.joins_channels else None)

    def states_place(self, problem):
        """Without B or C over time there are no groups that could be joined: one has them all."""
        if not self.joins_channels:
            return Place(0, None)
        return Place(0, None if problem.constant_b and problem.constant_c else 1, 2)

    def channels(self, *arrays):
        """Channels, their groups, and the channels of a vector (partition.py)."""
        problem = self.problem(arrays[: len(self.names)])
        return problem.dim, problem.groups, xla.lanes(problem.real)

    def operation(self, operation, places):
        """For vmap and for sharded arrays; its derivative is refused."""
        cut = sharded(self.function, operation, places, self.channels, self.time)
        return once(self.function, over_batches(cut, places))

    def differentiable(self):
        """Names of the given arrays that have a gradient."""
        return [name for name in self.names if name not in ("seq_idx", "path")]


@keeping
def forward(call, keep_states, want_last, want_y=True):
    """The operation [kept states, y, last state, states at steps], those that are wanted."""

    def operation(*arrays):
        inputs = call.inputs(arrays)
        request = call.request(inputs)
        problem = call.check(request)
        prepared = call.prepare_forward(request, keep_states, want_last, want_y)
        lead = [getattr(problem, name) for name in call.states_axes]
        if prepared.plan is None:
            states = [jnp.zeros((*lead, 0), problem.real)] * keep_states
            results = states + [_empty(x, inputs) for x in prepared.sinks.all]
            results += _without_steps(call, prepared)
            return alike([*results, *arrays])[: len(results)]
        results = calls.run(request, prepared, call.trusted(inputs), keep=keep_states)
        if keep_states:
            results.insert(0, results.pop().reshape(*lead, -1))
        nothing = _without_steps(call, prepared)
        return [*results, *alike([*nothing, *arrays])[: len(nothing)]]

    def places(*arrays):
        problem = call.problem(arrays)
        made = [call.states_place(problem)] * keep_states
        made += [call.place(problem.axes["u"])] * want_y + [call.place(STATE_AXES)] * want_last
        return call.places(problem), made + [call.place(STATES_AT_AXES)] * call.has_positions

    return call.operation(operation, places)


def _without_steps(call, prepared):
    """States at no steps, which are not among the results of a kernel."""
    if not call.has_positions or call.options.positions:
        return []
    shape, _, dtype = prepared.states_at.layout
    return [jnp.zeros(shape, dtype)]


def _empty(sink, inputs):
    """A result where there is nothing to scan: the last state is the initial one."""
    shape, _, dtype = sink.output.layout
    initial = inputs[ARGUMENTS.index("initial_state")] if sink.name == "last_state" else None
    return jnp.zeros(shape, dtype) if initial is None else initial.astype(dtype)


@keeping
def backward(call, given):
    """The operation that gives the gradients of `call.differentiable()`.

    Operands are the inputs, the states, dy and, as `given` says, dlast_state and dstates_at. The
    gradient of what
    has no batch axis is one for each batch element, in the dtype of the arithmetic, because vmap
    may have added to the batch.
    """

    def operation(*arrays):
        count = len(call.names)
        inputs, (states, *incoming) = call.inputs(arrays[:count]), arrays[count:]
        request = call.request(inputs)
        problem = call.check(request)
        others = iter(incoming[1:])
        incoming = [incoming[0], *(next(others) if x else None for x in given)]
        prepared = call.prepare_backward(request, *incoming)
        if prepared.plan is None:
            results = [_no_gradient(problem, x, incoming[1:]) for x in call.differentiable()]
            return alike([*results, *arrays])[: len(results)]
        assert states.size == prepared.states.layout.shape[0]
        arrays = *call.trusted(inputs), *incoming
        results = calls.run(request, prepared, arrays, states.ravel())
        pairs = zip(prepared.sinks.all, results, strict=True)
        return [_by_element(problem, sink, result) for sink, result in pairs]

    def places(*arrays):
        problem = call.problem(arrays[: len(call.names)])
        made = [call.place(_by_batch(problem.axes[name])) for name in call.differentiable()]
        axes = [STATE_AXES, STATES_AT_AXES][: len(given)]
        incoming = [call.place(x) for x, is_given in zip(axes, given, strict=True) if is_given]
        incoming.insert(0, call.place(problem.axes["u"]))
        return [*call.places(problem), call.states_place(problem), *incoming], made

    return call.operation(operation, places)


def _by_batch(axes):
    """The Axes of a gradient of `backward`."""
    return axes.stacked() if axes.b is None else axes


def _wide(problem, dtype):
    """The dtype in which gradients of a dtype are summed."""
    return problem.state_dtype if dtype.startswith("complex") else problem.real


def _by_element(problem, sink, result):
    """A gradient of `backward` from what the kernel wrote."""
    dtype = jnp.dtype(sink.output.layout.dtype)
    if problem.axes[sink.name.removeprefix("d")].b is not None:
        return result if sink.parts is None else narrowable(result.sum(0), dtype).astype(dtype)
    return (result[None] if sink.parts is None else result).astype(_wide(problem, dtype.name))


def _no_gradient(problem, name, dlast_state):
    """A gradient where there was nothing to scan: the last state was the initial one."""
    shape, _, dtype = problem.layouts[name]
    if name == "initial_state" and dlast_state and dlast_state[0] is not None:
        last = dlast_state[0]
        last = last if dtype.startswith("complex") else last.real
        return narrowable(last, jnp.dtype(dtype)).astype(dtype)
    if problem.axes[name].b is not None:
        return jnp.zeros(shape, dtype)
    return jnp.zeros((problem.batch, *shape), _wide(problem, dtype))
