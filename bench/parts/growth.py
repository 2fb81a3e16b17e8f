"""Time per step of one scan as it grows from 1k to 256k steps: a flat line is linear time."""

from dataclasses import replace

from bench.parts.time import MODES, in_child, reasons
from bench.peers import PEERS
from bench.rows import markdown, short
from selscan.cases import Case

LENGTHS = (1024, 4096, 16384, 65536, 262144)
DIM, D_STATE = 64, 16
QUICK_ENOUGH = ("selscan", "stick", "ggml")  # for all lengths; others take gigabytes
LONGEST = 16384  # of the others


def measure(options):
    """Rows in ns per step, channel and state; the shapes are named by their length."""
    rows = []
    for length in LENGTHS[: 2 if options.quick else None]:
        case = Case(str(length), 1, DIM, length, D_STATE, 1, "growth")
        peers = [x for x in options.peers if length <= LONGEST or x in QUICK_ENOUGH]
        rows += in_child(case, peers, 1, options.budget)
    return [per_step(row) for row in rows]


def per_step(row):
    """The row of a whole scan in ms as one in ns per state and step."""
    scale = 1e6 / (int(row.case) * DIM * D_STATE)
    values = {name: getattr(row, name) for name in ("p20", "p50", "p80")}
    values = {name: None if x is None else x * scale for name, x in values.items()}
    case = f"growth_{row.case}"
    return replace(row, case=case, metric="time per step", unit="ns of CPU", **values)


def tables(rows):
    """Peers and modes down, lengths across, and the slowest over the fastest."""
    if not rows:
        return
    cases = list(dict.fromkeys(row.case for row in rows))
    cells = {(row.peer, row.mode, row.case): row.p50 for row in rows}
    lines = []
    for mode, title in MODES.items():
        for peer in (name for name in PEERS if (name, mode, cases[0]) in cells):
            values = [cells.get((peer, mode, case)) for case in cases]
            found = [x for x in values if x]
            spread = f"{max(found) / min(found):.2f}x" if found else "-"
            lines.append([f"{peer}, {title}", *map(short, values), spread])
    lengths = [f"l = {int(case.split('_')[1]) // 1024}k" for case in cases]
    title = f"ns of CPU per step and state, 1 thread, b = 1, d = {DIM}, n = {D_STATE}"
    yield f"{title}\n\n{markdown(['', *lengths, 'spread'], lines)}"
    yield "\n".join(reasons(rows))
