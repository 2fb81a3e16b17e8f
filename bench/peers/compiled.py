"""Peers in compiled code: selscan, the C++ stick, and under jax.jit selscan and jax's scans."""

import importlib.util
from functools import partial

import torch

from bench import stick as library
from bench.peers.eager import as_tensors, scan_associative, through_autograd
from bench.peers.peer import NAMES, Peer


def scan_ours(u, delta, A, B, C, D, delta_bias, **options):
    """selscan.scan, on tensors or traced arrays."""
    import selscan

    return selscan.scan(u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=True, **options)


def no_scan():
    """Why selscan.scan is not there, or None."""
    import selscan

    return None if hasattr(selscan, "scan") else "selscan has no scan at this commit"


def run_stick(data, backward):
    """Forward saves the states in either case, as the stick has no other."""
    tensors, dy = data
    with torch.no_grad():
        y, states = library.forward(tensors)
        return {"y": y, **(library.backward(tensors, states, dy) if backward else {})}


def prepare_compiled(inputs, dy):
    """Leaves, dy, and torch's associative scan compiled for their shapes, at its first calls."""
    torch.compiler.reset()  # a limit of shapes for each function, beyond which it stays eager
    return as_tensors(inputs, dy), torch.compile(scan_associative, fullgraph=True, dynamic=False)


def run_compiled(data, backward):
    """Forward and backward are two programs."""
    tensors, function = data
    return through_autograd(function)(tensors, backward)


def scan_jax(u, delta, A, B, C, D, delta_bias, *, remat):
    """A step at a time by lax.scan, the state (b, [g,] n, d / g): channels last is its fastest.

    With `remat` (jax.checkpoint) the backward saves h only and computes a step's arrays again.
    """
    import jax
    import jax.numpy as jnp

    b, d, l = u.shape
    g, n = B.shape[1:3]
    groups = (g,) if g > 1 else ()  # an axis of length 1 costs XLA's backward a factor of two
    delta = jax.nn.softplus(delta + delta_bias[:, None])
    A = jnp.swapaxes(A.reshape(*groups, -1, n), -1, -2)

    def step(h, inputs):
        dt, ut, Bt, Ct = inputs
        h = jnp.exp(dt[..., None, :] * A) * h + (dt * ut)[..., None, :] * Bt[..., None]
        return h, jnp.einsum("...nh,...n->...h", h, Ct)

    def times(x, last):
        return jnp.moveaxis(x, -1, 0).reshape(l, b, *groups, last)

    inputs = times(delta, d // g), times(u, d // g), times(B, n), times(C, n)
    h = jnp.zeros((b, *groups, n, d // g), u.dtype)
    _, y = jax.lax.scan(jax.checkpoint(step) if remat else step, h, inputs)
    return jnp.moveaxis(y.reshape(l, b, d), 0, -1) + u * D[:, None]


def scan_jax_associative(u, delta, A, B, C, D, delta_bias):
    """jax.lax.associative_scan over (decay, inflow), both (l, b, d, n)."""
    import jax
    import jax.numpy as jnp

    b, d, l = u.shape
    g, n = B.shape[1:3]
    delta = jax.nn.softplus(delta + delta_bias[:, None])
    decay = jnp.exp(jnp.moveaxis(delta, -1, 0)[..., None] * A)
    u_t, B_t, C_t = (jnp.moveaxis(x, -1, 0) for x in (delta * u, B, C))
    flow = u_t.reshape(l, b, g, -1, 1) * B_t[:, :, :, None]

    def compose(first, then):
        return first[0] * then[0], then[0] * first[1] + then[1]

    _, h = jax.lax.associative_scan(compose, (decay, flow.reshape(l, b, d, n)))
    y = jnp.einsum("lbghn,lbgn->lbgh", h.reshape(l, b, g, -1, n), C_t)
    return jnp.moveaxis(y.reshape(l, b, d), 0, -1) + u * D[:, None]


def prepare_jax(function, inputs, dy):
    """Arrays on jax's side, and forward and VJP compiled ahead for their shapes."""
    import jax

    tensors = {name: jax.device_put(inputs[name]) for name in NAMES}
    dy = jax.device_put(dy)

    def forward(tensors):
        return {"y": function(**tensors)}

    def both(tensors, dy):
        y, vjp = jax.vjp(lambda x: function(**x), tensors)
        return {"y": y, **vjp(dy)[0]}

    compiled = (
        jax.jit(forward).lower(tensors).compile(),
        jax.jit(both).lower(tensors, dy).compile(),
    )
    return tensors, dy, *compiled


def run_jax(data, backward):
    """Waits for the result."""
    import jax

    tensors, dy, forward, both = data
    return jax.block_until_ready(both(tensors, dy) if backward else forward(tensors))


def no_jax():
    """Why jax is not there, or None."""
    return None if importlib.util.find_spec("jax") else "pip install jax"


ours = Peer("selscan", as_tensors, through_autograd(scan_ours), missing=no_scan)
associative = Peer("associative_compiled", prepare_compiled, run_compiled)
stick = Peer("stick", as_tensors, run_stick, library.missing, library.refuses)
ours_jax, jax_scan, jax_remat, jax_associative = (
    Peer(name, partial(prepare_jax, function), run_jax, missing=no_jax)
    for name, function in {
        "selscan_jax": scan_ours,
        "jax_scan": partial(scan_jax, remat=False),
        "jax_remat": partial(scan_jax, remat=True),
        "jax_associative": scan_jax_associative,
    }.items()
)
