"""Peak resident memory above the inputs, each number from a fresh process."""

import ctypes
import gc
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bench.child import YIELD, call, progress
from bench.forms import FORMS
from bench.parts.time import MODES, PATIENCE, expect
from bench.peers import PEERS, Peer, make_dy
from bench.peers.compiled import no_scan
from bench.peers.eager import as_tensors
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan.cases import CASES, Case, make_inputs

MB = 1e6
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def prepare_sliced(inputs, dy):
    """u, delta, B and C as [..., 3:-5] of larger arrays."""
    tensors, dy = as_tensors({k: padded(x) for k, x in inputs.items()}, dy)
    for name in ("u", "delta", "B", "C"):
        tensors[name] = tensors[name].detach()[..., 3:-5].requires_grad_()
    return tensors, dy


def padded(x):
    """The array with 3 columns before and 5 after; vectors and matrices as they are."""
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(3, 5)]) if x.ndim > 2 else x


run_bdl = PEERS["selscan"].run
# The same scan of other memory, and what a process needs for doing nothing.
OTHERS = {
    **{f"selscan, {name}": FORMS[name] for name in ("bld", "bfloat16", "complex64", "seq_idx")},
    "selscan, sliced": Peer("selscan, sliced", prepare_sliced, run_bdl, no_scan),
    "nothing": Peer("nothing", as_tensors, lambda data, backward: {}),
}


def measure(options):
    """Rows of all cases, peers and modes: the peak above inputs, and above results too."""
    names = [*options.peers, *(OTHERS if "selscan" in options.peers else ())]
    rows = []
    for case in options.cases[: 1 if options.quick else None]:
        for peer in names:
            for mode in MODES:
                progress(f"memory: {case}, {peer}, {mode}")
                rows += measure_one(CASES[case], peer, mode, options)
    return rows


def measure_one(case, peer, mode, options):
    """Two rows from one process, or one with the reason why there is none."""
    threads = max(options.threads)
    request = {"case": asdict(case), "peer": peer, "mode": mode, "budget": options.budget}
    row = Row(case.name, peer, mode, "memory", **nothing(), unit="MB", threads=threads)
    try:
        found = call(child, request, threads=threads, variables=YIELD)
    except RuntimeError as error:
        found = {"reason": str(error)}
    if "reason" in found:
        return [replace(row, note=found["reason"])]
    above = replace(row, **quantiles([found["peak"] / MB]))
    rest = replace(
        row,
        metric="memory above results",
        **quantiles([(found["peak"] - found["results"]) / MB]),
    )
    return [above, rest]


def child(request):
    """The peak of one call in bytes, and the size of its results."""
    case, mode = Case(**request["case"]), request["mode"]
    peer = OTHERS.get(request["peer"]) or PEERS[request["peer"]]
    if not CLEAR.exists():
        return {"reason": "needs Linux: /proc/self/clear_refs"}
    if reason := peer.missing() or peer.refuses(case) or peer.lacks(mode):
        return {"reason": reason}
    # Compiles and warms up on an eighth of the length.
    if (expected := expect(peer, case, mode)) > PATIENCE * request["budget"]:
        return {"reason": f"about {expected:.0f} s a call"}
    data = peer.prepare(make_inputs(case), make_dy(case))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")  # the high-water mark becomes what is resident now
    before = status("VmRSS")
    out = peer.run(data, mode == "full")
    return {"peak": status("VmHWM") - before, "results": sum(x.nbytes for x in out.values())}


def status(name):
    """A size of this process in bytes."""
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.M)[1])


def tables(rows):
    """Peers down, cases across, one table a mode and metric."""
    for metric, above in (
        ("memory", "the inputs"),
        ("memory above results", "the inputs and results"),
    ):
        for mode, title in MODES.items():
            chosen = [row for row in rows if row.mode == mode and row.metric == metric]
            cases = list(dict.fromkeys(row.case for row in rows))
            cells = {(row.peer, row.case): row.p50 for row in chosen}
            peers = dict.fromkeys(row.peer for row in rows)
            lines = [[p, *(short(cells.get((p, case))) for case in cases)] for p in peers]
            yield f"{title}, peak memory above {above}, MB\n\n{markdown(['', *cases], lines)}"
    empty = (row for row in rows if row.p50 is None)
    yield "\n".join(f"- not measured: {x.peer}, {x.case}, {x.mode}: {x.note}" for x in empty)
