"""What a torch tensor may be: dtypes, devices, and the kinds that a kernel cannot read."""

import pytest
from calls import INPUTS, argument, call, refused

import selscan
from selscan.arrays.torch import TorchArrays

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", INPUTS["scan"][1:])
def test_a_numpy_array_among_tensors_is_refused(name):
    message = refused(TypeError, "scan", "torch", **{name: argument("scan", name)})

    assert message == f"scan: {name} must be a torch tensor like u; got a numpy.ndarray."


@pytest.mark.parametrize("name", INPUTS["scan_backward"][1:])
def test_a_tensor_among_numpy_arrays_is_refused(name):
    given = argument("scan_backward", name, "torch")

    message = refused(TypeError, "scan_backward", **{name: given})

    assert message == f"scan_backward: {name} must be a NumPy array like u; got a torch.Tensor."


def test_cuda_tensors_are_refused_where_something_is_missing(monkeypatch, missing):
    monkeypatch.setattr(TorchArrays, "device", staticmethod(lambda signature: "cuda:0"))

    message = refused(selscan.BackendUnavailable, "scan", "torch")

    assert message == f"scan: backend 'cupy' cannot be used: {missing}."


def test_tensors_on_an_unknown_device_are_refused(monkeypatch):
    monkeypatch.setattr(TorchArrays, "device", staticmethod(lambda signature: "xpu:0"))

    message = refused(selscan.BackendUnavailable, "scan", "torch")

    assert message == "scan: no backend works on xpu arrays; move them to the CPU."


@pytest.mark.parametrize("name", INPUTS["scan"][1:])
def test_tensors_on_two_devices_are_refused(name):
    given = torch.ones(argument("scan", name).shape, device="meta")

    message = refused(ValueError, "scan", "torch", **{name: given})

    assert message == f"scan: {name} must be on cpu like u; got meta."


def test_a_subclass_of_tensor_is_a_tensor():
    class Named(torch.Tensor):
        """As torchvision's images are."""

    y, _ = call("scan", "torch", u=torch.nn.Parameter(torch.ones(2, 4, 5)).as_subclass(Named))

    assert y.shape == (2, 4, 5)


def test_an_update_of_a_saved_state_is_noticed_by_autograd():
    state, weight = torch.zeros(2, 4, 3), torch.ones(2, 4, 3, requires_grad=True)
    loss = (state * weight).sum()  # its gradient needs the state as it was

    call("scan_step", "torch", state=state)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_tensor_whose_storage_was_freed_is_refused():
    tensor = torch.ones(2, 4, 5)
    tensor.untyped_storage().resize_(0)  # as sharded training does between steps

    with pytest.raises(ValueError, match=r"^selscan: every tensor must have memory; got one"):
        call("scan", "torch", delta=tensor)


def test_a_step_works_in_inference_mode():
    want = call("scan_step", "torch")
    with torch.inference_mode():
        got = call("scan_step", "torch")

    for x, y in zip(got, want, strict=True):
        assert torch.equal(x, y)


def test_tensors_of_inference_mode_work_outside():
    with torch.inference_mode():
        u = torch.ones(2, 4, 5) + 0

    y, _ = call("scan", "torch", u=u)

    assert torch.equal(y, call("scan", "torch")[0])
