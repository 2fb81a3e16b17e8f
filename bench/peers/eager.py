"""Peers in plain torch: mamba's and transformers' loop, and two parallel scans.

All of them make arrays (b, d, l, n), or keep the graph of l steps.
"""

import importlib.util

import torch
from torch.nn.functional import softplus

from bench.peers.peer import NAMES, Peer


def as_tensors(inputs, dy):
    """Leaves that ask for gradients, and dy."""
    tensors = {name: torch.from_numpy(inputs[name]).requires_grad_() for name in NAMES}
    return tensors, torch.from_numpy(dy)


def through_autograd(function):
    """`run` of a peer that is a differentiable function of the seven tensors."""

    def run(data, backward):
        tensors, dy = data
        if not backward:
            with torch.no_grad():
                return {"y": function(**tensors)}
        y = function(**tensors)
        grads = torch.autograd.grad(y, list(tensors.values()), dy)
        return {"y": y.detach(), **dict(zip(tensors, grads, strict=True))}

    return run


def per_channel(x, d):
    """B or C, (b, g, n, l), for every channel: (b, d, n, l), a view where there is one group."""
    b, g, n, l = x.shape
    return x[:, :, None].expand(b, g, d // g, n, l).reshape(b, d, n, l)


def scan_loop(u, delta, A, B, C, D, delta_bias):
    """As mamba's selective_scan_ref and transformers' slow path: discretise all, then loop."""
    _, d, l = u.shape
    delta = softplus(delta + delta_bias[:, None])
    delta, x = delta.to(A.dtype), u.to(A.dtype)
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    inflow = torch.einsum("bdl,bdnl,bdl->bdln", delta, per_channel(B, d), x)
    C = per_channel(C, d)
    h, ys = decay.new_zeros(()), []
    for t in range(l):
        h = decay[:, :, t] * h + inflow[:, :, t]
        ys.append(torch.einsum("bdn,bdn->bd", h, C[..., t]))
    return real(torch.stack(ys, dim=2)) + u * D[:, None]


def real(y):
    """2 Re(y) where A is complex."""
    return 2 * y.real if y.is_complex() else y


def scan_transformers(u, delta, A, B, C, D, delta_bias):
    """What transformers' MambaMixer calls where mamba_ssm is not installed."""
    from transformers.models.mamba.modeling_mamba import mamba_selective_scan

    options = {"delta_bias": delta_bias, "delta_softplus": True}
    return mamba_selective_scan(u, delta, A, B[:, 0], C[:, 0], D, **options)


def no_transformers():
    """Why its scan is not there, or None."""
    return None if importlib.util.find_spec("transformers") else "pip install transformers"


def one_group(case):
    """Why a peer that has B and C for all channels alike cannot run a case, or None."""
    return "it has no groups" if case.groups > 1 else None


def scan_loop_step(u, delta, A, B, C, D, delta_bias):
    """The same loop, kinder: one step at a time from contiguous (l, b, d), by unbind, not slices.

    No array (b, d, l, n) forward, and a backward that is linear in l.
    """
    b, d, _ = u.shape
    g = B.shape[1]
    delta = softplus(delta + delta_bias[:, None])
    steps = (x.permute(2, 0, 1).contiguous().unbind() for x in (delta, delta * u))
    blocks = (x.permute(3, 0, 1, 2).contiguous()[:, :, :, None].unbind() for x in (B, C))
    h, ys = A.new_zeros(b, d, A.shape[1]), []
    for dt, dtu, Bt, Ct in zip(*steps, *blocks, strict=True):
        inflow = dtu.view(b, g, d // g, 1) * Bt
        h = torch.addcmul(inflow.view(h.shape), torch.exp(dt[..., None] * A), h)
        ys.append((h.view(b, g, d // g, -1) @ Ct.transpose(-1, -2)).view(b, d))
    return real(torch.stack(ys, dim=2)) + u * D[:, None]


def scan_pscan(u, delta, A, B, C, D, delta_bias):
    """mamba.py's MambaBlock.selective_scan, for groups too; u and delta are (b, l, d) here."""
    from mambapy.pscan import pscan

    b, l, d = u.shape
    g, n = B.shape[2:]
    delta = softplus(delta + delta_bias)
    decay = torch.exp(delta[..., None] * A)
    inflow = delta.view(b, l, g, -1, 1) * B[:, :, :, None] * u.view(b, l, g, -1, 1)
    h = pscan(decay, inflow.view(b, l, d, n))
    return (h.view(b, l, g, -1, n) @ C[..., None]).view(b, l, d) + D * u


LAST = (0, 2, 1)  # (b, d, l) -> (b, l, d) and back
BLD = {"y": LAST, "u": LAST, "delta": LAST, "B": (0, 3, 1, 2), "C": (0, 3, 1, 2)}
BDL = BLD | {"B": (0, 2, 3, 1), "C": (0, 2, 3, 1)}


def prepare_bld(inputs, dy):
    """Layout "bld", which mamba.py has: its transpose is not in the timed part."""
    turned = {k: x.transpose(BLD[k]).copy() if k in BLD else x for k, x in inputs.items()}
    return as_tensors(turned, dy.transpose(LAST).copy())


def run_pscan(data, backward):
    """The results in layout "bdl" again, as views."""
    out = through_autograd(scan_pscan)(data, backward)
    return {k: x.permute(BDL[k]) if k in BDL else x for k, x in out.items()}


def scan_associative(u, delta, A, B, C, D, delta_bias):
    """torch's own associative scan over (decay, inflow), both (b, d, l, n)."""
    from torch._higher_order_ops.associative_scan import associative_scan

    b, d, l = u.shape
    g, n = B.shape[1:3]
    delta = softplus(delta + delta_bias[:, None])
    decay = torch.exp(delta[..., None] * A[:, None])
    flow = (delta * u).view(b, g, d // g, l, 1) * B.transpose(2, 3)[:, :, None]
    _, h = associative_scan(compose, (decay, flow.view(b, d, l, n)), dim=2, combine_mode="generic")
    y = torch.einsum("bghln,bgnl->bghl", h.view(b, g, d // g, l, n), C)
    return y.reshape(b, d, l) + u * D[:, None]


def compose(first, then):
    """h -> a h + x, twice."""
    return first[0] * then[0], then[0] * first[1] + then[1]


def no_mambapy():
    """Why pscan is not there, or None."""
    return None if importlib.util.find_spec("mambapy") else "pip install --no-deps mambapy"


loop = Peer("loop", as_tensors, through_autograd(scan_loop), quadratic=True)
transformers = Peer(
    "transformers",
    as_tensors,
    through_autograd(scan_transformers),
    no_transformers,
    one_group,
    quadratic=True,
)
loop_step = Peer("loop_step", as_tensors, through_autograd(scan_loop_step))
pscan = Peer("pscan", prepare_bld, run_pscan, missing=no_mambapy)
associative = Peer("associative_scan", as_tensors, through_autograd(scan_associative))
