"""Threads and processes: concurrent calls, and children forked at any moment."""

import sys

import pytest
from processes import results, run_python

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
# A child that waits for a lock that nobody has would wait for ever.
FORK = """
import os, signal, time

def child_of(function):
    '''How a forked child ends that calls a function: its exit status, or "hung".'''
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if function() else 3)
        finally:
            os._exit(4)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"
"""
AFTER_A_SCAN = """
from selscan.backends.cpu import threads
expected = compute()
print(child_of(lambda: same(compute(), expected) and threads._pool.size == 1))
print(child_of(lambda: child_of(lambda: same(compute(), expected)) == 0))
print(same(compute(), expected), threads._pool.size)
"""
BEFORE_A_SCAN = """
import selscan.backends.cpu
print(child_of(lambda: len(compute()) == 6))
"""
# As DataLoader workers are forked: torch is in the middle of its work, on threads of its own.
THEN_TORCH = """
import torch
torch.set_num_threads(1)
tensors = [torch.from_numpy(x) for x in (u, delta, A, B, C)]
large = torch.ones(2000, 2000)
y = selscan.scan(*tensors)
print(child_of(lambda: bool((large * 2).sum() == 8e6 and (selscan.scan(*tensors) == y).all())))
"""
# Children are forked while a thread makes launch after launch, each at another moment.
WHILE_SCANNING = """
import threading
expected, stop = compute(), threading.Event()

def scan():
    while not stop.is_set():
        compute()

thread = threading.Thread(target=scan)
thread.start()
ends = {child_of(lambda: same(compute(), expected)) for _ in range(20)}
stop.set()
thread.join()
print(ends)
"""
# Children are forked all through the first call of a process: imports, kernels, threads.
FIRST_CALL = """
import threading
{imports}
first = threading.Thread(target=call)
first.start()
ends = []
while first.is_alive() or not ends:
    time.sleep({pause})
    ends.append(child_of(lambda: call() is None))
first.join()
print(set(ends))
"""
OF_ARRAYS = """
def call():
    compute()
"""
OF_TENSORS = """
import torch
tensors = [torch.from_numpy(x) for x in (u, delta, A, B, C)]
def call():
    selscan.scan(*tensors)
"""


@pytest.fixture(scope="module")
def kernels_on_disk():
    """So that no process has to compile."""
    results()


def output(code, **environment):
    """What code prints, in a process of its own."""
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("kernels_on_disk")
def test_concurrent_calls_are_right():
    assert output(CONCURRENT) == ["80 True"]


needs_fork = pytest.mark.skipif(not LINUX, reason="forks as Linux does")


@needs_fork
@pytest.mark.usefixtures("kernels_on_disk")
def test_a_child_forked_before_the_first_scan_scans():
    assert output(FORK + BEFORE_A_SCAN) == ["0"]


@needs_fork
@pytest.mark.usefixtures("kernels_on_disk")
def test_a_child_forked_after_a_scan_scans_with_threads_of_its_own_and_so_does_its_child():
    assert output(FORK + AFTER_A_SCAN) == ["0", "0", "True 1"]


@needs_fork
@pytest.mark.usefixtures("kernels_on_disk")
def test_a_child_forked_after_a_scan_runs_a_large_torch_operation():
    pytest.importorskip("torch")
    assert output(FORK + THEN_TORCH, OMP_NUM_THREADS="2") == ["0"]


@needs_fork
@pytest.mark.usefixtures("kernels_on_disk")
def test_children_forked_while_another_thread_scans_scan():
    assert output(FORK + WHILE_SCANNING) == ["{0}"]


@needs_fork
@pytest.mark.usefixtures("kernels_on_disk")
@pytest.mark.parametrize("imports", [OF_ARRAYS, OF_TENSORS], ids=["NumPy", "torch"])
def test_children_forked_at_any_moment_of_a_first_call_scan(imports):
    if imports is OF_TENSORS:
        pytest.importorskip("torch")
    assert output(FORK + FIRST_CALL.format(imports=imports, pause=0.01)) == ["{0}"]


@pytest.mark.slow
@needs_fork
def test_children_forked_while_a_kernel_is_compiled_and_kept_scan(tmp_path):
    imports = OF_ARRAYS.replace("compute()", "selscan.scan(u, delta, A, B, C)")
    code = FORK + "import selscan.backends.cpu" + FIRST_CALL.format(imports=imports, pause=1)
    assert output(code, NUMBA_CACHE_DIR=str(tmp_path)) == ["{0}"]


# A thread that imports the compiler adds its locks while a fork waits, then takes one of them.
LOCK_ADDED_WHILE_A_FORK_WAITS = """
import threading
from selscan.backends import forks
imports, added_lock = threading.Event(), threading.Lock()

def first_call():
    with forks.lock:
        imports.set()
        time.sleep(0.3)  # the fork has come by now
        forks.hold(added_lock)
    with added_lock:
        time.sleep(0.3)

thread = threading.Thread(target=first_call)
thread.start()
imports.wait()
print(child_of(lambda: added_lock.acquire(timeout=10)))
thread.join()
"""


@needs_fork
def test_a_fork_takes_locks_that_were_added_while_it_waited():
    # The child has the lock from the fork until its hooks have run: it is free then.
    assert output(FORK + LOCK_ADDED_WHILE_A_FORK_WAITS) == ["0"]


THREADS_THAT_FORK = """
import threading
import selscan.backends.cpu
threads = [threading.Thread(target=lambda: ends.append(child_of(lambda: True))) for _ in range(8)]
ends = []
for thread in threads:
    thread.start()
compute()
for thread in threads:
    thread.join()
print(set(ends), len(ends))
"""


@needs_fork
@pytest.mark.usefixtures("kernels_on_disk")
def test_several_threads_may_fork_at_once():
    assert output(FORK + THREADS_THAT_FORK) == ["{0} 8"]
