"""Calls of gather, scatter and scan2d with tensors on GPUs up to the launch; no GPU needed."""

import contextlib
import ctypes
import weakref
from types import SimpleNamespace

import devices as fakes
import numpy as np
import pytest
from calls import call
from harness import to_tensor
from map_strategies import make_map_problem

import selscan
from selscan.backends.cupy import gpu
from selscan.ops.scan2d import ARGUMENTS

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("function", ["gather", "scatter"])
def test_maps_are_moved_on_the_current_stream_of_their_device(devices, function, monkeypatch):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cuda:2")
    devices.streams = {0: 11, 2: 22}

    result = call(function, "torch")

    assert [(x.device, x.stream) for x in devices.launches] == [(2, 22)]
    assert devices.launches[0].kernel.startswith("move<")
    assert devices.allocated == ["cuda:2"]
    assert torch.isnan(result).all()  # nobody else has written it


def test_maps_are_scanned_on_the_current_stream_of_their_device(devices, monkeypatch):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cuda:2")
    devices.streams = {0: 11, 2: 22}

    y = call("scan2d", "torch")

    assert [(x.device, x.stream) for x in devices.launches] == [(2, 22)]
    assert devices.launches[0].kernel.startswith("scan2d_forward<")
    assert devices.allocated == ["cuda:2"]
    assert torch.isnan(y).all()  # nobody else has written it


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_maps_is_summed_from_parts_on_the_stream(devices, dtype):
    problem = make_map_problem(selscan.paths.cross(20, 21), d=100, dtype=dtype)
    tensors = {
        x: to_tensor(v).requires_grad_() if x in ARGUMENTS else v for x, v in problem.items()
    }
    devices.streams = {0: 11}

    selscan.scan2d(**tensors).sum().backward()

    kernels = [x.kernel.partition("<")[0] for x in devices.launches]
    assert kernels == ["scan2d_forward", "scan2d_backward", "sum_parts"]
    assert {(x.device, x.stream) for x in devices.launches} == {(0, 11)}


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_orders_per_sample_are_checked_on_the_stream_and_stay_on_the_device(
    devices, dtype, monkeypatch
):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cuda:2")
    monkeypatch.setattr(gpu, "upload", lambda *_: pytest.fail("a table is copied to the device"))
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: pytest.fail("a table is copied to the host"))
    devices.streams = {2: 22}
    table = torch.full((2, 3, 5), 99, dtype=dtype)  # nobody looks at it here
    u, maps, A = torch.ones(2, 4, 2, 2), torch.ones(2, 3, 4, 2, 2), -torch.ones(3, 4, 4)

    selscan.gather(u, table)
    selscan.scatter(torch.ones(2, 3, 4, 5), table, size=(2, 2))
    selscan.scan2d(u, maps.requires_grad_(), A, maps, maps, path=table).sum().backward()

    kernels = [x.kernel.partition("<")[0] for x in devices.launches]
    scans = "check_orders", "scan2d_forward", "check_orders", "scan2d_backward"
    assert kernels == ["check_orders", "move_by_order"] * 2 + [*scans, "sum_parts"]
    assert {(x.device, x.stream) for x in devices.launches} == {(2, 22)}


def test_orders_on_another_device_are_refused(devices, monkeypatch):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: f"cuda:{len(shape) % 2}")

    with pytest.raises(ValueError, match=r"^gather: path must be on cuda:0"):
        selscan.gather(torch.ones(2, 3, 4, 5), torch.zeros(2, 1, 3, dtype=torch.int32))
    assert devices.launches == []


# ---- tables on a device --------------------------------------------------------------------------


class Runtime:
    """cupy.cuda.runtime: memory of the host, and what was asked for."""

    memcpyHostToDevice = 1

    def __init__(self):
        self.calls, self.capturing = [], False

    def memcpy(self, to, source, size, kind):
        assert kind == self.memcpyHostToDevice
        ctypes.memmove(to, source, size)
        self.calls.append("copy")

    def streamSynchronize(self, stream):
        assert stream == 0
        self.calls.append("wait")

    def streamIsCapturing(self, stream):
        self.calls.append(stream)
        return self.capturing


@pytest.fixture
def runtime(monkeypatch):
    """A module cupy with what constants need; its memory is of the host."""
    runtime, guards = Runtime(), []

    class Memory:
        def __init__(self, size):
            self._bytes = ctypes.create_string_buffer(size)
            self.ptr = ctypes.addressof(self._bytes)

    @contextlib.contextmanager
    def device(number):
        guards.append(number)
        yield

    cuda = SimpleNamespace(Device=device, Memory=Memory, runtime=runtime)
    monkeypatch.setattr(gpu, "import_cupy", lambda: SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(gpu, "_captured", set())
    runtime.guards = guards
    return runtime


def test_a_constant_is_copied_to_its_device_and_has_arrived(runtime):
    array = np.arange(6, dtype=np.int32).reshape(2, 3)

    constant = gpu.upload(array, 3)

    assert runtime.guards == [3]
    assert runtime.calls == ["copy", "wait"]
    assert constant.nbytes == array.nbytes
    found = (ctypes.c_int32 * 6).from_address(constant.address)
    assert list(found) == list(range(6))


@pytest.mark.parametrize("capturing", [False, True])
def test_a_constant_that_a_graph_has_captured_is_kept_for_good(runtime, capturing):
    runtime.capturing = capturing
    constant = gpu.upload(np.arange(3), 0)
    kept = weakref.ref(constant)

    gpu.hold(constant, 11)
    del constant

    assert runtime.calls[-1] == 11
    assert (kept() is not None) == capturing


def test_launches_of_plans_with_a_constant_ask_for_a_capture(devices, monkeypatch):
    asked = []
    monkeypatch.setattr(gpu, "hold", lambda constant, stream: asked.append(stream))
    devices.streams = {0: 11}

    call("scan", "torch")
    assert asked == []
    for function in ("scan2d", "gather", "scatter"):
        call(function, "torch")
    assert asked == [11] * 3


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)], ids=str)
def test_nothing_is_launched_for_maps_without_numbers(devices, shape):
    b, d = shape
    problem = make_map_problem(selscan.paths.cross(3, 4), b=b, d=d)
    tensors = {x: to_tensor(v) if x in ARGUMENTS else v for x, v in problem.items()}

    y = selscan.scan2d(**tensors)

    assert y.shape == (b, d, 3, 4)
    assert selscan.gather(y, selscan.paths.cross(3, 4)).shape == (b, 4, d, 12)
    assert devices.launches == []
