"""The operators that torch sees: they pass torch's own checks, and are counted."""

import pytest
from processes import run_python
from strategies import OPTIONAL
from tensors import INPUTS, assert_equal, detached, random_like, step_of, tensors_of, torch
from torch.library import opcheck
from torch.utils.flop_counter import FlopCounterMode

import selscan
import selscan.torch
from selscan.ops.contract import ARGUMENTS

OPERATORS = torch.ops.selscan
B, D, L, N = 2, 5, 9, 4  # sizes of the problems here
SCAN_FLOPS = 9 * B * D * L * N + 2 * B * D * L  # with D and z


def inputs_of(tensors, options, positions=None):
    """The arguments that the operators of a scan share."""
    switches = options["delta_softplus"], options["reverse"], options["layout"]
    constants = *switches, None, positions, None
    return *(tensors.get(x) for x in ARGUMENTS), *constants


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("given", [(), OPTIONAL], ids=["required", "all"])
@pytest.mark.parametrize("return_last_state", [False, True])
def test_scan_passes_the_checks_of_torch(return_last_state, given, layout):
    tensors, options = tensors_of(given=given, layout=layout, dtype="mixed")
    opcheck(OPERATORS.scan, (*inputs_of(tensors, options), return_last_state))


@pytest.mark.parametrize("given", [(), OPTIONAL], ids=["required", "all"])
def test_scan_forward_and_scan_backward_pass_the_checks_of_torch(given):
    tensors, options = tensors_of((), given=given)
    inputs = inputs_of(tensors, options)
    opcheck(OPERATORS.scan_forward, inputs)
    states, y, last = OPERATORS.scan_forward(*inputs)
    for dlast in (None, random_like(last)):
        opcheck(OPERATORS.scan_backward, (random_like(y), dlast, None, states, *inputs))
        opcheck(OPERATORS.scan_backward, (random_like(y), dlast, None, None, *inputs))


def test_states_within_a_scan_pass_the_checks_of_torch():
    inputs = inputs_of(*tensors_of(()), positions=[0, 3])
    opcheck(OPERATORS.scan, (*inputs, True))
    states, y, _, states_at = OPERATORS.scan_forward(*inputs)
    upstream = random_like(y), None, random_like(states_at), states
    opcheck(OPERATORS.scan_backward, (*upstream, *inputs))


@pytest.mark.parametrize("given", [("initial_state",), OPTIONAL], ids=["required", "all"])
def test_scan_step_passes_the_checks_of_torch(given):
    tensors, options = tensors_of((), given=given, l=1)
    step = step_of(tensors, options)
    names = ("state", *(x for x in ARGUMENTS if x not in ("initial_state", "seq_idx")))
    opcheck(OPERATORS.scan_step, (*(step.get(x) for x in names), True, None))


def test_a_gradient_through_the_operator_is_that_of_the_function():
    tensors, options = tensors_of()
    [y] = OPERATORS.scan(*inputs_of(tensors, options), False)
    got = torch.autograd.grad(y, list(tensors.values()), random_like(y))
    want = selscan.scan_backward(random_like(y), **detached(tensors), **options)
    assert_equal(got, tuple(want))


@pytest.mark.parametrize("name", ["scan_forward", "scan_step"])
def test_an_operator_that_records_no_gradients_refuses_to(name):
    tensors, options = tensors_of(l=1)
    arguments = inputs_of(tensors, options)
    if name == "scan_step":
        step = step_of(tensors, options)
        arguments = *(step[x] for x in ("state", "u", "delta", "A", "B", "C")), None, None, None
        arguments = *arguments, True, None
    message = "the operators scan_forward and scan_step record no gradients; call selscan.scan"
    with pytest.raises(RuntimeError, match=message):
        getattr(OPERATORS, name)(*arguments)


def counted(function):
    """FLOPs by operator."""
    with FlopCounterMode(display=False) as counter:
        function()
    return {str(x): n for x, n in counter.get_flop_counts()["Global"].items()}


def test_a_forward_has_nine_operations_for_each_state_of_each_step():
    tensors, options = tensors_of(())
    flops = counted(lambda: selscan.scan(**tensors, **options))
    assert flops == {"selscan.scan": SCAN_FLOPS}
    bare = {x: tensors[x] for x in ("u", "delta", "A", "B", "C")}
    assert counted(lambda: selscan.scan(**bare)) == {"selscan.scan": 9 * B * D * L * N}


def test_a_backward_has_twice_the_operations_of_the_forward():
    tensors, options = tensors_of(INPUTS)
    flops = counted(lambda: selscan.scan(**tensors, **options).sum().backward())
    assert flops == {"selscan.scan_forward": SCAN_FLOPS, "selscan.scan_backward": 2 * SCAN_FLOPS}
    y = selscan.scan(**tensors, **options)
    assert counted(y.sum().backward) == {"selscan.scan_backward": 2 * SCAN_FLOPS}


def test_scan_backward_has_those_of_a_forward_too():
    tensors, options = tensors_of(())
    flops = counted(lambda: selscan.scan_backward(tensors["u"], **tensors, **options))
    assert flops == {"selscan.scan_backward": 3 * SCAN_FLOPS}


def test_a_step_has_the_operations_of_a_scan_of_one():
    tensors, options = tensors_of((), l=1)
    flops = counted(lambda: selscan.scan_step(**step_of(tensors, options)))
    assert flops == {"selscan.scan_step": SCAN_FLOPS // L}


def test_the_first_scan_of_a_process_is_counted():
    code = """
import torch
from torch.utils.flop_counter import FlopCounterMode
with FlopCounterMode(display=False) as counter:
    selscan.scan(*map(torch.from_numpy, (u, delta, A, B, C)))
print(counter.get_total_flops())
"""
    done = run_python(code)
    assert done.stdout.split() == [str(9 * 2 * 64 * 65 * 8)], done.stderr
