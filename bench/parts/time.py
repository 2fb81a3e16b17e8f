"""Forward, and forward with backward: all peers interleaved in one process for each shape."""

import gc
import math
import time
from dataclasses import asdict, dataclass, field, replace

from bench.child import REUSE_HEAP, call, one_line, progress
from bench.forms import FORMS
from bench.peers import PEERS, Peer, check, make_dy
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan.cases import CASES, Case, make_inputs

TABLES = {"peers": PEERS, "forms": FORMS}
MODES = {"forward": "forward", "full": "forward + backward"}
ROUNDS = 30
SAMPLE = 0.02
PATIENCE = 6  # a single call may take so many budgets


@dataclass
class Cell:
    """One peer and mode on one case: what to call, and the samples so far in seconds."""

    peer: Peer
    mode: str
    data: object
    expected: float
    times: list = field(default_factory=list)
    calls: int = 1  # in a sample

    def run(self):
        """One call; its results are dropped."""
        self.peer.run(self.data, self.mode == "full")

    def warm_up(self, budget):
        """Call it twice, if that is cheap, and choose the calls of a sample."""
        if self.expected > budget / 2:
            return
        self.run()
        start = time.perf_counter()
        self.run()
        self.calls = math.ceil(SAMPLE / (time.perf_counter() - start))


def measure(options):
    """Rows of all cases, peers, modes and thread counts."""
    rows = []
    for threads in options.threads:
        for name in options.cases:
            rows += in_child(CASES[name], options.peers, threads, options.budget)
    return rows


def in_child(case, peers, threads, budget, table="peers"):
    """Rows of one case, from a process of its own; a row with the reason where it fails."""
    request = {
        "case": asdict(case),
        "table": table,
        "peers": peers,
        "threads": threads,
        "budget": budget,
    }
    try:
        found = call(child, request, threads=threads, variables=REUSE_HEAP)
    except RuntimeError as error:
        return [empty(case, "all", "all", threads, str(error))]
    return [Row(**row) for row in found]


def child(request):
    """Measure one case."""
    case, threads, budget = Case(**request["case"]), request["threads"], request["budget"]
    inputs, dy = make_inputs(case), make_dy(case)
    clock = time.process_time if threads == 1 else time.perf_counter
    rows, cells = [], []
    for peer in (TABLES[request["table"]][name] for name in request["peers"]):
        progress(f"{case.name}, {threads} threads: {peer.name} checked and prepared")
        if reason := unusable(peer, case):
            rows += [empty(case, peer.name, mode, threads, reason) for mode in MODES]
            continue
        data = peer.prepare(inputs, dy)
        for mode in MODES:
            if reason := peer.lacks(mode):
                rows.append(empty(case, peer.name, mode, threads, reason))
                continue
            expected = expect(peer, case, mode)
            if expected > PATIENCE * budget:
                reason = f"about {expected:.0f} s a call"
                rows.append(empty(case, peer.name, mode, threads, reason))
            else:
                cells.append(Cell(peer, mode, data, expected))
    interleave(cells, clock, budget, f"{case.name}, {threads} threads")
    unit = "ms of CPU" if threads == 1 else "ms"
    rows += [
        Row(
            case=case.name,
            peer=cell.peer.name,
            mode=cell.mode,
            metric="time",
            **quantiles([1e3 * x for x in cell.times]),
            unit=unit,
            threads=threads,
            note="O(l^2)" if cell.peer.quadratic and cell.mode == "full" else "",
        )
        for cell in cells
    ]
    return [asdict(row) for row in rows]


def interleave(cells, clock, budget, label):
    """Rounds of one sample a cell; a cell leaves once its calls took `budget` seconds together.

    A sample is the mean of as many calls in a row as take SAMPLE seconds, so that short calls are
    timed with warm caches, as long ones are.
    """
    for cell in cells:
        cell.warm_up(budget)
    gc.freeze()  # collections look at what the calls leave, not at all modules
    for i in range(ROUNDS):
        for cell in cells:
            if sum(cell.times) * cell.calls > budget:
                continue
            progress(f"{label}: round {i + 1} of {ROUNDS}, {cell.peer.name}, {cell.mode}")
            gc.collect()
            start = clock()
            for _ in range(cell.calls):
                cell.run()
            cell.times.append((clock() - start) / cell.calls)


def unusable(peer, case):
    """Why a peer cannot be measured on a case, a wrong result included, or None."""
    if reason := peer.missing() or peer.refuses(case):
        return reason
    if peer.name in FORMS:  # tested by tests/, and not the scan that `check` knows
        return None
    try:
        check(peer, case)
    except Exception as error:  # other people's code: a failure is a line of the table
        return one_line(error)
    return None


def expect(peer, case, mode):
    """Seconds that a call will take, from the second call at an eighth of the length."""
    part = replace(case, length=math.ceil(case.length / 8))
    data = peer.prepare(make_inputs(part), make_dy(part))
    for _ in range(2):
        start = time.perf_counter()
        peer.run(data, mode == "full")
        taken = time.perf_counter() - start
    return taken * (64 if peer.quadratic and mode == "full" else 8)


def empty(case, peer, mode, threads, reason):
    """The row of a cell that was not measured."""
    return Row(case.name, peer, mode, "time", **nothing(), unit="ms", threads=threads, note=reason)


def tables(rows, own="selscan"):
    """One table for each mode and thread count: peers down, cases across, ratio to selscan."""
    threads = sorted({row.threads for row in rows})
    for count in threads:
        for mode, title in MODES.items():
            chosen = [row for row in rows if row.mode == mode and row.threads == count]
            clock = "CPU time on 1 thread" if count == 1 else f"wall clock on {count} threads"
            yield f"{title}, {clock}, ms, median (ratio to {own})\n\n{table(chosen, own)}"
    yield "\n".join(reasons(rows))


def table(rows, own):
    """Peers down, cases across, with ratios to the peer `own`."""
    cases, peers = (list(dict.fromkeys(getattr(x, k) for x in rows)) for k in ("case", "peer"))
    cells = {(row.case, row.peer): row for row in rows}
    base = {case: getattr(cells.get((case, own)), "p50", None) for case in cases}
    known = [*PEERS, *FORMS]
    lines = [
        [peer, *(text(cells.get((case, peer)), peer == own, base[case]) for case in cases)]
        for peer in sorted(peers, key=known.index)
    ]
    return markdown(["", *cases], lines)


def text(row, is_base, base):
    """A median, its ratio to the base's and a mark for a quadratic backward."""
    if row is None or row.p50 is None:
        return "-"
    ratio = f" ({short(row.p50 / base)}x)" if base and not is_base else ""
    return f"{short(row.p50)}{ratio}{' *' if row.note else ''}"


def reasons(rows):
    """Why cells are empty, and what the star means."""
    if any(row.note and row.p50 is not None for row in rows):
        yield "`*` the time of this backward grows with the square of the length."
    seen = dict.fromkeys(
        f"{row.peer}, {row.case}, {row.mode}: {row.note}" for row in rows if row.p50 is None
    )
    yield from (f"- not measured: {line}" for line in seen)
