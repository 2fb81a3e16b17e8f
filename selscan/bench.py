"""Times of the usable backends on the shapes in cases.py (python -m selscan bench)."""

import dataclasses
import itertools
import json
import sys
import time

import numpy as np

import selscan
from selscan.cases import CASES, make_inputs
from selscan.machine import machine
from selscan.progress import progress, say

ON_GPU = ("cupy", "numba_cuda")
LEAST = 3


def measure(function, seconds):
    """Durations in ms of at least three calls, after one that may compile or load kernels."""
    function()
    durations = []
    while len(durations) < LEAST or sum(durations) < 1e3 * seconds:
        start = time.perf_counter()
        function()
        durations.append(1e3 * (time.perf_counter() - start))
    return durations


def operations(backend, inputs, layout):
    """(name, function) pairs on NumPy arrays: scan_backward computes the states anew."""
    keywords = {"delta_softplus": True, "layout": layout, "backend": backend}
    dy = np.ones_like(inputs["u"])

    def forward():
        return selscan.scan(**inputs, **keywords)

    def backward():
        return selscan.scan_backward(dy, **inputs, **keywords)

    def both():
        return forward(), backward()

    return ("forward", forward), ("backward", backward), ("forward+backward", both)


def jobs(cases, backends, dtype, layout):
    """(case, backend, operation, function) of all there is to time, inputs made one case a time."""
    for case in cases:
        inputs = make_inputs(case, dtype, layout=layout)
        for backend in backends:
            for operation, function in operations(backend, inputs, layout):
                yield case, backend, operation, function


def timed(jobs, total, seconds):
    """One dict a job."""
    for case, backend, operation, function in progress(jobs, total, described):
        p20, p50, p80 = np.percentile(measure(function, seconds), (20, 50, 80)).tolist()
        row = {"backend": backend, "operation": operation, "case": dataclasses.asdict(case)}
        yield row | {"p20_ms": p20, "p50_ms": p50, "p80_ms": p80}


def described(job):
    case, backend, operation, _ = job
    return f"{case.name}, {backend}, {operation}"


def print_cases():
    """Print the name and shape of every case."""
    print(f"{'name':27s}  b    d    l  n g")
    for case in CASES.values():
        print(
            f"{case.name:27s} {case.batch:2d} {case.dim:4d} {case.length:4d} "
            f"{case.d_state:2d} {case.groups}  {case.note}"
        )


def print_rows(rows):
    """Print one line a row as it comes, under one heading a case."""
    for name, group in itertools.groupby(rows, key=lambda row: row["case"]["name"]):
        case = CASES[name]
        shape = f"({case.batch}, {case.dim}, {case.length})"
        say(f"\n{name}: u {shape}, n = {case.d_state}, g = {case.groups}")
        for row in group:
            say(
                f"  {row['backend']:12s} {row['operation']:16s} "
                f"{row['p20_ms']:10.3f} {row['p50_ms']:10.3f} {row['p80_ms']:10.3f}"
            )


def set_threads(args):
    """Apply --threads to the CPU backend."""
    import numba

    most = numba.config.NUMBA_NUM_THREADS
    if not 1 <= args.threads <= most:
        args.error(f"--threads must be 1 .. {most}, what Numba started with; got {args.threads}")
    numba.set_num_threads(args.threads)


def bench(args):
    """Print what was asked for; the exit code."""
    if args.list:
        print_cases()
        return 0
    if args.threads is not None:
        set_threads(args)
    # A GPU's kernels would be timed as they are started, not as they run.
    usable = [x for x in selscan.list_backends() if x.usable and x.name not in ON_GPU]
    if not usable:
        print("no backend is usable; python -m selscan says why", file=sys.stderr)
        return 1
    cases = [CASES[name] for name in args.case]
    names = [info.name for info in usable]
    todo = jobs(cases, names, args.dtype, args.layout)
    rows = timed(todo, 3 * len(cases) * len(names), args.seconds)
    if args.json:
        settings = {"dtype": args.dtype, "layout": args.layout, "threads": args.threads}
        found = {"machine": dict(machine()), "backends": {x.name: x.detail for x in usable}}
        print(json.dumps(found | settings | {"results": list(rows)}, indent=1))
        return 0
    print(f"{args.dtype}, layout {args.layout}, NumPy arrays, quantiles in ms")
    print(f"  {'backend':12s} {'operation':16s} {'p20':>10s} {'p50':>10s} {'p80':>10s}")
    print_rows(rows)
    return 0
