"""Between forward and backward: hooks that keep saved tensors in another form, and `.data`."""

import pytest
from tensors import INPUTS, assert_equal, grads_of, tensors_of, torch, total
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

import selscan.torch  # noqa: F401 - defines the operators


def strided(tensor):
    """The same numbers at every other place of a larger tensor."""
    memory = torch.full((*tensor.shape, 2), torch.nan, dtype=tensor.dtype)
    return memory[..., 0].copy_(tensor) if tensor.is_floating_point() else tensor


PACKING = {
    "copied": (lambda x: x.contiguous().clone(), lambda x: x),
    "transposed": (lambda x: x.mT.contiguous().mT if x.dim() > 1 else x, lambda x: x),
    "strided": (strided, lambda x: x),
    "on unpacking": (lambda x: x, strided),
}


@pytest.mark.parametrize("mode", ["eager", "operators"])
@pytest.mark.parametrize("packing", PACKING)
def test_saved_tensors_may_come_back_with_other_strides(packing, mode):
    tensors, options = tensors_of(layout="bld")
    views = {x: v if v.dim() < 3 else v.mT.contiguous().mT for x, v in tensors.items()}

    def backward(*hooks):
        with saved_tensors_hooks(*hooks):
            loss = total(views, options)
        return torch.autograd.grad(loss, tensors.values())

    want = backward(lambda x: x, lambda x: x)
    if mode == "operators":
        with FlopCounterMode(display=False):
            got = backward(*PACKING[packing])
    else:
        got = backward(*PACKING[packing])
    assert_equal(got, want)


def test_saved_tensors_may_come_back_in_another_precision():
    tensors, options = tensors_of(("delta",), given=())
    with saved_tensors_hooks(lambda x: x.double(), lambda x: x.float()):
        total(tensors, options).backward()
    got = grads_of(tensors)["delta"]
    tensors["delta"].grad = None
    total(tensors, options).backward()

    assert_equal(got, grads_of(tensors)["delta"])


def test_data_in_another_order_of_memory_gives_the_same_gradients():
    tensors, options = tensors_of()
    loss = total(tensors, options)
    want = torch.autograd.grad(loss, tensors.values(), retain_graph=True)
    for x in tensors.values():
        x.data = x.data.mT.contiguous().mT if x.dim() > 1 else x.data

    assert_equal(torch.autograd.grad(loss, tensors.values()), want)


def test_data_in_another_precision_is_refused():
    tensors, options = tensors_of()
    loss = total(tensors, options)
    for x in tensors.values():
        x.data = x.data.double()

    with pytest.raises(ValueError, match=r"^scan: states must be \(\d+,\), float64 and without "):
        loss.backward()


BAD_STATES = {
    "short": lambda s: s[:-1].clone(),
    "empty": lambda s: s[:0],
    "wide": lambda s: s.double(),
    "strided": strided,
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_states_that_no_forward_made_are_refused(name):
    tensors, options = tensors_of((), given=())
    inputs = [tensors.get(x) for x in INPUTS] + [None]
    constants = options["delta_softplus"], options["reverse"], options["layout"], None, None, None
    states, y, _ = torch.ops.selscan.scan_forward(*inputs, *constants)
    upstream = y, None, None, BAD_STATES[name](states)

    with pytest.raises(ValueError, match=r"^scan_backward: states must be .* as the forward made"):
        torch.ops.selscan.scan_backward(*upstream, *inputs, *constants)
