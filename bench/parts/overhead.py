"""What a call costs beyond its arithmetic: a scan of four steps and sixteen channels."""

import time
from dataclasses import asdict
from functools import partial

from bench.child import call, progress
from bench.peers import PEERS, make_dy
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan.cases import Case, make_inputs

CASE = Case("tiny", 1, 16, 4, 16, 1, "call overhead")
CALLS = 3000
MODES = {"forward": "forward", "full": "forward + backward"}


def measure(options):
    """Rows for each thread count."""
    rows = []
    for threads in options.threads:
        calls = CALLS // (10 if options.quick else 1)
        request = {"threads": threads, "calls": calls, "peers": options.peers}
        rows += [Row(**row) for row in call(child, request, threads=threads)]
    return rows


def functions():
    """(mode, function) pairs."""
    import torch

    import selscan

    inputs, ours = make_inputs(CASE), PEERS["selscan"]
    data = ours.prepare(inputs, make_dy(CASE))
    tensors, dy = data

    def scan(u, delta, A, B, C, D, delta_bias):
        return selscan.scan(u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=True)

    compiled = torch.compile(scan)
    constants = {name: x.detach() for name, x in tensors.items()}

    def graph():
        return selscan.scan(**tensors, delta_softplus=True)

    def backward_method():
        selscan.scan(**tensors, delta_softplus=True).backward(dy)

    return {
        **functions_of_jax(inputs),
        "NumPy, forward": lambda: selscan.scan(**inputs, delta_softplus=True),
        "torch, forward without gradients": lambda: ours.run(data, False),
        "torch, forward for a backward": graph,
        "torch, forward + backward": lambda: ours.run(data, True),
        "torch, forward + y.backward(dy)": backward_method,
        "torch.compile, forward without gradients": lambda: compiled(**constants),
        "torch.compile, forward + y.backward(dy)": lambda: compiled(**tensors).backward(dy),
    }


def functions_of_jax(inputs):
    """Of programs that were compiled before, each waited for; none where there is no jax."""
    peer = PEERS["selscan_jax"]
    if peer.missing():
        return {}
    data = peer.prepare(inputs, make_dy(CASE))
    return {
        "jax.jit, forward": lambda: peer.run(data, False),
        "jax.jit, forward + backward": lambda: peer.run(data, True),
    }


def functions_of_peers(names):
    """{(peer, mode): function} of all others that are here and take the shape."""
    inputs, dy, found = make_inputs(CASE), make_dy(CASE), {}
    for peer in (PEERS[name] for name in names if not name.startswith("selscan")):
        if peer.missing() or peer.refuses(CASE):
            continue
        data = peer.prepare(inputs, dy)
        for mode, title in MODES.items():
            if not peer.lacks(mode):
                found[peer.name, title] = partial(peer.run, data, mode == "full")
    return found


def child(request):
    """Times of single calls in us."""
    threads, rows = request["threads"], []
    row = Row("tiny", "selscan", "all", "time", **nothing(), unit="us", threads=threads)
    if reason := PEERS["selscan"].missing():
        return [asdict(row) | {"note": reason}]
    ours = {("selscan", mode): function for mode, function in functions().items()}
    for (peer, mode), function in (ours | functions_of_peers(request["peers"])).items():
        progress(f"overhead: {peer}, {mode}")
        times = call_times(function, request["calls"])
        rows.append(asdict(row) | quantiles(times) | {"peer": peer, "mode": mode})
    return rows


def call_times(function, calls):
    """Us of single calls, but for the first tenth of them."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function()
        times.append(1e6 * (time.perf_counter() - start))
    return times[calls // 10 :]


def tables(rows):
    """Modes down; p20, p50 and p80 for each thread count across."""
    threads = sorted({row.threads for row in rows})
    cells = {(row.peer, row.mode, row.threads): row for row in rows}
    lines = []
    for peer, mode in dict.fromkeys((row.peer, row.mode) for row in rows):
        line = [mode if peer == "selscan" else f"{peer}, {mode}"]
        for count in threads:
            row = cells[peer, mode, count]
            line.append(" / ".join(short(x) for x in (row.p20, row.p50, row.p80)))
        lines.append(line)
    header = ["", *(f"{count} thread{'s' if count > 1 else ''}" for count in threads)]
    title = "A call with b = 1, d = 16, l = 4, n = 16: us, p20 / p50 / p80"
    yield f"{title}\n\n{markdown(header, lines)}"
    yield "\n".join(f"- not measured: {row.note}" for row in rows if row.note)
