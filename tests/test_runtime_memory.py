"""Memory that a call takes beyond its inputs and outputs: no array with a time and a state axis."""

import tracemalloc

import numpy as np
import pytest

import selscan
from selscan.arrays.layouts import Layout
from selscan.backends import cpu
from selscan.cases import CASES, Case, make_inputs
from selscan.ops import contract

LIMIT = 5e6  # bytes
LM = CASES["lm"]
KINDS = ("bdl", "bld", "sliced")


def inputs_of(kind, case=LM):
    """Inputs and options of a call; "sliced": parts of wider arrays, as after a projection."""
    inputs = make_inputs(case, layout="bld" if kind == "bld" else "bdl")
    if kind == "sliced":
        wide = {name: np.repeat(inputs[name], 2, axis=1) for name in ("u", "delta")}
        inputs |= {name: x[:, ::2] for name, x in wide.items()}
    return inputs | {"delta_softplus": True, "layout": "bld" if kind == "bld" else "bdl"}


def peak_of(function, *args, **keywords):
    """(result, bytes that were allocated at the same time) of a call after a first one."""
    function(*args, **keywords)
    tracemalloc.start()
    try:
        result = function(*args, **keywords)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def states_of(case):
    """Bytes of the states that a backward keeps."""
    shapes = {"u": (case.batch, case.dim, case.length), "A": (case.dim, case.d_state)}
    shapes |= {"delta": shapes["u"]}
    shapes |= dict.fromkeys("BC", (case.batch, case.groups, case.d_state, case.length))
    layouts = {name: Layout(s, (4,) * len(s), "float32") for name, s in shapes.items()}
    return 4 * cpu.states_size(contract.check("scan", layouts))


@pytest.mark.parametrize("kind", KINDS)
def test_the_forward_takes_little_memory(kind):
    y, peak = peak_of(selscan.scan, **inputs_of(kind))

    assert peak - y.nbytes < LIMIT


@pytest.mark.parametrize("kind", KINDS)
def test_the_backward_takes_the_kept_states_and_little_more(kind):
    inputs = inputs_of(kind)
    dy = np.ones_like(inputs["u"])

    grads, peak = peak_of(selscan.scan_backward, dy, **inputs)

    outputs = sum(x.nbytes for x in grads if x is not None)
    assert peak - outputs - states_of(LM) < LIMIT


def test_the_kept_states_are_a_small_part_of_what_autograd_would_keep():
    assert states_of(LM) < LM.batch * LM.dim * LM.length * LM.d_state * 4 / 50


def test_memory_does_not_grow_with_the_number_of_states_times_the_length():
    case = Case("many states", 1, 64, 4096, 64, 1, "")

    y, peak = peak_of(selscan.scan, **inputs_of("bdl", case))

    assert peak - y.nbytes < LIMIT < 4 * case.dim * case.length * case.d_state


def test_a_step_takes_little_memory():
    inputs = make_inputs(Case("decode", 1, 5120, 1, 16, 1, ""))
    inputs |= {name: inputs[name][..., 0] for name in ("u", "delta", "B", "C")}
    state = np.zeros((1, 5120, 16), np.float32)

    (y, _), peak = peak_of(selscan.scan_step, state, **inputs)

    assert peak - y.nbytes < 2**18
