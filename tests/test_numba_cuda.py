"""The Numba CUDA backend without a GPU or the simulator: how it is found, and its views."""

import builtins
import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import selscan
from selscan import backends
from selscan.arrays.layouts import Axes, Layout
from selscan.backends import numba_cuda
from selscan.backends.numba_cuda import gpu, launches, views


@pytest.fixture
def forget():
    backends.forget()
    yield
    backends.forget()


@pytest.mark.usefixtures("forget")
def test_without_numba_cuda_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)

    info = next(x for x in selscan.list_backends() if x.name == "numba_cuda")

    assert not info.usable
    assert info.reason.startswith("the numba_cuda backend needs numba-cuda (import of numba_cuda ")
    assert info.reason.endswith(
        "): pip install 'selscan[numba-cuda13]', or 'selscan[numba-cuda12]' for a driver of CUDA 12"
    )
    assert set(info.serves) == set(backends.OPERATORS) - {"orders_per_sample"}


def test_a_broken_numba_cuda_says_what_broke(monkeypatch):
    usual = builtins.__import__

    def broken(name, *rest):
        if name == "numba_cuda":
            raise OSError("libcudart.so.13: cannot open\nshared object file")
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)

    with pytest.raises(selscan.BackendUnavailable) as caught:
        gpu.check()

    assert str(caught.value).startswith(
        "selscan: numba-cuda is installed, but importing it failed (OSError: libcudart.so.13: "
        "cannot open shared object file): pip install "
    )


class Cuda:
    """numba.cuda with some GPUs, or an error in their place."""

    def __init__(self, gpus):
        self._gpus = gpus

    @property
    def gpus(self):
        if isinstance(self._gpus, Exception):
            raise self._gpus
        return self._gpus

    def is_available(self):
        return False  # NVVM is not there


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [([], "there is none"), (RuntimeError("no\ndriver :"), "RuntimeError: no driver")],
)
def test_without_a_gpu_it_says_so(monkeypatch, gpus, reason):
    monkeypatch.setattr(gpu, "import_cuda", lambda: Cuda(gpus))

    with pytest.raises(selscan.BackendUnavailable) as caught:
        gpu.check()

    assert f"the numba_cuda backend finds no GPU ({reason}). Once" in str(caught.value)
    assert "NUMBA_ENABLE_CUDASIM=1" in str(caught.value)


def test_without_nvvm_it_says_so(monkeypatch):
    monkeypatch.setattr(gpu, "import_cuda", lambda: Cuda(["a GPU"]))

    with pytest.raises(selscan.BackendUnavailable, match=r"finds no NVVM, .*: pip install "):
        gpu.check()


@pytest.mark.usefixtures("missing")
def test_it_is_chosen_where_cupy_cannot_be_used(monkeypatch):
    monkeypatch.setattr(gpu, "check", lambda: None)
    backends.forget()

    assert backends.choose("scan", "scan", None, "cuda:0") is numba_cuda


@pytest.mark.usefixtures("devices")
def test_it_is_chosen_after_cupy(monkeypatch):
    monkeypatch.setattr(gpu, "check", lambda: None)
    backends.forget()

    assert backends.choose("scan", "scan", None, "cuda:0").__name__.endswith("cupy")
    assert backends.choose("scan", "scan", "numba_cuda", "cuda:0") is numba_cuda


def test_a_view_has_the_axes_of_the_kernel_in_its_order():
    operands = {"B": (Layout((2, 7, 3), (84, 12, 4), "bfloat16"), Axes(0, None, 2, 1))}

    view = views.of_operand("B", operands, "bdnt")

    assert view == ("B", (2, 1, 3, 7), (84, 0, 4, 12), "bfloat16", 0)
    assert views.memory_dtype(view.dtype) == np.uint16
    assert view.turned()[1:] == ((2, 1, 3, 7), (84, 0, 4, -12), "bfloat16", 72)
    assert view.at(2, 1)[1:] == ((2, 1, 7), (84, 0, 12), "bfloat16", 4)


def test_what_is_not_given_has_no_elements(monkeypatch):
    monkeypatch.setattr(gpu, "array_at", lambda *given: given)

    assert views.absent(3).array({"u": 64}) == (64, (0, 0, 0), (0, 0, 0), np.float32)


def test_strides_are_no_part_of_a_signature():
    one, other = (
        launches.Launch("gather", "", (views.dense("u", (2, 3), "float32", offset),), (), 1, (1,))
        for offset in (0, 8)
    )

    assert one.signature() == other.signature() == ((("float32", 2),), ())


class Driver:
    """cuda.bindings.driver, with the status that a stream has."""

    CUresult = SimpleNamespace(CUDA_SUCCESS=0)
    CUstreamCaptureStatus = SimpleNamespace(CU_STREAM_CAPTURE_STATUS_NONE=0)

    def __init__(self, error, status):
        self.found, self.asked = (error, status), []

    def cuStreamIsCapturing(self, stream):
        self.asked.append(stream)
        return self.found


@pytest.fixture
def on_a_stream(monkeypatch):
    """Starts a plan with these views on a stream of which the driver says something."""

    def start(view, stream, error=0, status=0):
        driver = Driver(error, status)
        bindings = SimpleNamespace(driver=driver)
        monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(bindings=bindings))
        monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
        monkeypatch.setattr(gpu, "on", lambda number: contextlib.nullcontext())
        monkeypatch.setattr(gpu, "stream_of", lambda stream: stream)
        started = []
        monkeypatch.setattr(launches.Launch, "start", lambda *given: started.append(given))
        launch = launches.Launch("gather", "", (view,), (), 1, (1,))
        launches.Plan(0, (launch,)).start({}, stream)
        return len(started), driver.asked

    return start


TABLE, VIEW = np.zeros(1, np.int32), views.absent(1)


@pytest.mark.parametrize(
    ("view", "stream", "status", "asked"), [(TABLE, 7, 0, [7]), (TABLE, 0, 1, []), (VIEW, 7, 1, [])]
)
def test_what_has_no_table_or_is_not_captured_is_launched(on_a_stream, view, stream, status, asked):
    assert on_a_stream(view, stream, status=status) == (1, asked)


def test_tables_that_a_graph_would_read_are_refused(on_a_stream):
    with pytest.raises(RuntimeError, match=r"^selscan: the numba_cuda backend cannot .* captured:"):
        on_a_stream(TABLE, 7, status=1)


def test_a_driver_that_does_not_know_is_an_error(on_a_stream):
    with pytest.raises(RuntimeError, match=r"^selscan: cuStreamIsCapturing returned 900\.$"):
        on_a_stream(TABLE, 7, error=900)
