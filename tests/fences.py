"""Memory between two pages that end the process when they are touched."""

import contextlib
import ctypes
import mmap
import sys

import numpy as np
import pytest

PROT_NONE = 0  # of mprotect(2)


@contextlib.contextmanager
def fenced(size):
    """At least `size` bytes, whole pages."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mprotect is called as on Linux")
    inside = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    pages = np.frombuffer(mmap.mmap(-1, inside + 2 * mmap.PAGESIZE), np.uint8)
    first = pages.ctypes.data
    fences = first, first + mmap.PAGESIZE + inside
    for fence in fences:
        _protect(fence, PROT_NONE)
    try:
        yield pages[mmap.PAGESIZE :][:inside]
    finally:
        for fence in fences:
            _protect(fence, mmap.PROT_READ | mmap.PROT_WRITE)


def _protect(page, access):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, access) == 0
