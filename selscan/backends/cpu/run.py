"""Running a kernel: compilation, threads, scratch memory."""

from contextlib import nullcontext

import numba
import numpy as np

from ..forks import lock
from . import layout as at
from . import threads
from .jit import address_of
from .notice import announced, form_of
from .plan import start_of
from .tasks import do_tasks, work

# Work (b * d * l * n) for which a thread is woken: less is sooner done by one that is awake.
THREAD_ELEMENTS = 1 << 15
# Signatures: argument array, worker, tasks (tasks.py); tiles.py, maps.py.
KERNEL, TILE, ROWS = (numba.int64,) * 4, (numba.int64,) * 8, (numba.int64,) * 12
THREADS = {do_tasks: (numba.int64,) * 4, work: (numba.int64,)}

_addresses = {}  # of compiled entry points


def run(plan, addresses, of_library):
    """Call the kernel of a linked plan on operands at these addresses (by name).

    Returned is its argument array, where a check leaves what it has found (orders.py).
    """
    workers = workers_of(plan, of_library)
    scratch = workspace(plan.scratch * workers + 64)
    args = plan.fill(addresses, (start_of(scratch) + 63) & ~63)
    job = start_of(args)
    if workers == 1:
        do_tasks(job, 0, 0, 1)
        return args
    pool = threads.pool()
    pool.grow(workers - 1)
    done = pool.take_lock()
    args[at.DONE] = done
    do_tasks(job, pool.address, pool.size, workers)
    pool.give_back(done)
    return args


def link(plan, kernel, tiles, rows):
    """Compile what a plan calls, where that is not done, and give it the addresses.

    `tiles` are load_tile and store_tile, `rows` load_rows and store_rows, or nothing, for the
    kernels that call them.
    """
    entries = {kernel: KERNEL} | dict.fromkeys(tiles, TILE) | dict.fromkeys(rows, ROWS)
    found = addresses_of(entries, form_of(plan.kernel, plan.real, plan.kinds))
    for slot, tile in zip((at.LOAD_TILE, at.STORE_TILE), tiles, strict=False):
        plan.template[slot] = found[tile]
    for slot, entry in zip((at.LOAD_ROWS, at.STORE_ROWS), rows, strict=False):
        plan.template[slot] = found[entry]
    set_tasks(plan.template, plan)
    plan.template[at.ENTRY] = found[kernel]
    plan.linked = True


def set_tasks(template, plan):
    """What threads share out, without the kernel that does it."""
    template[at.TASKS], template[at.AT_ONCE] = plan.tasks, plan.at_once
    template[at.ARRIVED] = 1  # the caller


def addresses_of(entries, what):
    """Addresses by entry point, of these at least (with their signatures), compiled if need be."""
    if not entries.keys() <= _addresses.keys():
        _compile(entries | THREADS, what)
    return _addresses


def kept():
    """(how many of this process's entry points are on disk, how many there are)."""
    return sum(entry._cache.is_kept for entry in _addresses), len(_addresses)


def workspace(size):
    """Uninitialised bytes for the tiles of a call."""
    return np.empty(size, np.uint8)


def workers_of(plan, of_library=None):
    """Threads of a call: no more than there are tasks, or work for."""
    most = min(plan.elements // THREAD_ELEMENTS, -(-plan.tasks // plan.at_once))
    return 1 if most < 2 else max(1, min(most, threads.wanted(of_library), threads.MOST))


def _compile(entries, what):
    """Compile entry points, with a line on stderr when it takes long, or load them from disk."""
    with lock:  # who waits for it compiles nothing
        missing = {x: signature for x, signature in entries.items() if x not in _addresses}
        loaded = all(entry._cache.is_there for entry in missing)
        with nullcontext() if loaded else announced(what):
            for entry, signature in missing.items():
                with entry._cache.alone():
                    entry.compile(signature)
                _addresses[entry] = address_of(entry)
