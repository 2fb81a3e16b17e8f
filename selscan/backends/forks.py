"""What a fork waits for: a child has none of the threads that held a lock at that moment.

A child that is forked while another thread imports, compiles, loads or keeps a kernel would wait
for ever for the locks of that module, of Numba or of LLVM. So all such work of a first call is done
under one lock, which a fork takes first.
"""

import logging  # noqa: F401 - see below
import os
import threading

lock = threading.RLock()
_others = []  # taken after `lock`, in this order
_taken = []


def hold(*locks):
    """Take these context managers too before a fork; called under the lock, where one imports."""
    _others.extend(locks)


def _before():
    lock.__enter__()
    _taken.append(lock)
    for each in _others:  # read while the lock is held: a first call may just have added some
        each.__enter__()
        _taken.append(each)


def _after():
    taken = _taken[::-1]
    _taken.clear()  # while the lock is held: another thread may be about to fork
    for each in taken:
        each.__exit__(None, None, None)


# Hooks run newest first. That of `logging` takes a lock too, which a thread that compiles may want
# while it has ours: it is older here, so both take ours first.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
