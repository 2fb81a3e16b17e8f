"""Offsets and counts beyond 32 bits: arrays in memory that is only promised (sparse.py)."""

import numpy as np
import pytest
from strategies import make_problem, with_gradients

from selscan.arrays.layouts import Layout, dense_steps
from selscan.backends.cupy import launches, plan_backward
from selscan.backends.cupy.plan import Mapping
from selscan.ops import contract

from . import blocks_from, scans, sparse
from .scan_cases import with_sequences

SIZES = {"b": 2, "d": 6, "g": 2, "n": 3}
# Of sequences: no axis, time or channels, whose kernels load other vectors.
CONTIGUOUS = {"no axis": ("bdl", None), "time": ("bdl", -1), "channels": ("bld", -1)}
every_form = pytest.mark.parametrize("form", CONTIGUOUS)


def problem_of(form, l, reverse, packed):
    layout, contiguous = CONTIGUOUS[form]
    problem = make_problem(**SIZES, l=l, layout=layout, reverse=reverse)
    problem = with_gradients(with_sequences(problem, 3) if packed else problem)
    return sparse.far_problem(problem, contiguous)


@every_form
@pytest.mark.parametrize(("lanes", "l"), [(1, 48), (2, 33), (8, 40), (32, 52)])
def test_a_scan_follows_steps_of_more_than_four_gigabytes(lanes, l, form):
    problem = problem_of(form, l, reverse=lanes == 8, packed=lanes in (2, 32))
    problem = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}

    results = sparse.forward(problem, Mapping(lanes, 2, 1, 2))

    scans.assert_right(problem, results)


@every_form
@pytest.mark.parametrize("packed", [False, True])
def test_a_backward_follows_steps_of_more_than_four_gigabytes(packed, form):
    # Three chunks: states of two are kept.
    problem = problem_of(form, 84 if packed else 96, reverse=packed, packed=packed)
    mapping = plan_backward.Mapping(1, 1, 2, 2) if packed else plan_backward.Mapping(1, 1, 1, 2)

    gradients = sparse.backward(problem, Mapping(8, 2, 1, 2), mapping)

    scans.assert_gradients_right(problem, gradients)


def test_a_step_follows_steps_of_more_than_four_gigabytes():
    problem = make_problem(**SIZES, l=1)
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: step[x][..., 0] for x in ("u", "delta", "z", "B", "C")}
    initial = problem["initial_state"]
    state = sparse.empty(initial.shape, initial.dtype, sparse.nested_steps(initial.shape))
    state[...] = initial

    y, state = far_step(state, sparse.far_problem(step))

    scans.assert_right(problem, (y[..., None], state))


def far_step(state, step):
    """scans.step with y as far as u is."""
    framework, softplus = sparse.FarArrays(), step.pop("delta_softplus")
    layouts = scans.layouts_of(framework, step | {"initial_state": state})
    problem = contract.check_step("scan_step", layouts, softplus)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    output = framework.like(layouts["u"])
    operands["y"] = output.layout, problem.axes["u"]
    operands["last_state"] = operands["initial_state"]
    plan = launches.step_plan(problem, operands)
    y = sparse.empty(output.layout.shape, output.layout.dtype, output.layout.steps)
    y[-64:] = np.nan
    arrays = step | {"y": y, "initial_state": state}
    addresses = {name: framework.address(x) for name, x in arrays.items()}
    plan.launch(scans.function(plan.file, plan.name), addresses)
    return y, state


# ---- more threads than 32 bits count -----------------------------------------------------------

ROWS, N, LAST = 2**26 + 3, 32, 3  # of these only the last are computed


def dense(shape, fill=None):
    """An array in C order of which only the last rows have numbers."""
    array = sparse.empty(shape, np.float32, dense_steps(shape, range(len(shape)), 4))
    array[-LAST:] = np.nan if fill is None else fill(size=(LAST, *shape[1:]))
    return array


def test_a_step_counts_more_than_2_to_the_31_threads():
    rng = np.random.default_rng(0)
    step = {x: dense((ROWS, 1), rng.normal) for x in ("u", "delta")}
    step |= {x: dense((ROWS, N), rng.normal) for x in ("B", "C")}
    step |= {"A": -rng.random((1, N), np.float32), "delta_softplus": True}
    state = dense((ROWS, 1, N), rng.normal)
    last = {x: v[-LAST:, ..., None] for x, v in step.items() if x in ("u", "delta", "B", "C")}
    problem = last | {"A": step["A"], "delta_softplus": True}
    problem |= {"initial_state": state[-LAST:].copy()}

    with blocks_from(2**24):
        y, state = far_step(state, step)

    scans.assert_right(problem, (y[-LAST:, :, None], state[-LAST:]))


def test_sums_count_more_than_2_to_the_31_numbers():
    parts = sparse.empty((2, ROWS, N), np.float32, (sparse.FAR * 4, 4 * N, 4))
    result = dense((ROWS, N))
    parts[:, -LAST:] = np.random.default_rng(0).normal(size=(2, LAST, N))
    layouts = (Layout(x.shape, x.strides, "float32") for x in (parts, result))
    problem = type("Problem", (), {"device": "cpu", "state_dtype": "float32"})
    plan = launches.sum_plan(problem, [tuple(layouts)])

    with blocks_from(2**23):
        plan.launch(scans.function(plan.file, plan.name), [(parts.ctypes.data, result.ctypes.data)])

    assert np.array_equal(result[-LAST:], parts[0, -LAST:] + parts[1, -LAST:])
