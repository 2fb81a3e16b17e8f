"""The tiny models, with their scans by selscan and as plain loops in torch.

The loops are those of bench/peers/eager.py. Maps are gathered and scattered by selscan around them.
"""

import contextlib
import functools

import torch

from bench.peers.eager import scan_loop, scan_loop_step
from selscan import models
from selscan.nn import branch, s6maps, set_fused

LOOPS = {"loop": scan_loop, "loop_step": scan_loop_step}
WAYS = ("selscan", *LOOPS)
MODES = ("forward", "training")
# The backward of `loop` is quadratic in the length.
CELLS = [(way, mode) for mode in MODES for way in WAYS if (way, mode) != ("loop", "training")]


def plain_scan(
    loop,
    u,
    delta,
    A,
    B,
    C,
    D,
    z=None,
    delta_bias=None,
    *,
    delta_softplus=True,
    reverse=False,
    out_dtype=None,
):
    """`selscan.scan` as the models call it, by a loop."""
    assert delta_softplus
    assert out_dtype in (None, u.dtype)
    B, C = (x if x.dim() == 4 else x[:, None] for x in (B, C))
    sequences = u, delta, B, C
    if reverse:
        sequences = (x.flip(-1) for x in sequences)
    u, delta, B, C = sequences
    y = loop(u, delta, A, B, C, D, delta_bias)
    y = y.flip(-1) if reverse else y
    return y if z is None else y * torch.nn.functional.silu(z)


@contextlib.contextmanager
def scans_by(way):
    """The way in which all models scan inside of it."""
    places = (branch, s6maps)
    ours = [place.scan for place in places]
    for place in places if way in LOOPS else ():
        place.scan = functools.partial(plain_scan, LOOPS[way])
    try:
        yield
    finally:
        for place, scan in zip(places, ours, strict=True):
            place.scan = scan


def runner(name, way, mode, batch=1, device="cpu"):
    """A call for images: a forward in eval mode, or a step of training without its update."""
    torch.manual_seed(0)
    model = set_fused(models.create(name), way == "selscan")
    model.to(device, memory_format=torch.channels_last)
    images = torch.randn(batch, 3, 224, 224, device=device)

    def forward():
        with scans_by(way), torch.no_grad():
            return model(images)

    def training():
        with scans_by(way):
            model.zero_grad()
            model(images).square().mean().backward()

    model.train(mode == "training")
    return forward if mode == "forward" else training
