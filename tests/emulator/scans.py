"""The scan of CUDA kernels on NumPy arrays: the plans of the backend, launched in the emulator."""

import functools

import ml_dtypes
import numpy as np
from tolerances import arithmetic, assert_within, expected, expected_gradients

from selscan.arrays.find import framework_of
from selscan.arrays.numpy import NumPyArrays
from selscan.backends import cupy
from selscan.backends.cupy import launches, plan, plan_backward
from selscan.backends.cupy.paste import SOURCES, paste
from selscan.ops import contract
from selscan.ops import scan as ops

from . import Module

DEVICE = plan.Device()
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@functools.cache
def function(file, name):
    """An instance, compiled alone: a test needs few of them."""
    kernel = Module(paste(file, SOURCES), [name], file=file).get_function(name)
    kernel.max_dynamic_shared_size_bytes = DEVICE.shared_per_block
    return kernel


def forward(
    *,
    delta_softplus=False,
    reverse=False,
    layout="bdl",
    out_dtype=None,
    mapping=None,
    wide=False,
    **inputs,
):
    """y and the last state; `mapping` instead of the one that planning picks."""
    options = delta_softplus, reverse, layout, out_dtype, mapping, wide
    plan, written, addresses = planned(*options, inputs)
    Emulated.launch(plan, addresses)
    return written["y"], written["last_state"]


def planned(softplus, reverse, layout, out_dtype, mapping, wide, inputs):
    """The plan of a forward, what it writes, full of NaN, and all addresses."""
    framework = framework_of(inputs["u"])
    layouts = layouts_of(framework, inputs)
    problem = contract.check("scan", layouts, softplus, reverse, layout, wide)
    y = framework.like(layouts["u"], out_dtype)
    last = framework.output(problem.state_shape, problem.state_dtype)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["y"] = y.layout, problem.axes["u"]
    operands["last_state"] = last.layout, contract.STATE_AXES
    plan = launches.forward_plan(problem, operands, DEVICE, mapping)
    size = launches.forward_scratch(problem, operands, DEVICE, mapping)
    outputs = {"y": y, "last_state": last, "carries": framework.output((size,), problem.real)}
    written = {name: poisoned(framework, output) for name, output in outputs.items()}
    addresses = {name: framework.address(x) for name, x in (inputs | written).items()}
    return plan, written, addresses


def step(state, *, delta_softplus=False, **inputs):
    """y and the state, which is updated in place."""
    framework = framework_of(inputs["u"])
    layouts = layouts_of(framework, inputs | {"initial_state": state})
    problem = contract.check_step("scan_step", layouts, delta_softplus)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    output = framework.like(layouts["u"])
    operands["y"] = output.layout, problem.axes["u"]
    operands["last_state"] = operands["initial_state"]
    plan, y = launches.step_plan(problem, operands), poisoned(framework, output)
    addresses = {name: framework.address(x) for name, x in inputs.items()}
    plan.launch(
        function(plan.file, plan.name),
        addresses | {"y": framework.address(y), "initial_state": framework.address(state)},
    )
    return y, state


class Emulated:
    """The backend with the mappings of the forward and of the backward that are asked for."""

    states_size = staticmethod(cupy.states_size)
    sum_plan = staticmethod(launches.sum_plan)

    def __init__(self, forward=None, backward=None):
        self._forward, self._backward = forward, backward

    def _mapping(self, problem):
        mapping = self._backward or plan_backward.choose(problem, DEVICE)
        # A block that walks adds to its part, which is a gradient itself if it is the only one.
        return mapping if plan_backward.slices(problem, mapping) > 1 else mapping._replace(walk=1)

    def forward_plan(self, problem, operands):
        return launches.forward_plan(problem, operands, DEVICE, self._forward)

    def forward_scratch(self, problem, operands):
        return launches.forward_scratch(problem, operands, DEVICE, self._forward)

    def backward_plan(self, problem, operands, part_steps):
        mapping = self._mapping(problem)
        return launches.backward_plans(problem, operands, part_steps, DEVICE, mapping)

    def backward_parts(self, problem):
        mapping = self._mapping(problem)
        return plan_backward.slices(problem, mapping), problem.batch * mapping.segments

    def backward_scratch(self, problem):
        shape = plan_backward.carries_shape(problem, self._mapping(problem))
        return int(np.prod(shape)) * (2 if problem.is_complex else 1)

    @staticmethod
    def launch(plan, addresses, runs_on=None):
        for one in plan if isinstance(plan, list) else (plan,):
            one.launch(function(one.file, one.name), addresses)


def backward(
    dy,
    dlast_state=None,
    *,
    delta_softplus=False,
    reverse=False,
    layout="bdl",
    mapping=None,
    forward=None,
    **inputs,
):
    """Gradients in the order of the inputs, those of arguments that are not given None."""
    arrays = tuple(inputs.get(name) for name in contract.ARGUMENTS)
    framework = Poisoned()
    options = ops.Switches(delta_softplus, reverse, layout)
    found = ops.signatures("scan_backward", framework, contract.ARGUMENTS, arrays)
    request = ops.Request("scan_backward", framework, Emulated(forward, mapping), found, options)
    return ops.backward(request, arrays, dy, dlast_state)


class Poisoned(NumPyArrays):
    """NumPy's arrays; new ones are full of NaN, integers of what is no pixel."""

    @staticmethod
    def allocate(output):
        array = NumPyArrays.allocate(output)
        array[...] = 2**30 if array.dtype.kind == "i" else np.nan
        return array


def layouts_of(framework, inputs):
    return {
        name: framework.layout("scan", name, framework.signature(x)) for name, x in inputs.items()
    }


def poisoned(framework, output):
    """An output full of NaN."""
    array = framework.allocate(output)
    array[...] = np.nan
    return array


def assert_right(problem, results):
    """y and the last state are those of the reference."""
    assert_within(results, *expected(problem), arithmetic(problem))


def assert_gradients_right(problem, gradients):
    """All gradients are those of the reference."""
    assert_within(gradients, *expected_gradients(problem), arithmetic(problem))
