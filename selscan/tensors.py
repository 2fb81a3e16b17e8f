"""The functions of selscan.torch that calls with tensors go to, imported when the first comes.

A fork waits until they are (backends/forks.py). They are attributes of a module because
torch.compile, which follows a call through Python, looks up attributes but cannot take a lock.
"""

from .backends.forks import lock


def __getattr__(name):
    if not name.endswith("_of_tensors"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with lock:
        from .torch import paths, route
    return globals().setdefault(name, getattr(paths if hasattr(paths, name) else route, name))
