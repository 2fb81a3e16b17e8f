"""Decoding: one token through selscan.scan_step, and the same equations in torch and in jax."""

import time
from dataclasses import asdict
from functools import partial

import numpy as np

from bench.child import call, progress
from bench.peers.compiled import no_jax
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


def jax_step(inputs):
    """A call of the same equations, compiled, whose state is donated to the next."""
    import jax
    import jax.numpy as jnp

    def step(state, u, delta, A, B, C, D, delta_bias):
        delta = jax.nn.softplus(delta + delta_bias)
        decay = jnp.exp(delta[..., None] * A)
        state = decay * state + (delta * u)[..., None] * B[:, None]
        return state, jnp.einsum("bdn,bn->bd", state, C) + D * u

    compiled = jax.jit(step, donate_argnums=0)
    inputs = {name: jax.device_put(x.numpy()) for name, x in inputs.items()}
    state = jnp.zeros((1, CASE.dim, CASE.d_state))

    def call():
        nonlocal state
        state, y = compiled(state, **inputs)
        return jax.block_until_ready(y)

    return call


def calls():
    """({name: function}, {name: why there is none}); each function has a state of its own."""
    import torch

    import selscan

    inputs = {name: torch.from_numpy(x) for name, x in make_inputs(CASE).items()}
    for name in PER_TOKEN:
        inputs[name] = inputs[name][..., 0]
    inputs["B"], inputs["C"] = inputs["B"][:, 0], inputs["C"][:, 0]
    inputs = {name: x.contiguous() for name, x in inputs.items()}
    states = [torch.zeros(1, CASE.dim, CASE.d_state) for _ in range(2)]
    functions, reasons = {"torch": partial(torch_step, states[0], **inputs)}, {}
    if hasattr(selscan, "scan_step"):
        functions["selscan"] = partial(ours_step, states[1], **inputs)
    else:
        reasons["selscan"] = "selscan has no scan_step at this commit"
    if reason := no_jax():
        reasons["jax"] = reason
    else:
        functions["jax"] = jax_step(inputs)
    return functions, reasons


def take_turn(function, times):
    """The last output of CALLS calls; the times in us of all but the first UNTIMED.

    Turns, not single calls, alternate: after a parallel region torch's idle threads spin for a
    while, which would fall into the other's time.
    """
    for i in range(CALLS):
        start = time.perf_counter()
        y = function()
        if i >= UNTIMED:
            times.append(1e6 * (time.perf_counter() - start))
    return y


def child(request):
    """Times of single calls in us, the implementations taking turns."""
    import torch

    threads = request["threads"]
    functions, reasons = calls()
    row = Row("decode", "selscan", "step", "time", **nothing(), unit="us", threads=threads)
    rows = [asdict(row) | {"peer": name, "note": text} for name, text in reasons.items()]
    times = {name: [] for name in functions}
    with torch.no_grad():
        for turn in range(request["turns"]):
            progress(f"step: turn {turn} of {request['turns']}, {threads} threads")
            outputs = {
                name: torch.from_numpy(np.array(take_turn(function, times[name])))
                for name, function in functions.items()
            }
            for y in outputs.values():
                torch.testing.assert_close(y, outputs["torch"], rtol=1e-4, atol=1e-4)
    for name, values in times.items():
        rows.append(asdict(row) | quantiles(values) | {"peer": name})
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
