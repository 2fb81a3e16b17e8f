"""What a torch tensor may be: dtypes, devices, and the kinds that a kernel cannot read."""

import pytest
from calls import INPUTS, argument, call, refused

import selscan
from selscan.ops import arrays

torch = pytest.importorskip("torch")

SHORT = " 16 bits are not supported yet; convert to float32."
# dtype, what the message says that came
DTYPES = [
    ("bool", "bool."),
    ("uint8", "uint8."),
    ("int64", "int64."),
    ("float16", f"float16.{SHORT}"),
    ("bfloat16", f"bfloat16.{SHORT}"),
    ("float8_e5m2", "float8_e5m2."),
    ("complex64", "complex64."),
]


@pytest.mark.parametrize(("dtype", "got"), DTYPES)
def test_a_torch_dtype_that_is_not_supported_is_refused(dtype, got):
    given = torch.zeros((2, 4, 5), dtype=getattr(torch, dtype))

    message = refused(TypeError, "scan", "torch", delta=given)

    assert message == f"scan: delta must be float32 or float64; got {got}"


@pytest.mark.parametrize("name", INPUTS["scan"][1:])
def test_a_numpy_array_among_tensors_is_refused(name):
    message = refused(TypeError, "scan", "torch", **{name: argument("scan", name)})

    assert message == f"scan: {name} must be a torch tensor like u; got a numpy.ndarray."


@pytest.mark.parametrize("name", INPUTS["scan_backward"][1:])
def test_a_tensor_among_numpy_arrays_is_refused(name):
    given = argument("scan_backward", name, "torch")

    message = refused(TypeError, "scan_backward", **{name: given})

    assert message == f"scan_backward: {name} must be a NumPy array like u; got a torch.Tensor."


def test_a_tensor_beside_a_numpy_state_is_refused():
    message = refused(TypeError, "scan_step", u=torch.ones(2, 4))

    assert message == "scan_step: u must be a NumPy array like state; got a torch.Tensor."


def test_cuda_tensors_are_refused(monkeypatch):
    monkeypatch.setattr(arrays.TorchArrays, "device", staticmethod(lambda signature: "cuda:0"))

    message = refused(selscan.BackendUnavailable, "scan", "torch")

    assert message == (
        "scan: backend 'cupy' cannot be used: CUDA through CuPy is not part of this version; "
        "move the arrays to the CPU."
    )


def test_tensors_on_an_unknown_device_are_refused():

    message = refused(selscan.BackendUnavailable, "scan", "torch", u=torch.ones(1, device="meta"))

    assert message == "scan: no backend works on meta arrays; move them to the CPU."


@pytest.mark.parametrize("name", INPUTS["scan"][1:])
def test_tensors_on_two_devices_are_refused(name):
    given = torch.ones(argument("scan", name).shape, device="meta")

    message = refused(ValueError, "scan", "torch", **{name: given})

    assert message == f"scan: {name} must be on cpu like u; got meta."


@pytest.mark.parametrize("name", ["u", "delta", "D"])
def test_a_sparse_tensor_is_refused(name):
    given = argument("scan", name, "torch").to_sparse()

    message = refused(TypeError, "scan", "torch", **{name: given})

    assert message == (
        f"scan: {name} must be a dense tensor; got one of layout torch.sparse_coo. "
        "Call .to_dense() first."
    )


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", ["strided", "jagged"])
@pytest.mark.parametrize("name", ["u", "delta"])
def test_a_nested_tensor_is_refused(name, layout):
    parts = [torch.ones(4, 5), torch.ones(3, 5)]
    given = torch.nested.nested_tensor(parts, layout=getattr(torch, layout))

    message = refused(TypeError, "scan", "torch", **{name: given})

    assert message == (
        f"scan: {name} must be a dense tensor; got a nested one. "
        "Scan what .unbind() gives one by one."
    )


def test_a_tensor_with_its_negative_bit_set_is_refused():
    given = torch.ones(2, 4, 5, dtype=torch.complex64).conj().imag

    message = refused(TypeError, "scan", "torch", u=given)

    assert given.is_neg()
    assert message == (
        "scan: u must be a plain tensor; got one with its negative bit set. "
        "Call .resolve_neg() first."
    )


@pytest.mark.parametrize("name", ["u", "delta"])
def test_a_fake_tensor_is_refused(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        given = torch.ones(2, 4, 5)

    message = refused(TypeError, "scan", "torch", **{name: given})

    assert message == (
        f"scan: {name} must be a plain tensor; got a FakeTensor, which has no memory of its own."
    )


def test_a_subclass_of_tensor_is_a_tensor():

    class Named(torch.Tensor):
        """As torchvision's images are."""

    y, _ = call("scan", "torch", u=torch.nn.Parameter(torch.ones(2, 4, 5)).as_subclass(Named))

    assert y.shape == (2, 4, 5)
