"""What Python does for a call on a GPU, without one: the kernel is a function that does nothing.

Tensors on the CPU pass for ones on a GPU. All of a call is there but CuPy's launch: looking at the
arguments, the plan from the cache, torch's allocation of the results (on the CPU), the stream (an
integer), the struct of the kernel's arguments, the look-up of the kernel, and the function that has
it started on its device.
"""

import contextlib
from dataclasses import asdict
from types import SimpleNamespace
from unittest import mock

from bench.child import call, progress
from bench.parts.overhead import call_times
from bench.peers import PEERS
from bench.rows import Row, markdown, nothing, quantiles, short

CALLS = 20_000


def measure(options):
    """Rows for one thread."""
    request = {"calls": CALLS // (10 if options.quick else 1)}
    return [Row(**row) for row in call(child, request, threads=1)]


class Nowhere:
    """In the place of the compiled kernels on disk."""

    def get(self, key, names):
        """There is none."""

    def put(self, key, compiled):
        """Not kept."""


class Compiler:
    """In the place of NVRTC."""

    identity = ()

    def target(self, capability):
        return f"sm_{capability}"

    def compile(self, text, file, names, target):
        from selscan.backends.cupy.compiler import Compiled

        return Compiled(b"", {name: name for name in names}, "")


def pretend(patch):
    """Let torch's tensors on the CPU pass for ones on cuda:0, whose kernels do nothing."""
    import torch

    from selscan.arrays import torch as arrays
    from selscan.backends.cupy import gpu, nvrtc, plan
    from selscan.backends.cupy.instances import INSTANCES
    from selscan.backends.cupy.paste import SOURCES

    def allocate(self, output):
        shape, strides, dtype = output.recipe
        return self._empty(shape, strides, dtype=dtype, device="cpu")

    def start(grid, block, args, shared_mem, stream):
        """In the place of CuPy's launch."""

    def current(number):
        """In the place of torch's function."""
        return 0

    device = torch.device("cuda:0")
    runtime = SimpleNamespace(getDevice=lambda: 0)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime, Device=None))
    load = SimpleNamespace(
        driver=lambda: 13,
        capability=lambda number: 90,
        load=lambda image, name, number: gpu.Function(cupy, start, number),
    )
    loader = nvrtc.Loader(INSTANCES, SOURCES, load, Nowhere(), lambda release: Compiler())
    patch(nvrtc, "check", loader.check)
    patch(nvrtc, "kernel", loader.kernel)
    patch(gpu, "properties", lambda number: plan.Device())
    patch(arrays.CudaTensors, "allocate", allocate)
    patch(arrays.CudaTensors, "stream", lambda self: current(self._number))
    patch(arrays.TorchArrays, "device", staticmethod(lambda found: str(device)))


def functions():
    """(mode, function) pairs."""
    import torch

    import selscan

    rows = {name: torch.ones(1, 16, 4) for name in ("u", "delta")}
    A, D = -torch.ones(16, 16), torch.ones(16)
    shared = torch.ones(1, 16, 4)
    scan = {**rows, "A": A, "B": shared, "C": shared, "D": D, "delta_bias": D}
    step = {x: v[..., 0] if v.dim() == 3 else v for x, v in scan.items()}
    state = torch.zeros(1, 16, 16)
    return {
        "scan": lambda: selscan.scan(**scan, delta_softplus=True),
        "scan, with the last state": lambda: selscan.scan(
            **scan, delta_softplus=True, return_last_state=True
        ),
        "scan_step": lambda: selscan.scan_step(state, **step, delta_softplus=True),
    }


def child(request):
    """Times of single calls in us."""
    row = Row("tiny", "selscan", "forward", "launch", **nothing(), unit="us", threads=1)
    if reason := PEERS["selscan"].missing():
        return [asdict(row) | {"note": reason}]
    rows = []
    with contextlib.ExitStack() as patches:
        pretend(lambda *what: patches.enter_context(mock.patch.object(*what)))
        for mode, function in functions().items():
            progress(f"launch: {mode}")
            times = call_times(function, request["calls"])
            rows.append(asdict(row) | quantiles(times) | {"mode": mode})
    return rows


def tables(rows):
    """Modes down; p20, p50 and p80 across."""
    lines = [[row.mode, *(short(x) for x in (row.p20, row.p50, row.p80))] for row in rows]
    yield (
        "Python's part of a call on CUDA tensors, no GPU: b = 1, d = 16, n = 16, l = 4, us\n\n"
        f"{markdown(['', 'p20', 'p50', 'p80'], lines)}"
    )
    yield "\n".join(f"- not measured: {row.note}" for row in rows if row.note)
