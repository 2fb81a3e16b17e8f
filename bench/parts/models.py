"""The tiny models by selscan and by loops in torch: images/s and peak memory, interleaved."""

import ctypes
import gc
import time

from bench.bench_models import NAMES
from bench.child import REUSE_HEAP, YIELD, call, progress
from bench.models import CELLS, WAYS, runner
from bench.parts.memory import CLEAR, MB, status
from bench.rows import Row, markdown, nothing, quantiles, short

FEWEST, MOST = 3, 15  # samples
QUICK = ("vim_tiny", "vmamba_tiny_s1l8", "efficientvmamba_tiny")
TOLERANCE = 1e-3  # of the largest score


def measure(options):
    """Rows of all models, ways, modes and thread counts, and of memory."""
    rows = []
    for name in QUICK if options.quick else NAMES:
        for threads in options.threads:
            request = {"model": name, "threads": threads, "budget": options.budget}
            rows += found(times, request, threads, REUSE_HEAP, [empty(name, "time", threads)])
        for way, mode in CELLS:
            request = {"model": name, "way": way, "mode": mode, "threads": threads}
            rows += found(memory, request, threads, YIELD, [empty(name, "memory", threads)])
    return rows


def found(child, request, threads, variables, otherwise):
    """The rows of a child; where it failed, others with the reason."""
    progress(f"models: {request}")
    try:
        return [Row(**row) for row in call(child, request, threads=threads, variables=variables)]
    except RuntimeError as error:
        return [Row(**vars(row) | {"note": str(error)}) for row in otherwise]


def times(request):
    """Seconds of each way and mode, in turns."""
    name, threads, budget = request["model"], request["threads"], request["budget"]
    clock = time.process_time if threads == 1 else time.perf_counter
    check(name)
    cells = {cell: (runner(name, *cell), []) for cell in CELLS}
    for run, _ in cells.values():
        run()
    gc.freeze()
    for _ in range(MOST):
        for run, taken in cells.values():
            if sum(taken) > budget and len(taken) >= FEWEST:
                continue
            gc.collect()
            start = clock()
            run()
            taken.append(clock() - start)
    unit = "images/s of CPU" if threads == 1 else "images/s"
    return [
        vars(Row(name, way, mode, "time", **speeds(taken), unit=unit, threads=threads))
        for (way, mode), (_, taken) in cells.items()
    ]


def speeds(taken):
    """Quantiles of images/s."""
    return quantiles([1 / x for x in taken])


def check(name):
    """All ways give the same scores."""
    ours, *others = (runner(name, way, "forward")() for way in WAYS)
    for scores in others:
        error = (ours - scores).abs().max() / scores.abs().max()
        if not error < TOLERANCE:
            raise ArithmeticError(f"{name}: the ways differ by {error:.1e}")


def memory(request):
    """The peak of one call above the model and its gradients, after one that warms up."""
    name, way, mode, threads = (request[x] for x in ("model", "way", "mode", "threads"))
    run = runner(name, way, mode)
    run()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")  # the high-water mark becomes what is resident now
    before = status("VmRSS")
    run()
    peak = quantiles([(status("VmHWM") - before) / MB])
    return [vars(Row(name, way, mode, "memory", **peak, unit="MB", threads=threads))]


def empty(name, metric, threads):
    """The row of a cell that was not measured."""
    return Row(name, "all", "all", metric, **nothing(), unit="", threads=threads)


def tables(rows):
    """Models down, ways and modes across: images/s for each thread count, and memory."""
    header = ["", *(f"{mode}, {way}" for way, mode in CELLS)]
    groups = dict.fromkeys((x.metric, x.threads if x.metric == "time" else None) for x in rows)
    for metric, threads in groups:
        chosen = [x for x in rows if x.metric == metric and threads in (None, x.threads)]
        cells = {(x.case, x.peer, x.mode): x.p50 for x in chosen}
        lines = [
            [name, *(short(cells.get((name, *cell))) for cell in CELLS)]
            for name in dict.fromkeys(x.case for x in chosen)
        ]
        yield f"{title(metric, threads)}\n\n{markdown(header, lines)}"
    yield "\n".join(f"- failed: {x.case}: {x.note}" for x in rows if x.peer == "all")


def title(metric, threads):
    """Of a table."""
    if metric == "memory":
        return "Peak memory of a call above the model, one image, MB"
    clock = "second of CPU time on 1 thread" if threads == 1 else f"second on {threads} threads"
    return f"Images of 224 x 224 a {clock}, batch 1, median"
