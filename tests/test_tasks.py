"""The launcher: every task is done once, by threads that come when they come."""

import ctypes
import threading
import time

import numpy as np
import pytest
from numba import int64, njit

from selscan.backends.cpu import layout as at
from selscan.backends.cpu import run, tasks, threads
from selscan.backends.cpu.atomic import fetch_add, read
from selscan.backends.cpu.jit import address_of
from selscan.backends.cpu.simd import as_pointer

# Behind the header of a job: what the kernels of these tests count and wait for.
HERE, PATIENCE, FREE, COUNTS = range(at.HEADER, at.HEADER + 4)
TASKS = 100


@njit(nogil=True)
def count(job, worker, first, last):
    """Add one to the count of each task, and of what a worker did."""
    for task in range(first, last):
        fetch_add(job + 8 * (COUNTS + task), 1)
    fetch_add(job + 8 * (COUNTS + TASKS + worker), last - first)


@njit(nogil=True)
def meet(job, worker, first, last):
    """Wait until a thread has come for each task; given up after some seconds."""
    fetch_add(job + 8 * HERE, 1)
    patience = as_pointer(job)[PATIENCE]
    while read(job + 8 * HERE) < as_pointer(job)[at.TASKS] and patience > 0:
        patience -= 1
    fetch_add(job + 8 * (COUNTS + worker), 1)


@njit(nogil=True)
def hold(job, worker, first, last):
    """All but the caller say that they are there and wait until they are let go."""
    if worker:
        fetch_add(job + 8 * HERE, 1)
        while read(job + 8 * FREE) == 0:
            pass
        fetch_add(job + 8 * COUNTS, 1)
    else:
        while read(job + 8 * HERE) == 0:
            pass


@pytest.fixture(scope="module")
def pool():
    """One with threads of its own."""
    run._compile(run.THREADS, "launcher")
    made = threads.Pool()
    made.grow(3)
    return made


def job_of(entry, count=TASKS, at_once=1):
    """An argument array, and the number of workers."""
    entry.compile((int64,) * 4)
    job = np.zeros(COUNTS + 2 * TASKS, np.int64)
    job[[at.ENTRY, at.TASKS, at.AT_ONCE, at.ARRIVED]] = address_of(entry), count, at_once, 1
    return job


def do(job, pool, workers, size=None):
    job[at.DONE] = lock = pool.take_lock()
    tasks.do_tasks(job.ctypes.data, pool.address, pool.size if size is None else size, workers)
    pool.give_back(lock)


def states(pool):
    """What the pool has of each thread's state."""
    step = tasks.THREAD_BYTES
    return [ctypes.c_int64.from_address(pool.address + i * step).value for i in range(pool.size)]


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_every_task_is_done_once(pool, workers, at_once):
    for _ in range(200):
        job = job_of(count, at_once=at_once)

        do(job, pool, workers)

        assert job[COUNTS : COUNTS + TASKS].tolist() == [1] * TASKS
        by_worker = job[COUNTS + TASKS :]
        assert by_worker.sum() == TASKS
        assert not by_worker[workers:].any()


def test_threads_take_part_each_with_a_number_of_its_own(pool):
    job = job_of(meet, 4)
    job[PATIENCE] = 10**9

    do(job, pool, 4)

    assert job[COUNTS : COUNTS + 5].tolist() == [1, 1, 1, 1, 0]


def test_a_thread_that_does_not_come_delays_nothing():
    pool = threads.Pool()  # without a thread, but as if one were there
    ctypes.c_int64.from_address(pool.address).value = tasks.AWAKE
    job = job_of(count)

    do(job, pool, 2, size=1)

    assert job[COUNTS : COUNTS + TASKS].tolist() == [1] * TASKS
    assert ctypes.c_int64.from_address(pool.address).value == tasks.AWAKE


def test_a_thread_at_work_is_waited_for(pool):
    job = job_of(hold, 2)
    done = threading.Event()
    caller = threading.Thread(target=lambda: (do(job, pool, 2), done.set()))

    caller.start()

    assert not done.wait(0.2)  # the other thread has its task still
    job[FREE] = 1
    assert done.wait(60)
    assert job[COUNTS] == 1
    caller.join()


def test_threads_park_when_there_is_nothing_to_do(pool):
    do(job_of(count), pool, 4)

    deadline = time.monotonic() + 60
    while set(states(pool)) != {tasks.PARKED} and time.monotonic() < deadline:
        time.sleep(0.001)
    assert set(states(pool)) == {tasks.PARKED}


def test_callers_at_once_share_a_pool(pool):
    wrong = []

    def call():
        for _ in range(2000):
            job = job_of(count)
            do(job, pool, 4)
            if job[COUNTS : COUNTS + TASKS].tolist() != [1] * TASKS:
                wrong.append(job)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert not wrong
    assert len(pool._idle) <= 5  # locks: no more than there were callers


def test_a_pool_grows_as_far_as_the_system_allows(monkeypatch):
    pool, started = threads.Pool(), []

    def start(thread):
        started.append(thread)
        return len(started) <= 2

    monkeypatch.setattr(pool, "_start", start)
    pool.grow(5)
    pool.grow(5)

    assert pool.size == 2
    assert len(started) == 3  # the third was refused, and nobody asks again
