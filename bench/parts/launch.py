"""What the host does for a call on a GPU, without one: kernels do nothing.

With CuPy installed it is the true CuPy on the driver of tests/driver, which takes launches and
carries none of them out: arrays of CuPy, and tensors on the CPU that pass for ones on a GPU.
Without CuPy tensors alone, up to the launch. What CUDA's own driver takes is not in these numbers.
"""

import contextlib
import sys
from dataclasses import asdict
from types import SimpleNamespace
from unittest import mock

from bench.child import ROOT, call, progress
from bench.parts.overhead import call_times
from bench.peers import PEERS
from bench.rows import Row, markdown, nothing, quantiles, short

CALLS = 20_000
ROUNDS = 5  # in turns, as the machine may be busy for a while
WHOLE, PIECE = "launch", "piece"


def measure(options):
    """Rows for one thread; each kind of arrays in a process of its own."""
    request = {"calls": CALLS // (10 if options.quick else 1) // ROUNDS}
    return [
        Row(**row)
        for kind in ("tensors", "CuPy arrays")
        for row in call(child, request | {"kind": kind}, threads=1)
    ]


# ---- in the place of a GPU -----------------------------------------------------------------------


def driver():
    """The module tests/driver, put in its place; or why it cannot be."""
    tests = str(ROOT / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    import driver

    if reason := driver.missing():
        return None, reason
    driver.install()
    return driver, ""


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


def without_cupy(patch):
    """Functions that do nothing in the place of kernels."""
    from selscan.backends.cupy import gpu, nvrtc, plan
    from selscan.backends.cupy.instances import INSTANCES
    from selscan.backends.cupy.paste import SOURCES

    def start(grid, block, args, shared_mem, stream):
        """In the place of CuPy's launch."""

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


def tensors_pass_for_cuda(patch):
    """Let torch's tensors on the CPU pass for ones on cuda:0."""
    from selscan.arrays import torch as arrays

    def allocate(self, output):
        shape, strides, dtype = output.recipe
        return self._empty(shape, strides, dtype=dtype, device="cpu")

    def current(number):
        """In the place of torch's function."""
        return 0

    patch(arrays.CudaTensors, "allocate", allocate)
    patch(arrays.CudaTensors, "runs_on", lambda self: current(self._number))
    patch(arrays.TorchArrays, "device", staticmethod(lambda found: "cuda:0"))


# ---- calls ---------------------------------------------------------------------------------------


def functions(array):
    """(mode, function) pairs; `array(shape, value)` makes an array."""
    import selscan

    rows = {name: array((1, 16, 4), 1) for name in ("u", "delta")}
    A, D = array((16, 16), -1), array((16,), 1)
    shared = array((1, 16, 4), 1)
    scan = {**rows, "A": A, "B": shared, "C": shared, "D": D, "delta_bias": D}
    one, row = array((1, 16), 1), array((1, 16), 1)
    step = {**scan, "u": row, "delta": row, "B": one, "C": one}
    state = array((1, 16, 16), 0)
    return {
        "scan": lambda: selscan.scan(**scan, delta_softplus=True),
        "scan, with the last state": lambda: selscan.scan(
            **scan, delta_softplus=True, return_last_state=True
        ),
        "scan_step": lambda: selscan.scan_step(state, **step, delta_softplus=True),
    }


def pieces(scan):
    """(name, function) of what a call of selscan.scan consists of, each of them alone."""
    from selscan.backends.cupy import nvrtc
    from selscan.ops import scan as ops

    with mock.patch.object(ops, "request", wraps=ops.request) as asked:
        scan()
    [given] = asked.call_args_list
    request, inputs = ops.request(*given.args, **given.kwargs), given.args[2]
    prepared, framework = ops.prepare_forward(request, False, False, True), request.framework
    plan, results = prepared.plan, prepared.sinks.allocate(framework)

    def addresses():
        found, _ = prepared.sinks.written(framework, results)
        return found | {name: framework.address(inputs[i]) for i, name in prepared.given}

    known = addresses()
    struct = plan.arguments.fill(known)
    kernel = nvrtc.kernel(plan.file, plan.name, plan.device)
    stream = framework.runs_on()
    return {
        "looking at the arguments": lambda: ops.request(*given.args, **given.kwargs),
        "the plan, from the cache": lambda: ops.prepare_forward(request, False, False, True),
        "memory of the result": lambda: prepared.sinks.allocate(framework),
        "addresses": addresses,
        "the struct of the kernel": lambda: plan.arguments.fill(known),
        "the current stream": framework.runs_on,
        "finding the kernel": lambda: nvrtc.kernel(plan.file, plan.name, plan.device),
        "the launch, CuPy's part with it": lambda: kernel(
            (plan.grid,), (plan.block,), (struct,), plan.shared, stream
        ),
    }


def child(request):
    """Times of single calls in us, of one kind of arrays."""
    kind = request["kind"]
    row = Row(kind, "selscan", "-", WHOLE, **nothing(), unit="us", threads=1)
    own, reason = driver()
    note = f"without CuPy's part: {reason}" if reason else ""
    if kind == "tensors":
        reason = PEERS["selscan"].missing()
    if reason:
        return [asdict(row) | {"note": reason}]
    with contextlib.ExitStack() as patches:
        patch = lambda *what: patches.enter_context(mock.patch.object(*what))  # noqa: E731
        array = array_of_cupy
        if kind == "tensors":
            array = tensor
            tensors_pass_for_cuda(patch)
            if own is None:
                without_cupy(patch)
        return [asdict(row) | found | {"note": note} for found in times(array, request["calls"])]


def tensor(shape, value):
    import torch

    return torch.full(shape, float(value))


def array_of_cupy(shape, value):
    import cupy
    import numpy as np

    return cupy.asarray(np.full(shape, value, np.float32))


def times(array, calls):
    """Times of calls and of the pieces of one, in turns."""
    calls_of = functions(array)
    calls_of["scan"]()
    timed = {(WHOLE, mode): function for mode, function in calls_of.items()}
    timed |= {(PIECE, mode): function for mode, function in pieces(calls_of["scan"]).items()}
    found = {key: [] for key in timed}
    for number in range(ROUNDS):
        for (metric, mode), function in timed.items():
            progress(f"{metric} {number}: {mode}")
            found[metric, mode] += call_times(function, calls)
    for (metric, mode), numbers in found.items():
        yield quantiles(numbers) | {"metric": metric, "mode": mode}


def quantiles_of(row):
    return " / ".join(map(short, (row.p20, row.p50, row.p80))) if row else "-"


def tables(rows):
    """Modes down, kinds of arrays across; the same of the pieces."""
    kinds = list(dict.fromkeys(row.case for row in rows if row.p50 is not None))
    titles = {
        WHOLE: "A call on CUDA arrays, kernels that do nothing: b = 1, d = 16, n = 16, l = 4, us",
        PIECE: "The pieces of a call of scan, each alone, us",
    }
    for metric, title in titles.items():
        cells = {(row.mode, row.case): row for row in rows if row.metric == metric}
        lines = [
            [mode, *(quantiles_of(cells.get((mode, kind))) for kind in kinds)]
            for mode in dict.fromkeys(mode for mode, _ in cells if mode != "-")
        ]
        if lines:
            yield f"{title}, p20 / p50 / p80\n\n{markdown(['', *kinds], lines)}"
    notes = dict.fromkeys(f"{row.case}: {row.note}" for row in rows if row.note)
    yield "\n".join(f"- {note}" for note in notes)
