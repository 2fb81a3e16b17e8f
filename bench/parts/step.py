"""Decoding: one token through selscan.scan_step and through the same equations in torch."""

import time
from dataclasses import asdict

from bench.child import call, progress
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan.cases import Case, make_inputs

CASE = Case("decode", 1, 5120, 1, 16, 1, "Mamba-2.8B, one token")
PER_TOKEN = ("u", "delta", "B", "C")
TURNS, CALLS, UNTIMED = 40, 30, 5


def measure(options):
    """Rows of both, for each thread count."""
    rows = []
    for threads in options.threads:
        request = {"threads": threads, "turns": TURNS // (10 if options.quick else 1)}
        rows += [Row(**row) for row in call(child, request, threads=threads)]
    return rows


def torch_step(state, u, delta, A, B, C, D, delta_bias):
    """As mamba's selective_state_update_ref: `state` (b, d, n) is updated in place."""
    import torch

    delta = torch.nn.functional.softplus(delta + delta_bias)
    decay = torch.exp(torch.einsum("bd,dn->bdn", delta, A))
    state.copy_(decay * state + torch.einsum("bd,bn,bd->bdn", delta, B, u))
    return torch.einsum("bdn,bn->bd", state, C) + D * u


def ours_step(state, u, delta, A, B, C, D, delta_bias):
    """selscan.scan_step; it too updates `state`."""
    import selscan

    y, _ = selscan.scan_step(
        state, u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=True
    )
    return y


def take_turn(function, state, inputs, times):
    """The last output of CALLS calls; the times in us of all but the first UNTIMED.

    Turns, not single calls, alternate: after a parallel region torch's idle threads spin for a
    while, which would fall into the other's time.
    """
    for i in range(CALLS):
        start = time.perf_counter()
        y = function(state, **inputs)
        if i >= UNTIMED:
            times.append(1e6 * (time.perf_counter() - start))
    return y


def child(request):
    """Times of single calls in us, the two taking turns."""
    import torch

    import selscan

    threads = request["threads"]
    inputs = {name: torch.from_numpy(x) for name, x in make_inputs(CASE).items()}
    for name in PER_TOKEN:
        inputs[name] = inputs[name][..., 0]
    inputs["B"], inputs["C"] = inputs["B"][:, 0], inputs["C"][:, 0]
    inputs = {name: x.contiguous() for name, x in inputs.items()}
    functions = {"torch": torch_step}
    rows = []
    if hasattr(selscan, "scan_step"):
        functions["selscan"] = ours_step
    else:
        row = Row("decode", "selscan", "step", "time", **nothing(), unit="us", threads=threads)
        rows.append(asdict(row) | {"note": "selscan has no scan_step at this commit"})
    states = {name: torch.zeros(1, CASE.dim, CASE.d_state) for name in functions}
    times = {name: [] for name in functions}
    with torch.no_grad():
        for turn in range(request["turns"]):
            progress(f"step: turn {turn} of {request['turns']}, {threads} threads")
            outputs = {
                name: take_turn(function, states[name], inputs, times[name])
                for name, function in functions.items()
            }
            for y in outputs.values():
                torch.testing.assert_close(y, outputs["torch"], rtol=1e-4, atol=1e-4)
    for name, values in times.items():
        numbers = quantiles(values)
        row = Row("decode", name, "step", "time", **numbers, unit="us", threads=threads)
        rows.append(asdict(row))
    return rows


def tables(rows):
    """Implementations down, thread counts across."""
    cells = {(row.peer, row.threads): row.p50 for row in rows}
    threads = sorted({row.threads for row in rows})
    lines = []
    for peer in sorted({row.peer for row in rows}):
        line = [peer]
        for count in threads:
            value, own = cells[peer, count], cells.get(("selscan", count))
            ratio = f" ({short(value / own)}x)" if value and own and peer != "selscan" else ""
            line.append(short(value) + ratio)
        lines.append(line)
    header = ["", *(f"{count} thread{'s' if count > 1 else ''}" for count in threads)]
    title = f"One decode step, b = 1, d = {CASE.dim}, n = {CASE.d_state}, wall clock, us, median"
    yield f"{title} (ratio to selscan)\n\n{markdown(header, lines)}"
