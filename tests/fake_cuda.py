"""torch.cuda without a GPU: events have the host's time, a graph replays nothing."""

import contextlib
import time
from types import SimpleNamespace

import pytest

from bench.gpu import places
from selscan import backends

OPTIONS = {"emulate": True, "mamba": None}  # of bench.gpu


@pytest.fixture
def place(monkeypatch):
    """Tensors on the CPU pass for ones on a GPU, where kernels are emulated."""
    with places.emulator() as found:
        monkeypatch.setattr(places, "here", lambda emulate: found)
        yield found
    backends.forget()


class Event:
    """In the place of torch.cuda.Event."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self._time = time.perf_counter()

    def elapsed_time(self, other):
        return 1e3 * (other._time - self._time)


class Graph:
    """In the place of torch.cuda.CUDAGraph; `captured` counts them."""

    captured = 0

    def replay(self):
        time.sleep(1e-5)


@contextlib.contextmanager
def capture(graph):
    assert isinstance(graph, Graph)
    Graph.captured += 1
    yield


def stream():
    return SimpleNamespace(wait_stream=lambda other: None, synchronize=lambda: None, cuda_stream=0)


def install(patch, cache=1000):
    """Functions of torch.cuda for a device with so many bytes of L2 cache."""
    import torch

    from bench.gpu import inputs, timing

    patch.setattr(inputs, "DEVICE", "cpu")
    patch.setattr(timing, "MOST", 10)
    patch.setattr(Graph, "captured", 0)
    functions = {
        "Event": Event,
        "CUDAGraph": Graph,
        "graph": capture,
        "Stream": stream,
        "current_stream": stream,
        "stream": lambda side: contextlib.nullcontext(),
        "synchronize": lambda: None,
        "_sleep": lambda cycles: None,
        "get_device_properties": lambda number: SimpleNamespace(L2_cache_size=cache),
        "mem_get_info": lambda: (10**9, 10**9),
        "memory_allocated": lambda: 1_000_000,
        "max_memory_allocated": lambda: 3_000_000,
        "reset_peak_memory_stats": lambda: None,
    }
    for name, function in functions.items():
        patch.setattr(torch.cuda, name, function)
