"""The cost of a model as the papers count it, from shapes alone.

A multiplication and the addition behind it are one in convolutions and matrix products. A norm of
layers costs 5 for each number, one of batches 2, linear interpolation 4; a scan 9 for each state of
each step and channel, and one for D. Nothing else is counted, and in models without a pyramid no
norms are, as in the counts of Vim and LocalVim.
"""

import re
from contextlib import contextmanager
from functools import partial
from math import prod

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..nn import set_fused
from .interface import Blocks
from .pyramid import Pyramid

ATEN = torch.ops.aten


def per_number(cost):
    """A formula for an operator that costs the same for each number it returns."""

    def formula(*_, out_shape=None, **__):
        shape = out_shape[0] if isinstance(out_shape[0], tuple | list | torch.Size) else out_shape
        return cost * prod(shape)

    return formula


COSTS = {
    ATEN.native_layer_norm: per_number(5),
    ATEN.native_batch_norm: per_number(2),
    ATEN._native_batch_norm_legit_no_training: per_number(2),
    ATEN.upsample_bilinear2d: per_number(4),
}

WITHOUT_NORMS = COSTS | {ATEN.native_layer_norm: per_number(0)}


def count(model, channels=3, height=224, width=224):
    """Operations of a model for one image.

    The scans of maps are counted as the papers' implementations do them: gathered, scanned and
    scattered, with projections of whatever a route visits.

    Parameters
    ----------
    model : torch.nn.Module
        Best on the device "meta", where nothing is computed. Its maps are scanned in place
        afterwards.
    channels, height, width : int
        Size of the image.

    Returns
    -------
    flops : int
    """
    image = next(model.parameters()).new_zeros(1, channels, height, width)
    costs = COSTS if isinstance(model, Pyramid) else WITHOUT_NORMS
    set_fused(model.eval(), False)
    counter = FlopCounterMode(display=False, custom_mapping=costs)
    with torch.no_grad(), counter, one_of_each_kind(model, counter) as left_out:
        model(image)
    set_fused(model, True)
    return total(counter) + sum(left_out)


@contextmanager
def one_of_each_kind(model, counter):
    """Blocks like one that ran return what that one did; yields what each of them would cost."""
    seen, left_out, changed = {}, [], []

    def run(block, forward, *inputs):
        kind = kind_of(block), *(x.shape if isinstance(x, torch.Tensor) else x for x in inputs)
        if kind in seen:
            left_out.append(seen[kind][1])
        else:
            before = total(counter)
            seen[kind] = forward(*inputs), total(counter) - before
        return seen[kind][0]

    for blocks in model.modules():
        if isinstance(blocks, Blocks | nn.ModuleList):
            for block in blocks:
                block.forward = partial(run, block, block.forward)
                changed.append(block)
    try:
        yield left_out
    finally:
        for block in changed:
            del block.forward


def kind_of(block):
    """What the cost of a block depends on besides its inputs; not how often it is dropped."""
    shapes = tuple((name, x.shape) for name, x in block.named_parameters())
    ways = [getattr(m, "path", None) or getattr(m, "routes", None) for m in block.modules()]
    return re.sub(r"rate=[^)]*", "", repr(block)), repr(ways), shapes


def total(counter):
    """What has been counted so far."""
    found = counter.get_flop_counts().get("Global", {})
    return sum(cost if is_alone(operator) else cost // 2 for operator, cost in found.items())


def is_alone(operator):
    """Whether torch does not count additions besides."""
    return operator in COSTS or operator._qualified_op_name.startswith("selscan::")
