"""Gather and scatter along the paths of the papers, each in three ways (bench/moves.py)."""

import time
from dataclasses import asdict

from bench.child import REUSE_HEAP, call
from bench.parts.time import Cell, interleave
from bench.peers import Peer
from bench.rows import Row, markdown, quantiles, short

MODES = ("gather", "scatter")


def measure(options):
    """Rows of all paths, ways, modes and thread counts."""
    rows = []
    for threads in options.threads:
        request = {"threads": threads, "budget": options.budget / 5}
        found = call(child, request, threads=threads, variables=REUSE_HEAP)
        rows += [Row(**row) for row in found]
    return rows


def child(request):
    """All of them, in one process; the ways take turns."""
    import torch

    from bench.moves import PATHS, SHAPE, WAYS, check

    threads, rows = request["threads"], []
    clock = time.process_time if threads == 1 else time.perf_counter
    x = torch.randn(SHAPE)
    for name in PATHS:
        check(name)
        y = WAYS["selscan"](name)[0](x)
        cells = [
            Cell(Peer(way, None, lambda data, _, move=move: move(data)), mode, data, 0)
            for way, functions in WAYS.items()
            for mode, move, data in zip(MODES, functions(name), (x, y), strict=True)
        ]
        interleave(cells, clock, request["budget"], f"{name}, {threads} threads")
        unit = "ms of CPU" if threads == 1 else "ms"
        for cell in cells:
            numbers = quantiles([1e3 * t for t in cell.times])
            row = Row(
                name, cell.peer.name, cell.mode, "time", **numbers, unit=unit, threads=threads
            )
            rows.append(asdict(row))
    return rows


def tables(rows):
    """One table for each mode and thread count: ways down, paths across, ratio to selscan."""
    for threads in sorted({row.threads for row in rows}):
        for mode in MODES:
            chosen = [row for row in rows if row.mode == mode and row.threads == threads]
            cells = {(row.case, row.peer): row.p50 for row in chosen}
            cases, ways = (
                list(dict.fromkeys(getattr(x, k) for x in chosen)) for k in ("case", "peer")
            )
            lines = [
                [way, *(text(cells[case, way], cells[case, "selscan"], way) for case in cases)]
                for way in ways
            ]
            clock = "CPU time on 1 thread" if threads == 1 else f"wall clock on {threads} threads"
            title = f"{mode}, (4, 192, 56, 56), float32, {clock}, ms, median (ratio to selscan)"
            yield f"{title}\n\n{markdown(['', *cases], lines)}"


def text(value, own, way):
    """A median and its ratio to selscan's."""
    return short(value) + ("" if way == "selscan" else f" ({short(value / own)}x)")
