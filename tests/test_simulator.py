"""The Numba CUDA backend in Numba's simulator, in a process with NUMBA_ENABLE_CUDASIM=1.

The tests of every backend run there too: .ci/run simulator. Elsewhere the whole file is skipped.
"""

import concurrent.futures
import threading
import time

import numpy as np
import pytest
from harness import simulated_array, to_numpy
from map_strategies import make_map_problem
from moving import DTYPES, assert_same, maps, moved, sequences
from strategies import make_problem

import reference
import selscan
from selscan import backends
from selscan.paths import Path, cross, window

if not backends.SIMULATED:
    pytest.skip(
        "the simulator needs a process of its own: NUMBA_ENABLE_CUDASIM=1", allow_module_level=True
    )

from numba import cuda

from selscan.backends import numba_cuda

PATHS = {
    "cross": cross(3, 5),
    "windows": window(4, 5, size=3),
    "joined": Path.of(3, 4, "h_flip", "v", joined=True),
    "half": Path(np.arange(12)[None, ::2], 3, 4),
    "nowhere": Path(np.full((2, 3), -1), 2, 3),
}
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


@pytest.fixture
def launches(monkeypatch):
    """The plans that the backend is asked to launch."""
    seen, launch = [], numba_cuda.launch

    def noted(plan, addresses, runs_on=None):
        seen.append(plan)
        launch(plan, addresses, runs_on)

    monkeypatch.setattr(numba_cuda, "launch", noted)
    return seen


def simulated(problem):
    """A problem with arrays of the simulator."""
    arrays = {x: simulated_array(v) for x, v in problem.items() if isinstance(v, np.ndarray)}
    return problem | arrays


def test_arrays_of_numba_go_to_their_backend_and_not_to_the_cpu(launches):
    problem = make_problem(l=9)

    y = selscan.scan(**simulated(problem))

    assert len(launches) == 1
    assert type(y) is type(cuda.to_device(problem["u"]))
    np.testing.assert_allclose(to_numpy(y), reference.scan(**problem), rtol=1e-4, atol=1e-4)


def test_a_problem_from_start_to_end_as_users_write_it(launches):
    rng = np.random.default_rng(0)
    u, delta = (cuda.to_device(rng.random((1, 2, 5), dtype=np.float32)) for _ in range(2))
    A = cuda.to_device(-rng.random((2, 3), dtype=np.float32))
    B, C = (cuda.to_device(rng.random((1, 3, 5), dtype=np.float32)) for _ in range(2))

    y, last = selscan.scan(u, delta, A, B, C, return_last_state=True)
    grads = selscan.scan_backward(y, u, delta, A, B, C, dlast_state=last)

    assert [launch.kernel for plan in launches for launch in plan.launches] == [
        "scan_forward",
        "scan_backward",
    ]
    arrays = [x.copy_to_host() for x in (u, delta, A, B, C)]
    np.testing.assert_allclose(y.copy_to_host(), reference.scan(*arrays), rtol=1e-5)
    want = reference.scan_backward(y.copy_to_host(), *arrays, dlast_state=last.copy_to_host())
    np.testing.assert_allclose(grads.A.copy_to_host(), want.A, rtol=1e-4)


def test_a_step_updates_a_state_of_numba_in_place(launches):
    state = cuda.to_device(np.ones((1, 2, 3), np.float32))
    u = cuda.to_device(np.ones((1, 2), np.float32))
    A, B = (cuda.to_device(np.ones(shape, np.float32)) for shape in ((2, 3), (1, 3)))

    _, new = selscan.scan_step(state, u, u, A, B, B)

    assert new is state
    np.testing.assert_allclose(state.copy_to_host(), np.e + 1, rtol=1e-6)
    assert len(launches) == 1


@pytest.mark.parametrize("way", ["backend", "use", "SELSCAN_BACKEND"])
def test_it_can_be_named(launches, monkeypatch, way):
    problem = simulated(make_problem(l=2))
    if way == "SELSCAN_BACKEND":
        monkeypatch.setenv(way, "numba_cuda")

    if way == "use":
        with selscan.use("numba_cuda"):
            selscan.scan(**problem)
    else:
        selscan.scan(**problem, **({"backend": "numba_cuda"} if way == "backend" else {}))

    assert len(launches) == 1


def test_arrays_on_the_cpu_do_not_go_there(launches):
    selscan.scan(**make_problem(l=2))

    assert launches == []


@pytest.mark.parametrize("name", ["cpu", "cupy"])
def test_no_other_backend_takes_arrays_of_the_simulator(name):
    works_on = {"cpu": "cpu", "cupy": "cuda"}[name]

    with pytest.raises(ValueError, match=f"^scan: backend must be one for arrays on cudasim:0; got "
                       f"'{name}', which works on {works_on} arrays.$"):  # fmt: skip
        selscan.scan(**simulated(make_problem(l=2)), backend=name)


def test_lists_say_what_it_is():
    info = selscan.list_backends()[-1]

    assert info[:4] == ("numba_cuda", True, "", "Numba's simulator on the CPU")
    assert set(info.serves) == set(backends.OPERATORS) - {"orders_per_sample"}


def test_more_states_than_a_block_has_threads_are_refused():
    with pytest.raises(ValueError, match=r"^scan: d_state must be at most 256 for .*; got 257\.$"):
        selscan.scan(**simulated(make_problem(b=1, d=1, n=257, l=2)))


def test_libraries_do_not_mix():
    problem = simulated(make_problem(l=2)) | {"A": np.zeros((5, 4), np.float32)}

    with pytest.raises(
        TypeError, match=r"^scan: A must be a numba\.FakeCUDAArray like u; got a numpy"
    ):
        selscan.scan(**problem)


@every_path
@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_and_scatter_agree_with_the_reference(backend, path, dtype):
    x, y = maps(path, dtype), sequences(path, dtype)

    assert_same(moved(backend, "gather", x, path), reference.gather(x, path))
    for merge in (True, False):
        got = moved(backend, "scatter", y, path, merge)
        assert_same(got, reference.scatter(y, path, merge))


@every_path
def test_maps_of_each_route_are_gathered(backend, path):
    x = maps(path, per_route=True)[:, :, ::-1, :, ::-1]

    assert_same(moved(backend, "gather", x, path), reference.gather(x, path))


@pytest.mark.parametrize(("path", "scans"), [(PATHS["cross"], 4), (PATHS["joined"], 1)])
def test_scan2d_is_gathers_scans_and_a_scatter(launches, path, scans):
    selscan.scan2d(**simulated(make_map_problem(path)))

    [plan] = launches
    kernels = [launch.kernel for launch in plan.launches]
    assert kernels == ["gather"] * 4 + ["scan_forward"] * scans + ["scatter"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_16_bits_are_rounded_once(backend, dtype):
    from moving import numbers

    path = Path(np.zeros((4, 1), int), 1, 1)
    y = np.array([256, 1, 1, 1]).reshape(1, 4, 1, 1).astype(numbers((1,), dtype).dtype)

    assert_same(moved(backend, "scatter", y, path), np.full((1, 1, 1, 1), 259).astype(y.dtype))


def test_bits_that_are_no_number_are_moved_as_they_are(backend):
    x = np.full((1, 1, 3, 5), 0x7FA1, np.uint16).view(np.float16)

    got = moved(backend, "gather", x, PATHS["cross"])

    assert (got.view(np.uint16) == 0x7FA1).all()


def test_a_thread_that_does_not_come_to_a_barrier_is_an_error(monkeypatch):
    import simulated as threads

    monkeypatch.setattr(threads, "PATIENCE", 0.1)

    @cuda.jit
    def divergent(x):
        if cuda.threadIdx.x == 0:
            cuda.syncthreads()

    with pytest.raises(Exception, match=r"tid="):
        divergent[1, 2](cuda.to_device(np.zeros(1)))


# ---- torch ---------------------------------------------------------------------------------------


@pytest.fixture
def tensors(monkeypatch):
    """torch's tensors on the CPU pass for ones on a GPU, which is simulated."""
    torch = pytest.importorskip("torch")
    from types import SimpleNamespace

    import devices

    devices.put_tensors_on(monkeypatch, SimpleNamespace(stream=lambda number: 0))
    monkeypatch.setattr(backends, "DEVICES", backends.DEVICES | {"numba_cuda": "cuda"})
    backends.forget()
    yield torch
    backends.forget()


def test_tensors_are_scanned_and_have_gradients(launches, tensors):
    problem = make_problem(d=4, l=17)
    arrays = {x: v for x, v in problem.items() if isinstance(v, np.ndarray)}
    given = {x: tensors.from_numpy(v).requires_grad_() for x, v in arrays.items()}
    options = {x: v for x, v in problem.items() if x not in arrays}

    y = selscan.scan(**given, **options)
    y.sum().backward()

    names = [launch.kernel for plan in launches for launch in plan.launches]
    assert names[:2] == ["scan_forward", "scan_backward"]
    want = reference.scan_backward(np.ones(y.shape), **problem)
    for name, x in given.items():
        np.testing.assert_allclose(x.grad, getattr(want, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("path", [PATHS["windows"], PATHS["joined"]], ids=["windows", "joined"])
def test_tensors_are_scanned_along_paths_and_have_gradients(launches, tensors, path):
    problem = make_map_problem(path)
    arrays = {x: v for x, v in problem.items() if isinstance(v, np.ndarray)}
    given = {x: tensors.from_numpy(v).requires_grad_() for x, v in arrays.items()}
    options = {x: v for x, v in problem.items() if x not in arrays}

    y = selscan.scan2d(**given, **options)
    y.sum().backward()

    assert len(launches) >= 2
    want = reference.scan2d_backward(np.ones(y.shape), **problem)
    for name, x in given.items():
        np.testing.assert_allclose(x.grad, getattr(want, name), rtol=1e-3, atol=1e-3)


def test_threads_that_ask_at_once_have_shared_memory_in_common(monkeypatch):
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    together, shared, empty = threading.Barrier(8), FakeCUDAShared(0), np.empty

    def slowly(*what):
        time.sleep(0.01)
        return empty(*what)

    def ask(_):
        together.wait(10)
        return shared.array((2,), np.float32)

    monkeypatch.setattr(np, "empty", slowly)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))

    assert len(set(map(id, found))) == 1
