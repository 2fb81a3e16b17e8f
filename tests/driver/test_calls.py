"""Calls of selscan with CuPy's arrays: machine code, launches and streams as on a GPU."""

import ctypes
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from emulator import moves, scans
from strategies import make_problem, with_gradients

import selscan
from driver import kernels
from selscan.paths import cross

cupy = pytest.importorskip("cupy")

# Instances that the tests of the emulator have compiled.
SMALL = {"b": 2, "d": 6, "g": 2, "n": 4, "l": 40, "dtype": "float32"}
LONG = {"b": 1, "d": 8, "n": 4, "l": 520, "dtype": "float32"}


class Exchanged:
    """An array of a library that has DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array_namespace__(self):
        return SimpleNamespace(from_dlpack=lambda x: Exchanged(cupy.from_dlpack(x)))


def memory_of(array):
    """What is in the memory of a CuPy array now, without asking CuPy."""
    last = sum((n - 1) * step for n, step in zip(array.shape, array.strides, strict=True))
    memory = (ctypes.c_char * (last + array.itemsize)).from_address(array.data.ptr)
    return np.ndarray(array.shape, array.dtype, memory, 0, array.strides).copy()


def on_host(results):
    """The numbers of CuPy arrays, when the current stream has come so far."""
    cupy.cuda.get_current_stream().synchronize()
    return tuple(None if x is None else memory_of(x) for x in results)


def copy_on_stream(array, source):
    """By the current stream, when it comes to it."""
    array.data.copy_from_device_async(source.data, array.nbytes)


def poison(array):
    """NaN, at once."""
    array.data.memset(0xFF, array.nbytes)


def kernels_of(launches):
    return [launch.kernel.partition("<")[0] for launch in launches]


@pytest.mark.parametrize("offset", [0, 1, 3])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_a_scan_is_right_wherever_its_arrays_begin(place, offset, layout):
    problem = make_problem(**SMALL, layout=layout)

    results = selscan.scan(**place(problem, offset), return_last_state=True)

    scans.assert_right(problem, on_host(results))


def test_a_scan_of_few_rows_is_launched_twice(place):
    problem = make_problem(b=1, d=2, n=1, l=5000, dtype="float32")

    results = selscan.scan(**place(problem), return_last_state=True)

    scans.assert_right(problem, on_host(results))
    maps, scan = kernels.launches
    assert maps.kernel == scan.kernel


@pytest.mark.parametrize("offset", [0, 1])
def test_gradients_are_right(place, offset):
    problem = with_gradients(make_problem(**LONG))

    gradients = selscan.scan_backward(**place(problem, offset))

    scans.assert_gradients_right(problem, on_host(gradients))
    assert kernels_of(kernels.launches) == [
        "scan_forward", "scan_carry", "scan_backward", "sum_parts",
    ]  # fmt: skip


def test_a_step_updates_its_state(place):
    problem = make_problem(b=3, d=5, n=3, l=1)
    arrays = place(problem)
    step = {x: v for x, v in arrays.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: v[..., 0] for x, v in step.items() if x in ("u", "delta", "z", "B", "C")}

    y, state = selscan.scan_step(arrays["initial_state"], **step)

    assert state is arrays["initial_state"]
    scans.assert_right(problem, on_host((y[..., None], state)))


def test_a_path_is_gathered_and_scattered(place):
    path = cross(5, 6)
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 5, 6)).astype(np.float32)

    sequences = selscan.gather(place({"x": x})["x"], path)
    maps = selscan.scatter(sequences, path)

    sequences, maps = on_host((sequences, maps))
    assert np.array_equal(sequences, moves.gather(x, path))
    assert np.array_equal(maps, 4 * x)


# ---- streams -----------------------------------------------------------------------------------


def test_a_scan_is_work_for_the_current_stream(place):
    problem = make_problem(**SMALL)
    arrays = place(problem)
    stream = cupy.cuda.Stream(non_blocking=True)

    with stream:
        results = selscan.scan(**arrays, return_last_state=True)
    assert np.isnan(memory_of(results[0])).all()
    stream.synchronize()

    scans.assert_right(problem, tuple(map(memory_of, results)))


def test_inputs_that_are_made_on_a_stream_are_scanned_behind_that(place):
    problem = make_problem(**SMALL)
    arrays, u = place(problem), place(problem)["u"]
    poison(arrays["u"])
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        copy_on_stream(arrays["u"], u)
        results = selscan.scan(**arrays, return_last_state=True)
        scans.assert_right(problem, on_host(results))


def test_a_captured_scan_can_be_replayed(place):
    problem = make_problem(**SMALL)
    arrays = place(problem)
    selscan.scan(**arrays)  # compiles and loads
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        results = selscan.scan(**arrays, return_last_state=True)
        graph = stream.end_capture()
        for _ in range(2):
            for x in results:
                poison(x)
            graph.launch(stream)
            scans.assert_right(problem, on_host(results))


# ---- devices and threads -----------------------------------------------------------------------


def test_arrays_on_the_second_device_are_scanned_there(place):
    problem = make_problem(**SMALL)
    with cupy.cuda.Device(1):
        arrays = place(problem)

    results = selscan.scan(**arrays, return_last_state=True)

    assert cupy.cuda.runtime.getDevice() == 0
    assert {x.device.id for x in results} == {1}
    assert {launch.device for launch in kernels.launches} == {1}
    with cupy.cuda.Device(1):
        scans.assert_right(problem, on_host(results))


def test_six_threads_scan_at_once_each_on_its_stream(place):
    problems = [make_problem(**SMALL | {"seed": seed}) for seed in range(6)]
    arrays = list(map(place, problems))
    found = [None] * 6

    def work(i):
        with cupy.cuda.Stream(non_blocking=True):
            for _ in range(3):
                found[i] = on_host(selscan.scan(**arrays[i], return_last_state=True))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for problem, results in zip(problems, found, strict=True):
        scans.assert_right(problem, results)


def test_a_thread_that_has_no_context_yet_can_scan(place):
    problem = make_problem(**SMALL)
    arrays, found = place(problem), []
    threads = [threading.Thread(target=lambda: found.append(selscan.scan(**arrays)))]
    for thread in threads:
        thread.start()
        thread.join()

    assert np.array_equal(*on_host((found[0], selscan.scan(**arrays))))


# ---- other libraries ---------------------------------------------------------------------------


def test_arrays_with_dlpack_alone_come_and_go(place):
    problem = make_problem(**SMALL)
    arrays = place(problem)
    given = {k: Exchanged(v) if isinstance(v, cupy.ndarray) else v for k, v in arrays.items()}

    results = selscan.scan(**given, return_last_state=True)

    assert all(type(x) is Exchanged for x in results)
    scans.assert_right(problem, on_host(x.array for x in results))


def test_what_another_stream_makes_is_waited_for(place):
    class Interface:
        """An array of a library that has the CUDA array interface and a stream."""

        def __init__(self, array, stream):
            self._array = array
            self.__cuda_array_interface__ = array.__cuda_array_interface__ | {"stream": stream.ptr}

    problem = make_problem(**SMALL)
    arrays, u = place(problem), place(problem)["u"]
    poison(arrays["u"])
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        copy_on_stream(arrays["u"], u)
    arrays["u"] = cupy.asarray(Interface(arrays["u"], stream))

    results = selscan.scan(**arrays, return_last_state=True)

    scans.assert_right(problem, on_host(results))
