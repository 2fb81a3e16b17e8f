"""What a run found, in at most 40 lines: summary.txt, also printed at the end."""

from bench.gpu import limits, report, shapes
from bench.gpu.parts import FIRST
from bench.gpu.parts.speed import OTHERS
from bench.rows import short

LINES, WIDTH = 40, 110
FAILURES = 6  # that are named


def summary(rows):
    """Whether it is right, how fast it is against each peer and the limit, what failed."""
    every = [row for _, row in rows]
    lines = [report.summary(every), *correctness(rows), *starts(rows)]
    failures = [f"{part}, {row.case}: {row.note}" for part, row in rows if report.failed(row)]
    shown = failures[:FAILURES]
    if len(failures) > len(shown):
        shown.append(f"and {len(failures) - len(shown)} failures more, see report.md")
    room = LINES - len(lines) - len(shown)
    return "\n".join(line[:WIDTH] for line in [*lines, *speeds(rows, room), *shown][:LINES])


def correctness(rows):
    """The gate, the problems against float64, and compute-sanitizer."""
    gate = [row for part, row in rows if part == FIRST and row.case == "gate"]
    if gate:
        found = ", ".join(f"{row.mode} {short(row.p50)}" for row in gate if row.p50 is not None)
        state = "SHUT" if any(map(report.failed, gate)) else "open" if found else gate[0].note
        yield f"gate: {state} {found}".rstrip()
    for part in ("correct", "sanitize"):
        of_part = [row for name, row in rows if name == part and (row.p50 is not None or row.note)]
        if of_part:
            failed = sum(map(report.failed, of_part))
            right = sum(not row.note for row in of_part)
            yield f"{part}: {right} right, {failed} failed, {len(of_part) - right - failed} not run"


def starts(rows):
    """First calls, and what a call costs on the host."""
    of_part = [row for part, row in rows if part == "start" and row.p50 is not None]
    first = [f"{r.case} {short(r.p50)} s" for r in of_part if r.mode == "first forward"]
    calls = [f"{r.mode} {short(r.p50)} us" for r in of_part if r.metric == "call"]
    if first:
        yield f"first forward: {', '.join(first)}"
    if calls:
        yield f"a tiny call on the host: {', '.join(calls)}"


def speeds(rows, room):
    """A line a shape and mode in the order in which they were measured, as many as fit."""
    rates = limits.rates_of([row for _, row in rows])
    times = [row for part, row in rows if part == "speed" and row.metric == "time"]
    cells = {(row.case, row.mode, row.peer): row.p50 for row in times if row.p50 is not None}
    own = [(case, mode) for case, mode, peer in cells if peer == "selscan"]
    if not own or room < 2:
        return
    yield f"{'us, and how many times as long the others take':<48} {'us':>8}  of limit  others"
    shown = own[: room - 1 if len(own) <= room - 1 else room - 2]
    for case, mode in shown:
        us = cells[case, mode, "selscan"]
        shape = (shapes.STEPS | shapes.SHAPES).get(case)
        limit = shape and limits.limit(limits.work(shape, mode), rates)
        part = f"{100 * limit.us / us:.0f} %" if limit else "-"
        others = ", ".join(
            f"{peer} {short(cells[case, mode, peer] / us)}x"
            for peer in OTHERS
            if (case, mode, peer) in cells
        )
        yield f"{f'{case}, {mode}':<48} {short(us):>8}  {part:>8}  {others}"
    if len(own) > len(shown):
        yield f"and {len(own) - len(shown)} more, see report.md"
