"""The first call in a process, with and without machine code on disk; what Python costs a call."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

from bench.child import ROOT
from bench.gpu import shapes
from bench.gpu.outcomes import ABSENT
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan import BackendUnavailable

PATIENCE = 120
WARM = 2  # processes
CALLS, BATCH = 3000, 50
CALLED = {"forward": "forward", "full": "forward + backward", "step": "step"}
TARGETS = {"cold": 2.0, "warm": 0.05}  # seconds of the first forward


def names(options):
    """Calls of a tiny scan, then first calls."""
    return [*(f"call, {mode}" for mode in CALLED), "first call"]


def run(name, options):
    """Rows of stages, or of one kind of call."""
    if name == "first call":
        with tempfile.TemporaryDirectory() as cache:
            yield from stages("cold", [once(cache)])
            yield from stages("warm", [once(cache) for _ in range(WARM)])
    else:
        yield from calls(name.rsplit(", ", 1)[1], options)


def once(cache):
    """Seconds by stage, from a process with this folder for what is kept on disk."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu.first"],
        env=os.environ | {"XDG_CACHE_HOME": cache, "CUPY_CACHE_DIR": f"{cache}/cupy"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"bench.gpu.first ended with {done.returncode}")
    return json.loads(done.stdout)


def stages(case, runs):
    """A row a stage."""
    row = Row(case, "selscan", "-", "first call", **nothing(), unit="s", threads=0)
    for stage in runs[0]:
        found = [run[stage] for run in runs]
        if stage == "note":
            yield replace(row, mode="first forward + backward", note=ABSENT + found[0])
        else:
            yield replace(row, mode=stage, **quantiles(found))


def calls(mode, options):
    """us of a call that does nearly nothing, launched and not waited for."""
    import torch

    from bench.gpu import inputs
    from bench.gpu.peers import ours
    from selscan.cases import Case

    length = 1 if mode == "step" else 4
    shape = shapes.Shape(Case("tiny", 1, 16, length, 16, 1, ""), True)
    row = Row("tiny", "selscan", mode, "call", **nothing(), unit="us", threads=0)
    call = ours(inputs.make(shape, 0), shape, mode, options)
    try:
        call()
    except BackendUnavailable as error:
        yield replace(row, note=ABSENT + str(error))
        return
    times = []
    for _ in range(CALLS // BATCH):
        torch.cuda.synchronize()  # so that the queue of launches is never full
        start = time.perf_counter()
        for _ in range(BATCH):
            call()
        times.append(1e6 * (time.perf_counter() - start) / BATCH)
    yield replace(row, **quantiles(times[len(times) // 10 :]))


def tables(rows, rates):
    """Stages down, cold and warm across; then the calls."""
    first = {(row.mode, row.case): row for row in rows if row.metric == "first call"}
    lines = [
        [mode, *(short(getattr(first.get((mode, case)), "p50", None)) for case in TARGETS)]
        for mode in dict.fromkeys(mode for mode, _ in first)
    ]
    if lines:
        aims = ", ".join(f"{case} {seconds:g} s" for case, seconds in TARGETS.items())
        title = f"First calls in a process, s (aim for the first forward: {aims})"
        yield f"{title}\n\n{markdown(['', *TARGETS], lines)}"
    lines = [
        [CALLED[row.mode], short(row.p20), short(row.p50), short(row.p80)]
        for row in rows
        if row.metric == "call"
    ]
    if lines:
        title = "A call with b = 1, d = 16, n = 16, l = 4 on the host, us"
        yield f"{title}\n\n{markdown(['', 'p20', 'p50', 'p80'], lines)}"
