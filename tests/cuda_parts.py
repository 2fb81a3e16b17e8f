"""Parts of the loader of CUDA kernels as its tests need them: small sources, fakes of hardware."""

import contextlib
import threading
from pathlib import Path

from selscan.backends.cupy.compiler import Compiled
from selscan.backends.cupy.nvrtc import Loader
from selscan.backends.cupy.store import Store

SOURCES = Path(__file__).parent / "cuda"
INSTANCES = {
    "pieces.cu": (
        "exponential<float, 4>",
        "exponential<__half, 4>",
        "exponential<__nv_bfloat16, 4>",
        "block_sum<8>",
        "reverse_rows<96>",
        "local_array<16>",
        "spill<64>",
    )
}
FILE, NAME = "pieces.cu", "exponential<float, 4>"


class Gpu:
    """In the place of gpu.py: devices that keep what was loaded onto them."""

    def __init__(self, capabilities=(90,), release=13):
        self.capabilities, self.release = capabilities, release
        self.loaded = []

    def driver(self):
        return self.release

    def capability(self, device):
        return self.capabilities[device]

    def load(self, image, name, device):
        self.loaded.append((image, name, device))
        return lambda grid, block, args, shared_mem=0: (name, device)


class Nvrtc:
    """In the place of the compiler: one that notes what it compiles."""

    identity = (13, 4, 0, "headers")

    def __init__(self, image=b"machine code", during=contextlib.nullcontext):
        self.image, self.during = image, during
        self.compiled = []
        self._lock = threading.Lock()

    def __str__(self):
        return "NVRTC 13.4"

    def target(self, capability):
        return f"sm_{capability}"

    def compile(self, text, file, names, target):
        with self._lock:
            self.compiled.append((*names, target))
        with self.during():
            return Compiled(self.image, {name: f"_Z{name}" for name in names}, "no log")


def make_loader(directory, nvrtc, gpu=None, instances=INSTANCES, folder=SOURCES):
    """A loader with a cache of its own; `nvrtc` is a compiler, a fake one or a true one."""
    store = Store(lambda: directory)
    return Loader(instances, folder, gpu or Gpu(), store, lambda release: nvrtc)


def in_threads(count, work):
    """Call work(i) in threads that start together."""
    barrier = threading.Barrier(count)

    def run(i):
        barrier.wait(60)
        work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
