"""Scans over maps: fused, unfused and by torch alone, forward and with backward, interleaved."""

import gc
import time

import torch

from bench.child import REUSE_HEAP, call, progress
from bench.maps import CASES, WAYS, make_inputs
from bench.rows import Row, markdown, nothing, quantiles, short

MODES = {"forward": "forward", "full": "forward + backward"}
TOLERANCE = 1e-4  # of the largest value
FEWEST, MOST = 3, 20  # samples
LONGEST_LOOP = 4000  # steps: a torch loop over more takes minutes


def measure(options):
    """Rows of all cases, ways, modes and thread counts; few cases where `quick`."""
    names = [x for x in CASES if not options.quick or CASES[x].side <= 28]
    rows = []
    for threads in options.threads:
        for name in names:
            ways = [way for way in WAYS if "torch" not in way or "loop_step" in options.peers]
            request = {"case": name, "threads": threads, "budget": options.budget, "ways": ways}
            try:
                found = call(child, request, threads=threads, variables=REUSE_HEAP)
            except RuntimeError as error:
                rows.append(empty(name, "all", "all", threads, str(error)))
            else:
                rows += [Row(**row) for row in found]
    return rows


def child(request):
    """Measure one case."""
    name, threads, budget = request["case"], request["threads"], request["budget"]
    case, clock = CASES[name], time.process_time if threads == 1 else time.perf_counter
    path, rows, cells = case.path(), [], {}
    check(case)
    for way in request["ways"]:
        function, in_order = WAYS[way]
        if "torch" in way and path.table.shape[1] > LONGEST_LOOP:
            rows += [vars(empty(name, way, mode, threads, "a long loop")) for mode in MODES]
            continue
        inputs, dy = make_inputs(case, in_order)
        for mode in MODES:
            cells[way, mode] = (runner(function, path, inputs, dy, mode), [])
    for run, _ in cells.values():
        run()
    gc.freeze()
    for i in range(MOST):
        for (way, mode), (run, times) in cells.items():
            if sum(times) > budget and len(times) >= FEWEST:
                continue
            progress(f"{name}, {threads} threads: round {i + 1}, {way}, {mode}")
            gc.collect()
            start = clock()
            run()
            times.append(clock() - start)
    unit = "ms of CPU" if threads == 1 else "ms"
    for (way, mode), (_, times) in cells.items():
        spread = quantiles([1e3 * x for x in times])
        rows.append(vars(Row(name, way, mode, "time", **spread, unit=unit, threads=threads)))
    return rows


def runner(function, path, inputs, dy, mode):
    """A call without arguments."""
    if mode == "full":
        wanted = list(inputs.values())
        return lambda: torch.autograd.grad(function(path, **inputs), wanted, dy)
    detached = {x: v.detach() for x, v in inputs.items()}
    return lambda: function(path, **detached)


def check(case):
    """All ways that take the same inputs agree on one batch element."""
    small = type(case)(**vars(case) | {"batch": 1, "dim": 17})
    path = small.path()
    for in_order in (False, True):
        inputs, _ = make_inputs(small, in_order)
        found = [f(path, **inputs) for f, order in WAYS.values() if order == in_order][:2]
        error = (found[0] - found[1]).abs().max() / found[1].abs().max()
        if not error < TOLERANCE:
            raise ArithmeticError(f"{case.name}: the ways differ by {error:.1e}")


def empty(case, way, mode, threads, reason):
    """The row of a cell that was not measured."""
    return Row(case, way, mode, "time", **nothing(), unit="ms", threads=threads, note=reason)


def tables(rows):
    """One table for each mode and thread count: cases down, ways across."""
    for threads in sorted({row.threads for row in rows}):
        for mode, title in MODES.items():
            chosen = [x for x in rows if x.mode == mode and x.threads == threads]
            medians = {(x.case, x.peer): x.p50 for x in chosen}
            lines = [
                [case, *(short(medians.get((case, way))) for way in WAYS)]
                for case in dict.fromkeys(x.case for x in chosen)
            ]
            clock = "CPU time on 1 thread" if threads == 1 else f"wall clock on {threads} threads"
            yield f"{title}, {clock}, ms, median\n\n{markdown(['', *WAYS], lines)}"
    yield "\n".join(f"- failed: {x.case}: {x.note}" for x in rows if x.peer == "all")
