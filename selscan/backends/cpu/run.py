"""Running a kernel: compilation notice, threads, scratch memory.

Numba's threading layers differ in what they survive. The workqueue layer aborts the process when
two threads start parallel work at once, so calls take turns there. GNU OpenMP ends a process that
was forked after its pool had started, so forked children run on one thread.
"""

import contextlib
import os
import sys
import threading
import warnings
from ctypes import addressof, c_char

import numba
import numpy as np

from ...errors import SlowPathWarning
from . import layout as at
from .jit import compile_or_load, source_version
from .launch import address_of, compile_launch

# Work (b * d * l * n) below which one thread is faster than waking a second.
SERIAL_ELEMENTS = 1 << 16
_NOTICE_SECONDS = 2.0
# Signatures: the argument array and the worker; tiles.py.
_KERNEL, _TILE, _ROWS = (numba.int64,) * 2, (numba.int64,) * 8, (numba.int64,) * 11

_addresses = {}  # of compiled entry points
_forked_from_pool = False
_turns = threading.Lock()


def run(plan, addresses):
    """Call the kernel of a linked plan on operands at these addresses (by name)."""
    workers = _workers(plan)
    scratch = workspace(plan.scratch * workers + 64)
    address = _start(scratch)
    args = plan.fill(addresses, workers, (address + 63) & ~63)
    with _turns if workers > 1 and threading_layer() == "workqueue" else _NO_TURNS:
        _launch()(plan.entry, _start(args), workers)


def link(plan, kernel, tiles, rows):
    """Compile what a plan calls, where that is not done, and give it the addresses.

    `tiles` are load_tile and store_tile, `rows` load_rows and store_rows, or nothing, for the
    kernels that call them.
    """
    entries = {kernel: _KERNEL} | dict.fromkeys(tiles, _TILE) | dict.fromkeys(rows, _ROWS)
    if not entries.keys() <= _addresses.keys():
        _compile(entries, f"{plan.kernel} kernel for {plan.real.dtype}")
        _addresses.update({entry: address_of(entry) for entry in entries})
    for slot, tile in zip((at.LOAD_TILE, at.STORE_TILE), tiles, strict=False):
        plan.template[slot] = _addresses[tile]
    for slot, entry in zip((at.LOAD_ROWS, at.STORE_ROWS), rows, strict=False):
        plan.template[slot] = _addresses[entry]
    plan.entry = _addresses[kernel]


_NO_TURNS = contextlib.nullcontext()


def workspace(size):
    """Uninitialised bytes for the tiles of a call."""
    return np.empty(size, np.uint8)


def _start(array):
    """The address of a new array, not an empty one; __array_interface__ takes 0.7 us longer."""
    return addressof(c_char.from_buffer(array))


def threading_layer():
    """Name of Numba's threading layer, or None before its pool has started."""
    try:
        return numba.threading_layer()
    except ValueError:
        return None


def _workers(plan):
    if plan.elements < SERIAL_ELEMENTS:
        return 1
    if _forked_from_pool:
        _warn_forked()
        return 1
    return max(1, min(numba.get_num_threads(), plan.tasks))


def _compile(entries, what):
    """Compile entry points or load them from disk, with a line on stderr when it takes long."""
    text = f"selscan: compiling the CPU's {what} (some seconds, once) ..."
    notice = threading.Timer(_NOTICE_SECONDS, print, (text,), {"file": sys.stderr, "flush": True})
    notice.daemon = True
    notice.start()
    try:
        for entry, signature in entries.items():
            compile_or_load(entry, signature)
        _launch()
    finally:
        notice.cancel()


_launcher = None


def _launch():
    """The compiled launcher."""
    global _launcher
    if _launcher is None:
        launcher = compile_launch(source_version())
        compile_or_load(launcher, (numba.int64, numba.int64, numba.int64))
        _launcher = launcher
    return _launcher


def _after_fork():
    global _forked_from_pool, _turns
    _turns = threading.Lock()
    _forked_from_pool = threading_layer() == "omp" and sys.platform.startswith("linux")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


_warned_forked = False


def _warn_forked():
    global _warned_forked
    if not _warned_forked:
        _warned_forked = True
        warnings.warn(
            "scan: this process was forked after OpenMP threads had started, so it scans on one "
            "thread. Start workers with the 'spawn' or 'forkserver' method to use more.",
            SlowPathWarning,
            stacklevel=2,
        )
