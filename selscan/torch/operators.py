"""The scan as operators of torch: what compilers, modes and tensor subclasses see of a call.

    selscan::scan            [y], and the last state and those at `positions`, if wanted
    selscan::scan_forward    the same, the last state always; in front what a backward begins from
    selscan::scan_backward   the gradients of the inputs that are given
    selscan::scan_step       y; writes to `state`

Each has a kernel for tensors with data, and a fake one that checks the call and makes outputs of
the right sizes, strides and dtypes. What they do where a gradient may be asked for is added in
autograd.py.
"""

import contextlib
import functools
from math import prod
from typing import NamedTuple

import torch
from torch.utils.flop_counter import register_flop_formula

from .. import backends
from ..arrays.find import framework_of
from ..ops import contract
from ..ops import scan as ops
from ..ops import step as steps

FRAMEWORK = framework_of(torch.empty(0))

_INPUTS = len(contract.ARGUMENTS)
_ARRAYS = (
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? delta_bias, Tensor? initial_state, Tensor? seq_idx"
)
_OPTIONS = (
    "bool delta_softplus, bool reverse, str layout, ScalarType? out_dtype, int[]? positions, "
    "str? backend"
)


class Call(NamedTuple):
    """All of a call but its tensors."""

    function: str  # its name in messages
    options: ops.Switches
    backend: str | None

    @classmethod
    def of(cls, request):
        """The one that asks for the same."""
        return cls(request.function, request.options, request.backend.__name__.rpartition(".")[2])

    def constants(self):
        """The arguments of an operator behind its tensors."""
        softplus, reverse, layout, _, dtype, positions = self.options
        positions = None if positions is None else list(positions)
        return softplus, reverse, layout, dtype and getattr(torch, dtype), positions, self.backend


def split(function, arguments):
    """The Call and the inputs from the arguments of an operator."""
    *switches, positions, backend = arguments[_INPUTS:]
    positions = None if positions is None else tuple(positions)
    return _call(function, *switches, positions, backend), arguments[:_INPUTS]


@functools.lru_cache
def _call(function, *constants):
    *switches, positions, backend = constants
    return Call(function, ops.switches(function, *switches, FRAMEWORK, positions), backend)


def _request(call, inputs, operator):
    """For tensors with data; `operator` is what the backend must have."""
    return ops.request(call.function, FRAMEWORK, inputs, call.options, call.backend, operator)


def fake_request(call, inputs, operator, names=contract.ARGUMENTS):
    """For tensors without data; sizes may be symbolic, so nothing is cached by them."""
    found = ops.signatures(call.function, FRAMEWORK, names, inputs)
    device = FRAMEWORK.device(found[0])
    # Tensors on no device are described as on the CPU.
    device = "cpu" if device == "meta" else device
    module = backends.choose(call.function, operator, call.backend, device)
    module = ops.serving(module, call.options)
    return ops.Request(call.function, FRAMEWORK, module, found, call.options)


def empty_output(output, like):
    shape, strides, dtype = output.recipe
    return like.new_empty_strided(shape, strides, dtype=dtype)


def run_as_it_is(function):
    """Keep torch.compile away from a function that torch calls, and from all that this calls.

    Where a graph breaks, it would compile each function that is then called, these too.
    torch.compiler.disable keeps it away as well, but takes a second to import.
    """
    with contextlib.suppress(ImportError):
        from torch._C._dynamo.eval_frame import (
            _FrameAction,
            _FrameExecStrategy,
            set_code_exec_strategy,
        )

        skip = _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP)
        set_code_exec_strategy(function.__code__, skip)
    return function


def run_scan(*arguments):
    call, inputs = split("scan", arguments[:-1])
    want_last = arguments[-1]
    request = _request(call, inputs, "scan")
    y, last_state, _, states_at = ops.forward(request, inputs, want_last=want_last)
    return [x for x in (y, last_state, states_at) if x is not None]


def fake_scan(*arguments):
    call, inputs = split("scan", arguments[:-1])
    _, _, *outputs = ops.check_forward(fake_request(call, inputs, "scan"))
    wanted = True, arguments[-1], call.options.positions is not None
    pairs = zip(outputs, wanted, strict=True)
    return [empty_output(output, inputs[0]) for output, is_wanted in pairs if is_wanted]


def run_scan_forward(*arguments):
    call, inputs = split("scan", arguments)
    request = _request(call, inputs, "scan_backward")
    y, last_state, kept, states_at = ops.forward(request, inputs, keep_states=True, want_last=True)
    return [kept, y, last_state] if states_at is None else [kept, y, last_state, states_at]


def fake_scan_forward(*arguments):
    call, inputs = split("scan", arguments)
    request = fake_request(call, inputs, "scan_backward")
    _, problem, y, last_state, states_at = ops.check_forward(request)
    outputs = [ops.states_output(request, problem), y, last_state]
    outputs += [] if call.options.positions is None else [states_at]
    return [empty_output(output, inputs[0]) for output in outputs]


def run_scan_backward(dy, dlast_state, dstates_at, states, *arguments):
    call, inputs = split("scan_backward", arguments)
    request = _request(call, inputs, "scan_backward")
    gradients = ops.backward(request, inputs, dy, dlast_state, dstates_at, states)
    return [x for x in gradients if x is not None]


def fake_scan_backward(dy, dlast_state, dstates_at, states, *arguments):
    call, inputs = split("scan_backward", arguments)
    request = fake_request(call, inputs, "scan_backward")
    incoming = ops.signatures(call.function, FRAMEWORK, ops.UPSTREAM, (dy, dlast_state, dstates_at))
    *_, gradients = ops.check_backward(request, incoming)
    return [empty_output(output, inputs[0]) for output in gradients.values()]


def run_scan_step(state, *arguments):
    *inputs, softplus, backend = arguments
    request = steps.step_request("scan_step", FRAMEWORK, state, inputs, softplus, backend)
    return steps.step(request, state, inputs)[0]


def fake_scan_step(state, *arguments):
    *inputs, softplus, backend = arguments
    call = Call("scan_step", softplus, backend)
    request = fake_request(call, (*inputs, state), "scan_step", contract.STEP_ARGUMENTS)
    *_, y = steps.check_step(request)
    return empty_output(y, state)


def scan_flops(u, delta, A, B, C, D, z, *_, **__):
    """The papers' count, from shapes: nine for each state of each step, one each for D and z."""
    return prod(u) * (9 * A[1] + (D is not None) + (z is not None))


def scan_backward_flops(dy, dlast_state, dstates_at, states, *arguments, **_):
    """Twice the forward, as for a matrix product; once more where it has to run again."""
    return (3 if states is None else 2) * scan_flops(*arguments)


def scan_step_flops(state, *arguments, **_):
    return scan_flops(*arguments)


LIBRARY = torch.library.Library("selscan", "DEF")


def define(name, kernel, fake, flops, arguments, returns):
    """Define an operator."""
    # Outputs follow the strides of inputs: a compiler must not choose others than it traced with.
    tags = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_exact_strides)
    LIBRARY.define(f"{name}({arguments}) -> {returns}", tags=tags)
    LIBRARY.impl(name, run_as_it_is(kernel), "CompositeExplicitAutograd")
    torch.library.register_fake(f"selscan::{name}", run_as_it_is(fake), lib=LIBRARY)
    operator = getattr(torch.ops.selscan, name)
    formula = register_flop_formula(operator)(flops)
    for counter in _counters_at_work():
        counter.flop_registry[operator] = formula
    return operator.default


def _counters_at_work():
    """The FlopCounterModes around this import, which copied the table of formulas before."""
    try:
        from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
    except ImportError:
        return []
    found = (getattr(mode, "counter", None) for mode in _get_current_dispatch_mode_stack())
    return [x for x in found if hasattr(x, "flop_registry")]


SCAN = define(
    "scan",
    run_scan,
    fake_scan,
    scan_flops,
    f"{_ARRAYS}, {_OPTIONS}, bool return_last_state",
    "Tensor[]",
)
SCAN_FORWARD = define(
    "scan_forward",
    run_scan_forward,
    fake_scan_forward,
    scan_flops,
    f"{_ARRAYS}, {_OPTIONS}",
    "Tensor[]",
)
SCAN_BACKWARD = define(
    "scan_backward",
    run_scan_backward,
    fake_scan_backward,
    scan_backward_flops,
    f"Tensor dy, Tensor? dlast_state, Tensor? dstates_at, Tensor? states, {_ARRAYS}, {_OPTIONS}",
    "Tensor[]",
)
SCAN_STEP = define(
    "scan_step",
    run_scan_step,
    fake_scan_step,
    scan_step_flops,
    "Tensor(a!) state, Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
    "Tensor? delta_bias, bool delta_softplus, str? backend",
    "Tensor",
)


def scan_forward(call, inputs):
    """[kept, y, last_state] and states_at if wanted, by selscan::scan_forward."""
    return SCAN_FORWARD(*inputs, *call.constants())


def scan_backward(call, inputs, upstream, states=None):
    """Gradients in the order of ops.scan.GRADIENT_OF, by selscan::scan_backward."""
    found = iter(SCAN_BACKWARD(*upstream, states, *inputs, *call.constants()))
    return tuple(None if x is None else next(found) for x in inputs[: len(ops.GRADIENT_OF)])
