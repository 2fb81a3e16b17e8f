"""The first call in a process: imports and compilation, and the same with a warm disk cache.

The clock of selscan's calls is in bench/first.py, which imports nothing before it starts. For peers
that compile, torch is imported before.
"""

import tempfile
import time
from dataclasses import asdict

from bench.child import call, progress
from bench.first import first_calls
from bench.peers import PEERS, make_dy
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan.cases import Case, make_inputs

REPEATS = 5
CASE = Case("first", 1, 64, 128, 16, 1, "as bench/first.py")
COMPILED = ("selscan_jax", "jax_scan", "associative_compiled")
CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
TITLES = {
    "import numpy": "import numpy",
    "import selscan": "import selscan, after numpy",
    "forward": "first forward",
    "backward": "first backward",
    "total": "import selscan, forward, backward",
}


def measure(options):
    """Rows of a cold cache, then of a warm one, through NumPy and through torch."""
    rows = []
    for framework in ("numpy", "torch"):
        with tempfile.TemporaryDirectory() as cache:
            runs = [
                once(first_calls, framework, cache, f"{framework}, run {i}")
                for i in range(1 + (2 if options.quick else REPEATS))
            ]
        rows += rows_of(f"{framework}, cold cache", runs[:1])
        rows += rows_of(f"{framework}, warm cache", runs[1:])
    for name in (x for x in COMPILED if x in options.peers and not PEERS[x].missing()):
        with tempfile.TemporaryDirectory() as cache:
            runs = [once(first_of_peer, name, cache, f"{name}, run {i}") for i in range(2)]
        for state, run in zip(("cold", "warm"), runs, strict=True):
            rows += rows_of(f"peers, {state} cache", [run], name, ("total",))
    return rows


def first_of_peer(name):
    """Seconds of the first forward and backward, with what compiles them."""
    peer = PEERS[name]
    inputs, dy = make_inputs(CASE), make_dy(CASE)
    start = time.perf_counter()
    data = peer.prepare(inputs, dy)
    for backward in (False, True):
        peer.run(data, backward)
    return {"total": time.perf_counter() - start}


def once(function, argument, cache, label):
    """One fresh process, {mode: seconds}, or the reason why it failed."""
    progress(f"start: {label}")
    try:
        return call(function, argument, variables=dict.fromkeys(CACHES, cache))
    except RuntimeError as error:
        return {"reason": str(error)}


def rows_of(case, runs, peer="selscan", modes=tuple(TITLES)):
    """A row for each mode, or one with the reason."""
    row = Row(case, peer, "all", "first call", **nothing(), unit="s", threads=0)
    if reasons := [run["reason"] for run in runs if "reason" in run]:
        return [Row(**asdict(row) | {"note": reasons[0]})]
    return [
        Row(**asdict(row) | quantiles([run[mode] for run in runs]) | {"mode": mode})
        for mode in modes
    ]


def tables(rows):
    """Stages down, cold and warm across; then peers down."""
    ours = [row for row in rows if row.peer == "selscan"]
    cases = list(dict.fromkeys(row.case for row in ours))
    cells = {(row.case, row.mode): row.p50 for row in ours}
    lines = [
        [title, *(short(cells.get((case, mode))) for case in cases)]
        for mode, title in TITLES.items()
    ]
    yield f"First call in a fresh process, s, median\n\n{markdown(['', *cases], lines)}"
    others = {(row.peer, row.case): row.p50 for row in rows if row.peer != "selscan"}
    cases = list(dict.fromkeys(case for _, case in others))
    lines = [
        [peer, *(short(others.get((peer, case))) for case in cases)]
        for peer in dict.fromkeys(peer for peer, _ in others)
    ]
    title = "Compiling, forward and backward of peers in a fresh process, s"
    yield f"{title}\n\n{markdown(['', *cases], lines)}" if lines else ""
    yield "\n".join(
        f"- not measured: {row.peer}, {row.case}: {row.note}" for row in rows if row.note
    )
