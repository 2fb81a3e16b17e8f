"""What is timed on a GPU: selscan, mamba_ssm's kernels, and scans in plain torch.

A peer makes a call of some inputs and a mode. Calls return results by name: y, and after a backward
du and ddelta, or y and the state after a step.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import silu, softplus

from bench.gpu import mamba
from bench.gpu.outcomes import NotAvailable
from bench.peers import eager

LONGEST = 4096  # steps of a loop in Python
ARRAYS = {"loop": 4, "associative_scan": 12}  # (b, d, l, n) in float32 that are alive together
LARGEST = 4e9  # bytes of them for the associative scan, which torch takes long to make ready


class Peer(NamedTuple):
    """One implementation: `make(inputs, shape, mode, options)` is a call without arguments."""

    name: str
    make: Callable


def of_autograd(scan, inputs, mode):
    """A call of a differentiable scan(**tensors)."""
    inputs = {name: x for name, x in inputs.items() if x is not None}
    dy = inputs.pop("dy", None)
    if mode != "full":
        return lambda: {"y": scan(**inputs)}

    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}

    def both():
        y = scan(**leaves)
        found = torch.autograd.grad(y, list(leaves.values()), dy)
        grads = dict(zip(leaves, found, strict=True))
        return {"y": y.detach(), "du": grads["u"], "ddelta": grads["delta"]}

    return both


def ours(inputs, shape, mode, options, backend=None):
    """selscan, in the layout of the shape."""
    import selscan

    if mode == "step":
        arguments = {name: x for name, x in inputs.items() if x is not None}

        def step():
            y, state = selscan.scan_step(**arguments, delta_softplus=True, backend=backend)
            return {"y": y, "state": state}

        return step
    options = {"delta_softplus": True, "layout": shape.layout, "backend": backend}
    return of_autograd(lambda **x: selscan.scan(**x, **options), inputs, mode)


def numba_cuda(inputs, shape, mode, options):
    """selscan by its second backend."""
    return ours(inputs, shape, mode, options, "numba_cuda")


def mamba_ssm(inputs, shape, mode, options):
    """mamba_ssm's own kernels, called as its autograd function does."""
    if shape.layout == "bld":
        raise NotAvailable("mamba_ssm has no layout bld")
    if mode == "step":
        return mamba_step(inputs, options)
    library = mamba.library(options["mamba"])
    tensors = [inputs[x] for x in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")]

    def forward():
        out, states, *gated = library.fwd(*tensors, True)
        return out, states, (gated[0] if gated else out)

    def both():
        out, states, y = forward()
        out = None if inputs["z"] is None else out
        found = library.bwd(*tensors, inputs["dy"], states, out, None, True, False)
        return {"y": y, "du": found[0], "ddelta": found[1]}

    return both if mode == "full" else lambda: {"y": forward()[2]}


def mamba_step(inputs, options):
    """mamba_ssm's step, in Triton."""
    update = mamba.state_update(options["mamba"])
    state, u, delta, A, B, C, D, z, bias = (
        inputs[x] for x in ("state", "u", "delta", "A", "B", "C", "D", "z", "delta_bias")
    )
    return lambda: {
        "y": update(state, u, delta, A, B[:, 0], C[:, 0], D, z, bias, dt_softplus=True),
        "state": state,
    }


def loop(inputs, shape, mode, options):
    """The plain loop over time, in float32 as mamba's reference; kinder (bench/peers/eager.py)."""
    if mode == "step":
        return lambda: dict(zip(("y", "state"), plain_step(**inputs), strict=True))
    if shape.case.length > LONGEST:
        raise NotAvailable(f"left out, with {shape.case.length} steps")
    return in_float32(eager.scan_loop_step, "loop", inputs, shape, mode)


def associative(inputs, shape, mode, options):
    """torch's associative scan, in float32."""
    if mode == "step":
        raise NotAvailable("left out: a step is no scan")
    return in_float32(eager.scan_associative, "associative_scan", inputs, shape, mode)


def in_float32(scan, name, inputs, shape, mode):
    """A call of a scan in plain torch, if its arrays fit into half of the free memory."""
    if shape.layout == "bld":
        raise NotAvailable("left out: the same as in layout bdl, but for a transpose")
    case = shape.case
    needed = ARRAYS[name] * 4 * case.batch * case.dim * case.length * case.d_state
    room = torch.cuda.mem_get_info()[0] / 2
    room = room if name == "loop" else min(room, LARGEST)
    if (mode == "full" or name != "loop") and needed > room:
        raise NotAvailable(f"left out: arrays (b, d, l, n) of {needed / 1e9:.0f} GB")

    def gated(z=None, **x):
        y = scan(**{k: v.float() for k, v in x.items()})
        return (y if z is None else y * silu(z.float())).to(x["u"].dtype)

    return of_autograd(gated, inputs, mode)


def plain_step(state, u, delta, A, B, C, D, z, delta_bias):
    """One step in torch, (b, d) and one group, in the dtype of the state, which is updated."""
    dtype, (x, B, C) = u.dtype, (v.to(state.dtype) for v in (u, B, C))
    delta = softplus(delta.to(state.dtype) + delta_bias)
    state.copy_(torch.exp(delta[..., None] * A) * state + (delta * x)[..., None] * B)
    y = (state @ C.transpose(1, 2)).squeeze(-1) + x * D
    return (y * silu(z.to(state.dtype))).to(dtype), state


PEERS = {
    peer.name: peer
    for peer in (
        Peer("selscan", ours),
        Peer("numba_cuda", numba_cuda),
        Peer("mamba_ssm", mamba_ssm),
        Peer("loop", loop),
        Peer("associative_scan", associative),
    )
}
