"""Results of paths that are kept for the next call: few, and few bytes of them.

Models ask for the same few paths at every call. What belongs to a path is as large as its table or
larger, so that a bound on the number of results alone would bound nothing: a program that makes a
path for each batch would keep some gigabytes.
"""

import functools
import itertools
import os
import threading

# Results of a function, and bytes of them and of their arguments; the last one is kept in any case.
KEPT = 64
MOST_BYTES = 1 << 26


_lock = threading.Lock()


def _renew():
    """In a forked child: a thread that it does not have may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def keeping(function):
    """The function, which returns one of its results of late again; arguments are positional.

    As functools.lru_cache otherwise: threads may call it at once, and what it raises is not kept.
    """
    entries, ticks = {}, itertools.count()

    @functools.wraps(function)
    def call(*arguments):
        entry = entries.get(arguments)
        if entry is None:
            entry = [function(*arguments), 0, size_of(arguments)]
            entry[2] += size_of(entry[0])
            with _lock:
                entries[arguments] = entry
                entry[1] = next(ticks)
                shrink(entries)
        else:
            entry[1] = next(ticks)
        return entry[0]

    def clear():
        with _lock:
            entries.clear()

    call.cache_clear = clear
    return call


def shrink(entries):
    """Drop those that were asked for longest ago until few are left."""
    while len(entries) > KEPT or (len(entries) > 1 and bytes_of(entries) > MOST_BYTES):
        del entries[min(entries, key=lambda arguments: entries[arguments][1])]


def bytes_of(entries):
    """Bytes of all that is kept."""
    return sum(entry[2] for entry in entries.values())


def size_of(value):
    """Bytes of the arrays, paths, plans and strings in a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, tuple | list):
        return sum(map(size_of, value))
    size = getattr(value, "nbytes", 0)
    return size if isinstance(size, int) else 0  # a class has a property there
