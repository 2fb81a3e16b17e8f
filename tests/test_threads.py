"""How many threads a scan takes: no bit of a result depends on it, and no setting changes by it."""

import concurrent.futures
import types

import numba
import numpy as np
import pytest
from processes import results, run_python
from strategies import make_problem, with_gradients

import selscan
from selscan.backends import forks
from selscan.backends.cpu import run, threads
from selscan.paths import cross

COUNTS = (1, 2, 4)
# b, d, g, n, l: with one task, few and many tasks for each thread.
SHAPES = ((1, 5, 1, 64, 600), (2, 37, 1, 9, 300), (1, 96, 2, 16, 270), (3, 50, 5, 17, 65))


def scan_bits(shape):
    """The results of the forward and of the backward pass."""
    b, d, g, n, l = shape
    problem = with_gradients(make_problem(b=b, d=d, g=g, n=n, l=l))
    grads = selscan.scan_backward(**problem)
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    return [x.tobytes() for x in (*selscan.scan(**forward, return_last_state=True), *grads)]


def step_bits(b, d, n):
    rng = np.random.default_rng(0)
    u, delta, state = rng.random((b, d)), rng.random((b, d)), rng.random((b, d, n))
    A, B, C = -rng.random((d, n)), rng.random((b, n)), rng.random((b, n))
    y, state = selscan.scan_step(state, u, delta, A, B, C)
    return [y.tobytes(), state.tobytes()]


def move_bits(array):
    path = cross(*array.shape[-2:])
    moved = selscan.gather(array, path)
    back = [selscan.scatter(moved, path, merge=merge) for merge in (False, True)]
    return [x.tobytes() for x in (moved, *back)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scan_gives_the_same_bits_by_any_number_of_threads(scan_threads, shape):
    found = [(scan_threads(count), scan_bits(shape))[1] for count in COUNTS]

    assert found[0] == found[1] == found[2]


def test_scan_step_gives_the_same_bits_by_any_number_of_threads(scan_threads):
    found = [(scan_threads(count), step_bits(3, 1400, 17))[1] for count in COUNTS]

    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("last", [False, True])
def test_gather_and_scatter_give_the_same_bits_by_any_number_of_threads(scan_threads, last):
    x = np.random.default_rng(0).random((2, 40, 24, 25))
    x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x

    found = [(scan_threads(count), move_bits(x))[1] for count in COUNTS]

    assert found[0] == found[1] == found[2]


def test_a_scan_does_not_wait_for_a_thread_that_compiles(scan_threads):
    scan_threads(2)
    expected = scan_bits(SHAPES[1])
    with concurrent.futures.ThreadPoolExecutor(1) as executor, forks.lock:
        assert executor.submit(scan_bits, SHAPES[1]).result(timeout=60) == expected


def plan(elements, tasks, at_once=1):
    return types.SimpleNamespace(elements=elements, tasks=tasks, at_once=at_once)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (plan(2**30, 16), 4),
        (plan(2**30, 3), 3),
        (plan(2**30, 16, at_once=8), 2),
        (plan(3 * run.THREAD_ELEMENTS, 16), 3),
        (plan(2 * run.THREAD_ELEMENTS - 1, 16), 1),
        (plan(0, 0), 1),
    ],
    ids=["as many as there are", "no more than tasks", "tasks at once", "work", "little", "none"],
)
def test_a_call_takes_no_more_threads_than_it_has_work_for(monkeypatch, given, expected):
    monkeypatch.setattr(threads, "wanted", lambda of_library: 4)

    assert run.workers_of(given, None) == expected


@pytest.mark.parametrize("by_numba", [2, 1])
def test_set_num_threads_goes_first(monkeypatch, by_numba):
    """A number that is not the one that Numba began with."""
    monkeypatch.setattr(threads, "_IN_ENVIRONMENT", False)
    monkeypatch.setattr(numba.config, "NUMBA_DEFAULT_NUM_THREADS", 3)
    monkeypatch.setattr(threads.parallel, "_get_num_threads", lambda: by_numba, raising=False)

    assert threads.wanted(None) == by_numba
    assert threads.wanted(7) == by_numba


def test_else_it_is_the_number_of_the_library(monkeypatch):
    monkeypatch.setattr(threads, "_IN_ENVIRONMENT", False)
    monkeypatch.setattr(numba.config, "NUMBA_DEFAULT_NUM_THREADS", 3)
    monkeypatch.setattr(threads.parallel, "_get_num_threads", lambda: 3, raising=False)

    assert threads.wanted(None) == 3
    assert threads.wanted(7) == 7
    assert threads.wanted(1) == 1


NUMBER = """
import numba, torch
from selscan.backends.cpu import run, threads

wanted = []
run.workers_of = lambda plan, of_library: wanted.append(threads.wanted(of_library)) or 1

def number(*inputs):
    selscan.scan(*inputs)
    return wanted.pop()

arrays = u, delta, A, B, C
tensors = [torch.from_numpy(x) for x in arrays]
torch.set_num_threads(3)
print(number(*arrays), number(*tensors), numba.config.NUMBA_NUM_THREADS)
numba.set_num_threads(1)
print(number(*tensors))
"""


@pytest.mark.parametrize("variable", [None, "2"])
def test_torch_tensors_are_scanned_by_torchs_number_unless_numba_was_given_one(variable):
    pytest.importorskip("torch")

    done = run_python(NUMBER, NUMBA_NUM_THREADS=variable)

    assert done.returncode == 0, done.stderr
    of_arrays, of_tensors, of_numba, set_to_one = map(int, done.stdout.split())
    assert of_arrays == of_numba
    assert of_tensors == int(variable or 3)
    assert set_to_one == (1 if of_numba > 1 else 3)


SETTINGS = """
import threadpoolctl

def settings():
    pools = threadpoolctl.threadpool_info()
    openmp = [pool["filepath"] for pool in pools if pool["user_api"] == "openmp"]
    numbers = {pool["filepath"]: pool["num_threads"] for pool in pools}
    return numbers, torch and torch.get_num_threads(), openmp

before = settings()
compute()
if torch:
    tensors = [torch.from_numpy(x).requires_grad_() for x in (u, delta, A, B, C)]
    selscan.scan(*tensors).sum().backward()
after = settings()
print(all(after[0][path] == before[0][path] for path in before[0]), before[1:] == after[1:])
"""
FIRST = {
    "torch": "import torch\ntorch.set_num_threads(1)\n" + SETTINGS,
    "selscan": "import selscan.backends.cpu, torch\ntorch.set_num_threads(1)\n" + SETTINGS,
    "no torch": "torch = None\n" + SETTINGS,
}


# Numba's threading layers are not used, so which one is chosen should make no difference.
@pytest.mark.parametrize(
    ("first", "layer"), [("torch", "omp"), ("selscan", "workqueue"), ("no torch", "omp")]
)
def test_a_scan_leaves_every_setting_of_the_process_as_it_was(first, layer):
    """torch's number, and those of OpenMP, MKL and OpenBLAS; it loads no OpenMP either."""
    pytest.importorskip("threadpoolctl")
    if first != "no torch":
        pytest.importorskip("torch")
    results()  # so that the process does not compile

    done = run_python(FIRST[first], NUMBA_THREADING_LAYER=layer)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]
