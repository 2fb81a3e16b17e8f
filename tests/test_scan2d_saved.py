"""Between forward and backward of scan2d: saved tensors and data that come back in another form."""

import pytest
from map_strategies import PATHS
from tensors import assert_equal, torch
from test_autograd_saved import BAD_STATES, PACKING
from test_scan2d_torch import constants_of, results, tensors_of
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

import selscan
from selscan.ops.scan2d import ARGUMENTS
from selscan.paths import cross

paths = pytest.mark.parametrize("path", [cross(4, 5), PATHS["joined with padding"]], ids=str)


@paths
@pytest.mark.parametrize("mode", ["eager", "operators"])
@pytest.mark.parametrize("packing", PACKING)
def test_saved_tensors_may_come_back_with_other_strides(path, packing, mode):
    tensors, options = tensors_of(path)
    want = results(selscan.scan2d, tensors, options)

    def call(**given):
        with saved_tensors_hooks(*PACKING[packing]):
            return selscan.scan2d(**given)

    if mode == "operators":
        with FlopCounterMode(display=False):
            got = results(call, tensors, options)
    else:
        got = results(call, tensors, options)
    assert_equal(got, want)


def test_data_in_another_order_of_memory_gives_the_same_gradients():
    tensors, options = tensors_of()
    y = selscan.scan2d(**tensors, **options)
    dy = torch.ones_like(y)
    want = torch.autograd.grad(y, list(tensors.values()), dy, retain_graph=True)
    for x in tensors.values():
        x.data = x.data.mT.contiguous().mT if x.dim() > 1 else x.data

    assert_equal(torch.autograd.grad(y, list(tensors.values()), dy), want)


def test_data_in_another_precision_is_refused():
    tensors, options = tensors_of()
    y = selscan.scan2d(**tensors, **options)
    for x in tensors.values():
        x.data = x.data.double()

    with pytest.raises(ValueError, match=r"^scan2d: states must be \(\d+,\), float64 and without "):
        y.sum().backward()


@pytest.mark.parametrize("name", BAD_STATES)
def test_states_that_no_forward_made_are_refused(name):
    tensors, options = tensors_of(grad=False)
    inputs = [tensors.get(x) for x in ARGUMENTS]
    y, states = torch.ops.selscan.scan2d_forward(*inputs, *constants_of(options))

    with pytest.raises(ValueError, match=r"states must be .* as the forward made"):
        torch.ops.selscan.scan2d_backward(
            y, BAD_STATES[name](states), *inputs, *constants_of(options)
        )
