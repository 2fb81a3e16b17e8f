"""Arrays of CuPy, Numba and libraries with DLPack on GPUs, up to the launch; no GPU needed."""

import sys
from types import SimpleNamespace

import devices as fakes
import numpy as np
import pytest
from calls import argument, arguments

import selscan
from selscan import backends
from selscan.backends import numba_cuda
from selscan.backends.numba_cuda import gpu

function = pytest.mark.parametrize("function", ["scan", "scan_step"])


def given(name, make):
    """The arguments of a public function, the arrays made by `make` of NumPy's."""
    found = arguments(name)
    return {x: make(v) if isinstance(v, np.ndarray) else v for x, v in found.items()}


@pytest.fixture
def cupy(devices, monkeypatch):
    fakes.install_numba(monkeypatch)
    return fakes.install_cupy(monkeypatch, devices)


@pytest.mark.usefixtures("cupy")
@function
def test_arrays_of_cupy_are_scanned_on_their_device_and_its_stream(devices, function):
    devices.streams = {0: 11, 3: 44}

    results = getattr(selscan, function)(**given(function, lambda x: fakes.CuPyArray(x, 3)))

    assert [(x.device, x.stream) for x in devices.launches] == [(3, 44)]
    assert all(type(x) is fakes.CuPyArray and x.data.device_id == 3 for x in results)


@pytest.mark.usefixtures("cupy")
def test_arrays_with_dlpack_are_scanned_on_the_stream_that_cupy_let_wait_for_them(devices):
    devices.streams = {1: 22}

    results = selscan.scan(**given("scan", lambda x: fakes.Exchanged(x, (2, 1))))

    assert [(x.device, x.stream) for x in devices.launches] == [(1, 22)]
    assert all(type(x) is fakes.Exchanged and x.device == (2, 1) for x in results)


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("stream", [0, 7])
@function
def test_arrays_of_numba_are_scanned_on_the_legacy_default_stream(devices, function, stream):
    devices.streams = {0: 11}  # CuPy's

    results = getattr(selscan, function)(**given(function, lambda x: fakes.NumbaArray(x, stream)))

    assert [(x.device, x.stream) for x in devices.launches] == [(0, 0)]
    assert all(type(x) is fakes.NumbaArray for x in results)


@pytest.mark.usefixtures("cupy")
def test_a_step_on_a_gpu_updates_no_array_that_came_through_dlpack(devices):
    with pytest.raises(ValueError, match=r"^scan_step: state must be a torch tensor, a CuPy array"):
        selscan.scan_step(**given("scan_step", fakes.Exchanged))

    assert devices.launches == []


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize(
    ("make", "title"),
    [
        (fakes.CuPyArray, "a CuPy array"),
        (fakes.Exchanged, "an exchanged.Exchanged"),
        (fakes.NumbaArray, "a numba.NumbaArray"),
    ],
)
@pytest.mark.parametrize("other", ["numpy", "torch"])
def test_libraries_do_not_mix(devices, make, title, other):
    replaced = {"D": argument("scan", "D", other)}

    with pytest.raises(TypeError, match=rf"^scan: D must be {title}( like u)?; got a "):
        selscan.scan(**given("scan", make) | replaced)

    assert devices.launches == []


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize(
    "make",
    [
        lambda x: fakes.CuPyArray(x, int(x.shape == (4,))),
        lambda x: fakes.Exchanged(x, (2, int(x.shape == (4,)))),
    ],
    ids=["cupy", "dlpack"],
)
def test_arrays_on_two_devices_are_refused(devices, make):
    with pytest.raises(ValueError, match=r"^scan: D must be on cuda:0 like u; got cuda:1\.$"):
        selscan.scan(**given("scan", make))

    assert devices.launches == []


@pytest.mark.usefixtures("cupy")
def test_an_array_on_the_cpu_among_others_with_dlpack_is_refused():
    def make(x):
        return fakes.Exchanged(x, (1, 0) if x.shape == (4,) else (2, 0))

    with pytest.raises(ValueError, match=r"^scan: D must be on cuda:0 like u; got cpu\.$"):
        selscan.scan(**given("scan", make))


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("make", [fakes.CuPyArray, fakes.Exchanged, fakes.NumbaArray])
def test_gradients_are_arrays_of_the_same_library(devices, make):
    gradients = selscan.scan_backward(**given("scan_backward", make))

    assert {type(x) for x in gradients} == {make}
    names = [launch.kernel.partition("<")[0] for launch in devices.launches]
    assert names == ["scan_backward", "sum_parts"]


def test_arrays_of_cupy_are_refused_where_something_is_missing(devices, missing, monkeypatch):
    fakes.install_cupy(monkeypatch, devices)

    with pytest.raises(selscan.BackendUnavailable) as caught:
        selscan.scan(**given("scan", fakes.CuPyArray))

    assert str(caught.value) == f"scan: backend 'cupy' cannot be used: {missing}."


def test_arrays_of_numba_need_no_cupy(devices, monkeypatch):
    fakes.install_numba(monkeypatch)
    monkeypatch.setitem(sys.modules, "cupy", None)

    y, _ = selscan.scan(**given("scan", lambda x: fakes.NumbaArray(x, device=2)))

    assert type(y) is fakes.NumbaArray
    assert [x.device for x in devices.launches] == [2]


@pytest.mark.usefixtures("missing")
def test_arrays_with_dlpack_go_through_numba_where_there_is_no_cupy(monkeypatch):
    fakes.install_numba(monkeypatch)
    monkeypatch.setattr(gpu, "check", lambda: None)
    monkeypatch.setattr(gpu, "from_dlpack", lambda x, number: fakes.NumbaArray(x.host, 0, number))
    monkeypatch.setattr(gpu, "producers", lambda arrays, number: [exported(x) for x in arrays])
    backends.forget()
    launched = []
    monkeypatch.setattr(numba_cuda, "launch", lambda *given: launched.append(given))

    y, last = selscan.scan(**given("scan", lambda x: fakes.Exchanged(x, (2, 1))))

    [(plan, addresses, stream)] = launched
    assert (plan.device, stream) == (1, 0)
    assert addresses["y"] == y.host.ctypes.data
    assert (type(last), last.device) == (fakes.Exchanged, (2, 1))


def exported(x):
    """An array of Numba as what takes results sees it."""
    device = SimpleNamespace(device_id=x.gpu_data.context.device.id)
    return SimpleNamespace(host=x.host, data=device)


def test_arrays_of_numba_are_refused_where_nothing_can_run(missing, monkeypatch):
    fakes.install_numba(monkeypatch)

    with pytest.raises(selscan.BackendUnavailable) as caught:
        selscan.scan(**given("scan", fakes.NumbaArray))

    assert str(caught.value) == f"scan: backend 'cupy' cannot be used: {missing}."
