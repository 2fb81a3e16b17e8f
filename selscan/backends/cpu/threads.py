"""The threads that take part in scans: how many, the pool that they wait in, and forks.

The threads and the locks are those that Python itself is built on (PyThread_* of its C API): they
exist wherever Python does, take no part in its GIL, and touch no setting of OpenMP, MKL or torch.
A thread is started when a scan first wants it. It never ends: it is parked in native code, where it
costs nothing, and not even the end of the interpreter wakes it.
"""

import ctypes
import os
from ctypes import c_int, c_size_t, c_ulong, c_void_p

from numba import config
from numba.np.ufunc import parallel

from ..forks import lock
from . import tasks
from .jit import address_of

MOST = 512  # threads of a pool
_LINE = 128  # bytes that a CPU may fetch at once


def _python(name, result, *arguments):
    """A function of Python's C API."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


def _address(name):
    return ctypes.cast(getattr(ctypes.pythonapi, name), c_void_p).value


_start_thread = _python("PyThread_start_new_thread", c_ulong, c_void_p, c_void_p)
_new_lock = _python("PyThread_allocate_lock", c_void_p)
_close = _python("PyThread_acquire_lock", c_int, c_void_p, c_int)
_allocate = _python("PyMem_RawCalloc", c_void_p, c_size_t, c_size_t)
_FAILED = c_ulong(-1).value


def closed_lock():
    """The address of a new lock, closed: who closes it once more waits until it is opened."""
    found = _new_lock()
    if not found:
        raise MemoryError("selscan: no lock can be had.")
    _close(found, 0)
    return found


class Pool:
    """Threads that wait for jobs (tasks.py); its memory is never freed, since they may read it."""

    def __init__(self):
        memory = _allocate(MOST + 1, tasks.THREAD_BYTES)
        if not memory:
            raise MemoryError("selscan: there is no memory for threads.")
        self.address = -(-memory // _LINE) * _LINE
        self.size = 0
        self._idle = []  # locks on which no caller waits
        self._most = MOST

    def grow(self, size):
        """Have `size` threads, or as many as can be had."""
        if self.size >= min(size, self._most):
            return  # a call does not wait for who compiles
        with lock:
            while self.size < min(size, self._most):
                if not self._start(self.address + self.size * tasks.THREAD_BYTES):
                    self._most = self.size  # the system gives no more
                    return
                self.size += 1

    def _start(self, thread):
        fields = (ctypes.c_int64 * 4).from_address(thread)
        fields[tasks.STATE], fields[tasks.GATE] = tasks.AWAKE, closed_lock()
        fields[tasks.CLOSE] = _address("PyThread_acquire_lock")
        fields[tasks.OPEN] = _address("PyThread_release_lock")
        return _start_thread(address_of(tasks.work), thread) != _FAILED

    def take_lock(self):
        """A lock for one call, to be given back."""
        try:
            return self._idle.pop()
        except IndexError:
            return closed_lock()

    def give_back(self, done):
        self._idle.append(done)


def wanted(of_library):
    """How many threads a scan may take: the user's word to Numba, or the library's number.

    A number that was given to Numba is one in NUMBA_NUM_THREADS, or one of `set_num_threads` that
    is not the number Numba began with. Asking Numba for it would start its threads.
    """
    read = getattr(parallel, "_get_num_threads", None)  # there once Numba's threads have started
    in_numba = read() if read else config.NUMBA_NUM_THREADS
    if of_library is None or in_numba != config.NUMBA_DEFAULT_NUM_THREADS or _IN_ENVIRONMENT:
        return in_numba
    return of_library


_IN_ENVIRONMENT = "NUMBA_NUM_THREADS" in os.environ
_pool = None


def pool():
    """The threads of this process: a forked child has none of its parent's."""
    global _pool
    if _pool is None:
        with lock:
            _pool = _pool or Pool()
    return _pool


def _forget():
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
