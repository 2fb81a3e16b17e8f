"""The first call in a process: imports and compilation, and the same with a warm disk cache.

The clock is in bench/first.py, which imports nothing before it starts.
"""

import tempfile
from dataclasses import asdict

from bench.child import call, progress
from bench.first import first_calls
from bench.rows import Row, markdown, nothing, quantiles, short

REPEATS = 5
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
                once(framework, cache, f"{framework}, run {i}")
                for i in range(1 + (2 if options.quick else REPEATS))
            ]
        rows += rows_of(f"{framework}, cold cache", runs[:1])
        rows += rows_of(f"{framework}, warm cache", runs[1:])
    return rows


def once(framework, cache, label):
    """One fresh process, {mode: seconds}, or the reason why it failed."""
    progress(f"start: {label}")
    try:
        return call(first_calls, framework, variables={"NUMBA_CACHE_DIR": cache})
    except RuntimeError as error:
        return {"reason": str(error)}


def rows_of(case, runs):
    """A row for each mode, or one with the reason."""
    row = Row(case, "selscan", "all", "first call", **nothing(), unit="s", threads=0)
    if reasons := [run["reason"] for run in runs if "reason" in run]:
        return [Row(**asdict(row) | {"note": reasons[0]})]
    return [
        Row(**asdict(row) | quantiles([run[mode] for run in runs]) | {"mode": mode})
        for mode in TITLES
    ]


def tables(rows):
    """Stages down, cold and warm across."""
    cases = list(dict.fromkeys(row.case for row in rows))
    cells = {(row.case, row.mode): row.p50 for row in rows}
    lines = [
        [title, *(short(cells.get((case, mode))) for case in cases)]
        for mode, title in TITLES.items()
    ]
    yield f"First call in a fresh process, s, median\n\n{markdown(['', *cases], lines)}"
    yield "\n".join(f"- not measured: {row.case}: {row.note}" for row in rows if row.note)
