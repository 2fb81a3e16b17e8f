"""Profiles of hypothesis, the `backend` fixture, and memory that shows what kernels do to it."""

import gc
import importlib
import os
import re
import sys
import textwrap
import weakref

import devices as fakes
import hypothesis
import numpy as np
import pytest
import simulated
from harness import Backend, simulated_array

import selscan
from selscan import backends
from selscan.arrays import guests
from selscan.arrays import numpy as numpy_arrays
from selscan.arrays import torch as torch_arrays
from selscan.backends import SIMULATED
from selscan.backends.cpu import plan, run, threads
from selscan.backends.cupy import nvrtc as nvrtc_loader
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.numba_cuda import gpu
from selscan.compat import aliases
from selscan.ops import scan as ops
from selscan.ops import scan2d as ops2d

# `ci` draws the same examples every time; HYPOTHESIS_PROFILE chooses.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=20)
hypothesis.settings.register_profile(
    "ci", deadline=None, max_examples=20, derandomize=True, print_blob=True
)
# For plant.py: that a fault is noticed is enough.
hypothesis.settings.register_profile(
    "plant", deadline=None, derandomize=True, phases=[hypothesis.Phase.generate]
)
# A step of a thread of Numba's simulator takes 50 us.
hypothesis.settings.register_profile(
    "simulator", deadline=None, max_examples=10, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# The frameworks whose arrays reach a backend in these tests.
FRAMEWORKS = {"cpu": ("numpy", "torch"), "cupy": ("torch",), "numba_cuda": ("torch",)}
# `pytest -m quick`: what a mistake breaks first, with the kernels of float32 and no others.
QUICK = re.compile(
    r"tests/(?!.*(float64|complex|mixed))("
    r"test_(cases|contract|contract_options|contract_torch|cupy_gpu|cupy_plan"
    r"|cupy_plan_backward|cupy_plan_maps|folders|packaging|paths|paths_runs"
    r"|pictures|plan|reference|reference_scan2d|strides)\.py::"
    r"|test_scan\.py::test_scan_of_(any_shape|empty|packed).*float"
    r"|test_scan2d\.py::test_every_path_)"
)
POISON = 0xFF  # as bytes of a float it is NaN
GUARD = 256  # bytes before and behind an allocation


def pytest_configure(config):
    if SIMULATED:  # there infinities are NumPy's, with a warning
        for text in ("overflow", "invalid value", "divide by zero"):
            config.addinivalue_line("filterwarnings", f"ignore:{text}:RuntimeWarning")


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a test that would skip fails")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config, items):
    """Marks; in Numba's simulator only tests of a backend, and those that are for it."""
    for item in items:
        if QUICK.match(item.nodeid):
            item.add_marker(pytest.mark.quick)
    if SIMULATED:
        names = "test_simulator.py", "write-a-kernel.md"
        kept = [
            x for x in items if "backend" in x.fixturenames or any(n in x.nodeid for n in names)
        ]
        config.hook.pytest_deselected(items=[x for x in items if x not in kept])
        items[:] = kept


@pytest.fixture(scope="module", autouse=True)
def begin():
    """What was before slows nothing: the garbage collector and torch's compiler leave it alone."""
    gc.collect()
    gc.freeze()
    if dynamo := sys.modules.get("torch._dynamo"):
        dynamo.reset()  # or functions that were compiled for several sizes are for any from then on


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
    elif skipped:
        *_, reason = report.longrepr
        report.longrepr = ("tests", None, reason)  # those of one reason are one line at the end
    return report


def _backends():
    """Every backend with each of its frameworks; in Numba's simulator that one alone."""
    if SIMULATED:
        yield pytest.param((selscan.list_backends()[-1], "numba"), id="numba_cuda-simulator")
        return
    for info in selscan.list_backends():
        for framework in FRAMEWORKS[info.name]:
            marks = () if info.name == "cpu" else (pytest.mark.gpu,)
            yield pytest.param((info, framework), marks=marks, id=f"{info.name}-{framework}")


@pytest.fixture(scope="session", params=_backends())
def backend(request):
    """A usable backend, fed with the arrays of one framework."""
    info, framework = request.param
    if not info.usable:
        pytest.skip(f"{info.name}: {info.reason}")
    if framework == "torch":
        pytest.importorskip("torch")
    return Backend(info.name, framework)


@pytest.fixture(scope="session")
def nvrtc():
    """The compiler of CUDA kernels; it needs no GPU."""
    try:
        return find_nvrtc()
    except selscan.BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=["jax", "dlpack"])
def guest(request):
    """The CPU backend, fed with the arrays of another library than NumPy and torch."""
    pytest.importorskip("jax" if request.param == "jax" else "torch")  # which makes bfloat16
    return Backend("cpu", request.param)


class Allocator:
    """Memory filled with NaN between two guards; `overruns` counts guards that were written."""

    def __init__(self):
        self.overruns = 0

    def bytes(self, size):
        """Poisoned bytes, and the buffer that has them between its guards."""
        buffer = np.full(size + 2 * GUARD, POISON, np.uint8)
        return buffer[GUARD : GUARD + size], buffer

    def watch(self, owner, buffer):
        """Look at the guards when `owner` is gone: the kernel has run by then."""
        weakref.finalize(owner, self._check, buffer).atexit = False
        return owner

    def _check(self, buffer):
        self.overruns += bool((buffer[:GUARD] != POISON).any() or (buffer[-GUARD:] != POISON).any())

    def workspace(self, size):
        inside, buffer = self.bytes(size)
        return self.watch(inside, buffer)

    def numpy(self, output):
        """NumPyArrays.allocate."""
        shape, dtype, axes = output.recipe
        inside, buffer = self.bytes(int(np.prod(shape)) * dtype.itemsize)
        return self.watch(inside.view(dtype).reshape(shape).transpose(axes), buffer)

    def guest(self, output):
        """GuestArrays.allocate: at a multiple of 64 bytes, or JAX makes a copy."""
        shape, dtype, axes = output.recipe
        size = int(np.prod(shape)) * dtype.itemsize + 2 * GUARD
        buffer = guests.aligned(size)
        buffer[...] = POISON
        inside = buffer[GUARD:-GUARD].view(dtype).reshape(shape).transpose(axes)
        return self.watch(inside, buffer)

    def simulated(self, shape, steps, dtype, number):
        """gpu.allocate in Numba's simulator."""
        inside, buffer = self.bytes(int(np.prod(shape)) * dtype.itemsize)
        array = np.ndarray(shape, dtype, inside, strides=steps)
        return simulated_array(self.watch(array, buffer))

    def torch(self, output):
        """TorchArrays.allocate; not a view, which autograd would treat in another way."""
        import torch

        shape, strides, dtype = output.recipe
        inside, buffer = self.bytes(int(np.prod(shape)) * dtype.itemsize)
        storage = torch.from_numpy(inside).untyped_storage()
        return self.watch(torch.empty(0, dtype=dtype).set_(storage, 0, shape, strides), buffer)


@pytest.fixture(scope="session", autouse=SIMULATED)
def simulator():
    """Numba's simulator, quick and with small blocks."""
    with pytest.MonkeyPatch.context() as patch:
        simulated.install(patch)
        yield


@pytest.fixture(scope="session")
def allocator():
    """All memory that selscan asks for on the CPU."""
    source = Allocator()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_arrays.NumPyArrays, "allocate", staticmethod(source.numpy))
        patch.setattr(torch_arrays.TorchArrays, "allocate", staticmethod(source.torch))
        patch.setattr(guests.GuestArrays, "allocate", staticmethod(source.guest))
        patch.setattr(run, "workspace", source.workspace)
        if SIMULATED:
            patch.setattr(gpu, "allocate", source.simulated)
        yield source


@pytest.fixture(autouse=True)
def guards(allocator):
    """What a kernel leaves unwritten is NaN; what it writes outside fails the test."""
    yield
    overruns, allocator.overruns = allocator.overruns, 0
    assert not overruns, "a kernel wrote before or behind its memory"


@pytest.fixture
def devices(monkeypatch, tmp_path):
    """GPUs whose kernels do nothing, and torch tensors that pass for ones on them."""
    pytest.importorskip("torch")
    found = fakes.install(monkeypatch, tmp_path)
    fakes.put_tensors_on(monkeypatch, found)
    yield found
    backends.forget()


@pytest.fixture
def missing(monkeypatch):
    """What the CUDA backends miss on this machine, and say so."""
    reasons = ("the cupy backend needs CuPy: pip install it", "the numba_cuda backend needs luck")

    def check(reason):
        raise selscan.BackendUnavailable(f"selscan: {reason}.")

    monkeypatch.setattr(nvrtc_loader, "check", lambda: check(reasons[0]))
    monkeypatch.setattr(gpu, "check", lambda: check(reasons[1]))
    backends.forget()
    yield f"{reasons[0]}; backend 'numba_cuda' cannot be used: {reasons[1]}"
    backends.forget()


@pytest.fixture
def scan_threads(monkeypatch):
    """Have scans of any size take a number of threads, whatever torch and Numba say."""
    monkeypatch.setattr(run, "THREAD_ELEMENTS", 1)
    return lambda count: monkeypatch.setattr(threads, "wanted", lambda of_library: count)


@pytest.fixture(scope="module")
def small_pieces():
    """Chunks of 8 steps and 2 tasks: a small problem has many chunks, and many blocks in a task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "chunk_of", lambda d_state: 8)
        patch.setattr(plan, "_FORWARD_TASKS", 2)
        patch.setattr(plan, "_BACKWARD_TASKS", 2)
        _forget_plans()
        yield
    _forget_plans()


def _forget_plans():
    ops.prepare_forward.cache_clear()
    ops.prepare_backward.cache_clear()
    ops2d.prepare_forward.cache_clear()
    ops2d.prepare_backward.cache_clear()


@pytest.fixture
def as_found():
    """The test leaves all that selscan.patch may touch as it was, or fails."""
    before, imported = _touched(), set(sys.modules)
    yield
    assert _touched() == before
    for name in set(sys.modules) - imported:
        if name.startswith("planted"):
            del sys.modules[name]


def _touched():
    """Modules under third-party names, finders, and torch.cuda.device."""
    device = pytest.importorskip("torch").cuda.device
    return aliases.loaded(aliases.TABLE), list(sys.meta_path), device, device.__init__


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Write a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(file, code):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        importlib.invalidate_caches()

    return write
