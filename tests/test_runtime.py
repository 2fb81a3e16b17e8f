"""Threads and processes: concurrent calls, forked children, the number of threads."""

import sys
import types

import numba
import pytest
from processes import results, run_python

from selscan.backends.cpu import run

LAYERS = ("omp", "tbb", "workqueue")
LINUX = sys.platform.startswith("linux")

# The threads make the first calls of the process, all at once.
CONCURRENT = """
import threading

barrier, found = threading.Barrier(4), []

def work():
    barrier.wait()
    for _ in range(20):
        found.append(compute())

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
expected = compute()
print(len(found), all(same(f, expected) for f in found))
"""
FORK = """
import multiprocessing, warnings

def child(expected, queue):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = compute(), compute()
        right = same(*found) and same(found[0], expected or compute())
    queue.put((right, [f"{w.category.__name__}: {w.message}" for w in caught]))

def in_a_child(expected):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork with threads
        process = context.Process(target=child, args=(expected, queue))
        process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"the child exited with {process.exitcode}")
    right, caught = queue.get()
    print(right, *caught, sep="\\n")
"""
AFTER_A_SCAN = FORK + "in_a_child(compute())"
BEFORE_A_SCAN = FORK + "import selscan.backends.cpu\nin_a_child(None)"


@pytest.fixture(scope="module")
def kernels_on_disk():
    """So that no process has to compile."""
    results()


def run_on(layer, code):
    """The output of code on one of Numba's threading layers."""
    done = run_python(code, NUMBA_THREADING_LAYER=layer)
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"Numba finds no {layer} on this machine")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("kernels_on_disk")
@pytest.mark.parametrize("layer", LAYERS)
def test_concurrent_calls_are_right(layer):
    assert run_on(layer, CONCURRENT) == ["80 True"]


@pytest.mark.skipif(not LINUX, reason="forks as Linux does")
@pytest.mark.usefixtures("kernels_on_disk")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_child_forked_before_the_first_scan_scans(layer):
    assert run_on(layer, BEFORE_A_SCAN) == ["True"]


@pytest.mark.skipif(not LINUX, reason="forks as Linux does")
@pytest.mark.usefixtures("kernels_on_disk")
@pytest.mark.parametrize("layer", ["tbb", "workqueue"])
def test_a_child_forked_after_a_scan_scans(layer):
    assert run_on(layer, AFTER_A_SCAN) == ["True"]


@pytest.mark.skipif(not LINUX, reason="forks as Linux does")
@pytest.mark.usefixtures("kernels_on_disk")
def test_a_child_forked_after_openmp_had_started_says_once_that_it_is_slow():
    assert run_on("omp", AFTER_A_SCAN) == [
        "True",
        "SlowPathWarning: scan: this process was forked after OpenMP threads had started, so it "
        "scans on one thread. Start workers with the 'spawn' or 'forkserver' method to use more.",
    ]


@pytest.fixture
def threads():
    """numba.set_num_threads, undone at the end."""
    before = numba.get_num_threads()
    if before < 2:
        pytest.skip("Numba has one thread here")
    yield numba.set_num_threads
    numba.set_num_threads(before)


def plan(elements, tasks):
    return types.SimpleNamespace(elements=elements, tasks=tasks)


@pytest.mark.parametrize("count", [1, 2])
def test_workers_are_as_many_as_set_num_threads_says(threads, count):
    threads(count)

    assert run._workers(plan(run.SERIAL_ELEMENTS, 16)) == count


@pytest.mark.usefixtures("threads")
def test_workers_are_no_more_than_tasks():
    assert run._workers(plan(run.SERIAL_ELEMENTS, 1)) == 1


def test_little_work_stays_on_one_thread():
    assert run._workers(plan(run.SERIAL_ELEMENTS - 1, 16)) == 1
