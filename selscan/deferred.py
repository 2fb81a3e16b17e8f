"""Where calls with tensors, and with arrays that JAX traces, go to: imported when the first comes.

A fork waits until they are (backends/forks.py). They are attributes of a module because
torch.compile, which follows a call through Python, looks up attributes but cannot take a lock.
"""

from .backends.forks import lock


def __getattr__(name):
    if name.endswith("_of_tensors"):
        with lock:
            from .torch import paths, route
        return globals().setdefault(name, getattr(paths if hasattr(paths, name) else route, name))
    if name.endswith("_of_tracers"):
        with lock:
            from .jax import route
        return globals().setdefault(name, getattr(route, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
