"""Running the tasks of a kernel on several threads: compiled loops that need no GIL.

Tasks are claimed from a counter in the argument array, so a thread that comes late, or not at all,
delays nobody. Which thread does a task changes no bit: a task has its own results. The caller takes
part. It calls up idle threads of a pool (threads.py), claims tasks until there are none left,
dismisses those that have not come by then, and waits for those at work.

    caller                          state of a thread          thread
    call up                         PARKED or AWAKE -> job     (was PARKED: its gate is opened)
                                    job -> job + AT_WORK       comes, and claims tasks
    no task is left: dismiss        job -> AWAKE               was late: goes back to sleep
    it is at work: wait for DONE    job + AT_WORK -> + WAITED
                                    ... -> AWAKE               opens DONE if it was WAITED for

A job is the address of an argument array, a multiple of 8. The array may be gone once the caller
has returned: a thread reads it only in state AT_WORK or WAITED, in which the caller does not
return. A thread that has nothing to do looks at its state for a moment, AWAKE, before it parks.

An entry point takes the address of the argument array, the number of the worker and a range of
tasks. It is started by its address: called directly, it would be compiled once more with the loop.
"""

from numba import int64

from . import layout as at
from .atomic import exchange, fetch_add, pause, read, replace
from .jit import helper, kernel
from .simd import as_pointer, call

# What the pool has of a thread, int64: its state, the lock on which it is parked, and the
# addresses of the functions that close and open a lock. No other thread is on its cache lines.
(STATE, GATE, CLOSE, OPEN) = range(4)
THREAD_BYTES = 128
# States, apart from a job; and what is added to one.
PARKED, AWAKE = 0, 1
AT_WORK, WAITED = 1, 2

SPINS = 1000  # looks at a state before a thread parks


@helper
def slot(address, index):
    """A number of an argument array, or of what the pool has of a thread."""
    return as_pointer(address)[index]


@helper
def share(job, worker):
    """Claim tasks and do them until there are none left."""
    entry, tasks, at_once = slot(job, at.ENTRY), slot(job, at.TASKS), slot(job, at.AT_ONCE)
    first = fetch_add(job + 8 * at.NEXT, at_once)
    while first < tasks:
        call(entry, (job, worker, first, min(first + at_once, tasks)))
        first = fetch_add(job + 8 * at.NEXT, at_once)


@helper
def next_job(thread):
    """Wait for a job; or AWAKE, where one was called off."""
    for _ in range(SPINS):
        state = read(thread)
        if state != AWAKE:
            return state
        pause()
    if replace(thread, AWAKE, PARKED):
        call(slot(thread, CLOSE), (slot(thread, GATE), int64(1)))
    return read(thread)


@kernel
def work(thread):
    """What a thread of the pool does, for ever."""
    while thread:
        job = next_job(thread)
        if job != AWAKE and replace(thread, job, job + AT_WORK):
            done = slot(job, at.DONE)
            share(job, fetch_add(job + 8 * at.ARRIVED, 1))
            if exchange(thread, AWAKE) == job + WAITED:
                call(slot(thread, OPEN), (done,))


@helper
def call_up(pool, size, job, wanted):
    """Give a job to at most `wanted` idle threads of the pool."""
    thread = pool
    while wanted > 0 and thread < pool + size * THREAD_BYTES:
        state = read(thread)
        if state <= AWAKE and replace(thread, state, job):
            wanted -= 1
            if state == PARKED:
                call(slot(thread, OPEN), (slot(thread, GATE),))
        thread += THREAD_BYTES


@helper
def wait_for(thread, job):
    """Return when a thread that may be at work for a job no longer is."""
    for _ in range(SPINS):
        if read(thread) != job + AT_WORK:
            return
        pause()
    if replace(thread, job + AT_WORK, job + WAITED):
        call(slot(thread, CLOSE), (slot(job, at.DONE), int64(1)))


@kernel
def do_tasks(job, pool, size, workers):
    """Do all tasks of a job with the first `size` threads of a pool, on `workers` at most."""
    if workers == 1:
        call(slot(job, at.ENTRY), (job, int64(0), int64(0), slot(job, at.TASKS)))
        return
    call_up(pool, size, job, workers - 1)
    share(job, int64(0))
    for i in range(size):
        thread = pool + i * THREAD_BYTES
        if not replace(thread, job, AWAKE):
            wait_for(thread, job)
