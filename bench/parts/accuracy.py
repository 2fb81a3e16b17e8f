"""Error of y and every gradient against float64, relative to the largest value of each."""

from dataclasses import asdict

from bench.child import YIELD, call, progress
from bench.parts.time import PATIENCE, expect, unusable
from bench.peers import PEERS, check, make_dy
from bench.peers.peer import NAMES, relative_error
from bench.rows import Row, markdown, nothing, scientific
from selscan.cases import CASES, Case, make_inputs

OUTPUTS = ("y", *NAMES)
LONG = Case("long", 2, 64, 1000, 16, 2, "1,000 steps, 2 groups")


def measure(options):
    """Rows of all cases and peers, one for each output."""
    rows = []
    cases = [LONG] if options.quick else [LONG, *(CASES[name] for name in options.cases)]
    for case in cases:
        request = {"case": asdict(case), "peers": options.peers, "budget": options.budget}
        found = call(child, request, threads=max(options.threads), variables=YIELD)
        rows += [Row(**row) for row in found]
    return rows


def child(request):
    """Errors of one case. Float64 comes from the loop in torch, itself checked with reference/."""
    case = Case(**request["case"])
    check(PEERS["loop_step"], case, "float64")
    inputs, dy = make_inputs(case), make_dy(case)
    exact = {name: x.astype("float64") for name, x in inputs.items()}
    loop = PEERS["loop_step"]
    want = loop.run(loop.prepare(exact, dy.astype("float64")), True)
    rows = []
    for peer in (PEERS[name] for name in request["peers"]):
        progress(f"accuracy: {case.name}, {peer.name}")
        if reason := unusable(peer, case) or too_slow(peer, case, request["budget"]):
            rows.append(row(case, peer, "all", None, reason))
            continue
        got = peer.run(peer.prepare(inputs, dy), peer.gradients)
        for name in OUTPUTS if peer.gradients else OUTPUTS[:1]:
            rows.append(row(case, peer, name, relative_error(got[name], want[name])))
    return [asdict(x) for x in rows]


def too_slow(peer, case, budget):
    """The reason, where a call would take too long."""
    expected = expect(peer, case, "full") if peer.quadratic else 0
    return f"about {expected:.0f} s a call" if expected > PATIENCE * budget else None


def row(case, peer, output, error, reason=""):
    """One error, in the mode named by the output."""
    values = nothing() | {"p50": error}
    mode = output if output == "y" else f"d{output}"
    return Row(case.name, peer.name, mode, "error", **values, unit="", threads=0, note=reason)


def tables(rows):
    """Cases and peers down, outputs across."""
    modes = ["y", *(f"d{name}" for name in NAMES)]
    cells = {(x.case, x.peer, x.mode): x.p50 for x in rows}
    keys = dict.fromkeys((x.case, x.peer) for x in rows if x.p50 is not None)
    lines = [
        [f"{case}, {peer}", *(scientific(cells.get((case, peer, mode))) for mode in modes)]
        for case, peer in keys
    ]
    title = "Largest error over largest value, float32 against float64"
    yield f"{title}\n\n{markdown(['', *modes], lines)}"
    empty = (x for x in rows if x.p50 is None)
    yield "\n".join(f"- not measured: {x.peer}, {x.case}: {x.note}" for x in empty)
