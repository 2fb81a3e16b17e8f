"""The scan of CUDA kernels on NumPy arrays: the plans of the backend, launched in the emulator."""

import functools

import ml_dtypes
import numpy as np
from tolerances import arithmetic, assert_within, expected

from selscan.backends.cupy import launches, plan
from selscan.backends.cupy.paste import SOURCES, paste
from selscan.ops import contract
from selscan.ops.frameworks import framework_of

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
    plan, y, last, addresses = planned(
        delta_softplus, reverse, layout, out_dtype, mapping, wide, inputs
    )
    plan.launch(function(plan.file, plan.name), addresses)
    return y, last


def planned(softplus, reverse, layout, out_dtype, mapping, wide, inputs):
    """The plan of a forward, its outputs, full of NaN, and all addresses."""
    framework = framework_of(inputs["u"])
    layouts = layouts_of(framework, inputs)
    problem = contract.check("scan", layouts, softplus, reverse, layout, wide)
    y = framework.like(layouts["u"], out_dtype)
    last = framework.output(problem.state_shape, problem.state_dtype)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["y"] = y.layout, problem.axes["u"]
    operands["last_state"] = last.layout, contract.STATE_AXES
    plan = launches.forward_plan(problem, operands, DEVICE, mapping)
    outputs = {"y": poisoned(framework, y), "last_state": poisoned(framework, last)}
    addresses = {name: framework.address(x) for name, x in (inputs | outputs).items()}
    return plan, outputs["y"], outputs["last_state"], addresses


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
