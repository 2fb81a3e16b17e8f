"""A scan on several threads while another program keeps one of their CPUs busy, and without it."""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import asdict

from bench.child import call, progress
from bench.rows import Row, markdown, quantiles, short
from selscan.cases import CASES, make_inputs

SPIN = "while True: pass"
MODES = ("forward", "full")


def measure(options):
    """Rows for each number of threads above one."""
    rows = []
    for threads in (x for x in options.threads if x > 1):
        request = {"cases": options.cases, "threads": threads, "seconds": options.budget}
        rows += [Row(**row) for row in call(child, request, threads=threads)]
    return rows


@contextlib.contextmanager
def busy():
    """A program on the last CPU of this process, which does nothing, as fast as it can."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    try:
        yield
    finally:
        process.kill()
        process.wait()


def functions(case):
    """What is timed, by mode."""
    import torch

    import selscan

    inputs = {name: torch.from_numpy(x) for name, x in make_inputs(CASES[case]).items()}
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    dy = torch.ones_like(inputs["u"])

    def forward():
        selscan.scan(**inputs, delta_softplus=True)

    def full():
        y = selscan.scan(**leaves, delta_softplus=True)
        torch.autograd.grad(y, list(leaves.values()), dy)

    return {"forward": forward, "full": full}


def times(function, seconds):
    """Milliseconds of single calls, all but the first."""
    function()
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        start = time.perf_counter()
        function()
        found.append(1e3 * (time.perf_counter() - start))
    return found


def child(request):
    """Idle and busy take turns, so that both see the same machine."""
    rows, threads, turns = [], request["threads"], 4
    for case in request["cases"]:
        for mode, function in functions(case).items():
            progress(f"busy: {case}, {mode}, {threads} threads")
            found = {"idle": [], "busy": []}
            for _ in range(turns):
                found["idle"] += times(function, request["seconds"] / turns)
                with busy():
                    found["busy"] += times(function, request["seconds"] / turns)
            for what, values in found.items():
                row = Row(
                    case, "selscan", mode, what, **quantiles(values), unit="ms", threads=threads
                )
                rows.append(asdict(row))
    return rows


def tables(rows):
    """Cases across; idle and busy down."""
    cells = {(row.case, row.mode, row.metric, row.threads): row for row in rows}
    cases = list(dict.fromkeys(row.case for row in rows))
    for threads in sorted({row.threads for row in rows}):
        lines = [
            [f"{mode}, {what}"]
            + [
                f"{short(row.p50)} ({short(row.p20)} .. {short(row.p80)})"
                for row in (cells[case, mode, what, threads] for case in cases)
            ]
            for mode in MODES
            for what in ("idle", "busy")
        ]
        title = (
            f"One of {threads} CPUs busy with another program, wall clock on {threads} threads, ms"
        )
        yield f"{title}, median (p20 .. p80)\n\n{markdown(['', *cases], lines)}"
