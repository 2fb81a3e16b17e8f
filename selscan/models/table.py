"""`python -m selscan models`: what the models have and cost, beside what their papers say."""

import torch

from . import FAMILIES, create
from .flops import count

WIDTHS = (-32, 12, 10, 8, 10, 7)
HEADER = ("model", "parameters", "published", "GFLOPs", "published", "top-1")


def show():
    """Print a line for each variant as it is counted; the exit code."""
    print(line(HEADER))
    for family in FAMILIES:
        for name, variant in family.VARIANTS.items():
            print(line(row(name, variant)), flush=True)
    print("\nFor an image of 224 x 224 pixels. Top-1 is the published accuracy on ImageNet-1k.")
    return 0


def row(name, variant):
    """The cells of a variant."""
    parameters, flops = measured(name)
    millions = "-" if variant.parameters is None else f"{variant.parameters:g} M"
    gflops, top1 = ("-" if x is None else f"{x:.1f}" for x in (variant.gflops, variant.top1))
    return name, f"{parameters:,}", millions, f"{flops / 1e9:.3f}", gflops, top1


def measured(name):
    """Parameters and operations, from a model without data."""
    with torch.device("meta"):
        model = create(name)
    return sum(x.numel() for x in model.parameters()), count(model)


def line(cells):
    """Cells in columns; a width below zero is that of a column of text."""
    pairs = zip(cells, WIDTHS, strict=True)
    return "".join(f"{cell:<{-w}}" if w < 0 else f"{cell:>{w}}" for cell, w in pairs)
