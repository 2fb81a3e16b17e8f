"""Whether what is timed is right: some channels of the last batch entry, in float64.

Channels are independent of one another, so few of them, over all steps, say much.
"""

import torch
from torch.nn.functional import silu

from bench.gpu.peers import LONGEST, plain_step
from bench.peers.eager import scan_loop_step
from bench.peers.peer import relative_error

CHANNELS = 8
TOLERANCE = 0.02  # of the largest value: bfloat16 has 0.004, a wrong formula is off by far more


def expected(inputs, shape, mode):
    """What a call should give, by name: a function that picks it from results, and numbers."""
    if mode == "step":
        y, state = plain_step(**{name: x.double() for name, x in inputs.items()})
        return {"y": (lambda x: x, y), "state": (lambda x: x, state)}
    case, layout = shape.case, shape.layout
    channels = (
        torch.linspace(0, case.dim - 1, min(CHANNELS, case.dim)).long().to(inputs["u"].device)
    )
    whole = mode == "full" and case.length <= LONGEST
    steps = case.length if whole else min(case.length, LONGEST)

    def pick(x):
        last = x[-1:].transpose(1, 2) if layout == "bld" else x[-1:]
        return last[:, channels, :steps]

    few = {x: pick(inputs[x]) for x in ("u", "delta", "z", "dy") if inputs[x] is not None}
    groups = channels // (case.dim // case.groups)
    for name in "BC":
        x = inputs[name][-1:].permute(0, 2, 3, 1) if layout == "bld" else inputs[name][-1:]
        few[name] = x[:, groups, :, :steps]
    few |= {x: inputs[x][channels] for x in ("A", "D", "delta_bias")}
    few = {name: x.double() for name, x in few.items()}
    z, dy = few.pop("z", None), few.pop("dy", None)
    leaves = [few[x].requires_grad_(whole) for x in ("u", "delta")]
    y = scan_loop_step(**few)
    y = y if z is None else y * silu(z)
    found = {"y": (pick, y.detach())}
    if whole:
        gradients = torch.autograd.grad(y, leaves, dy)
        found |= {name: (pick, x) for name, x in zip(("du", "ddelta"), gradients, strict=True)}
    return found


def fault(results, wanted):
    """What is wrong with results, or an empty text."""
    for name, (pick, want) in wanted.items():
        got = pick(results[name]).double().cpu().numpy()
        error = relative_error(got, want.cpu().numpy())
        if not error < TOLERANCE:
            return f"{name} is off by {error:.1e} of the largest value"
    return ""
