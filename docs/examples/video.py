"""Teach a small model of volumes which way shapes move, and draw what it sees of a film.

    python docs/examples/video.py [--steps 240]

In a film of 8 frames two squares move through noise, each up, down, to the left or to the right. Of
a single frame nobody can tell where to. The model, two blocks of `nn.Mixer3d`, scans films along a
path of three dimensions and says of every pixel: nothing, or a direction. It needs pillow, and
writes video.png: frames of four films, what the model says of them, and what is true.
"""

import argparse
import signal
import time

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import selscan

FRAMES, SIDE, SQUARE = 8, 12, 3
MOVES = torch.tensor([(-1, 0), (1, 0), (0, -1), (0, 1)])  # up, down, left, right; classes 1 to 4
COLOURS = torch.tensor([[245] * 3, [230, 80, 60], [60, 150, 230], [90, 180, 80], [230, 180, 40]])
ZOOM, GAP, SHOWN = 6, 4, 4  # of a pixel; between frames; films in the picture


def films(count, generator):
    """Films (b, t, h, w, 1), and the class of each pixel, (b, t, h, w)."""
    classes = torch.zeros(count, FRAMES, SIDE, SIDE, dtype=torch.int64)
    for _ in range(2):
        moves = torch.randint(len(MOVES), (count,), generator=generator)
        start = torch.randint(SIDE, (count, 2), generator=generator)
        # A film is a torus: what leaves it comes in again.
        corners = start[:, None] + torch.arange(FRAMES)[:, None] * MOVES[moves][:, None]
        offsets = (torch.arange(SIDE) - corners[..., None]) % SIDE  # (b, t, 2, SIDE)
        down, right = (offsets < SQUARE).unbind(2)
        inside = down[..., :, None] & right[..., None, :]
        classes = torch.where(inside, 1 + moves[:, None, None, None], classes)
    noise = 0.3 * torch.randn(classes.shape, generator=generator)
    return ((classes > 0) + noise)[..., None], classes


class Model(nn.Module):
    """A block scans, and is added to what it was given."""

    def __init__(self, dim=16, depth=2, path="spatiotemporal"):
        super().__init__()
        self.embed = nn.Linear(1, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth + 1))
        mixers = (selscan.nn.Mixer3d(dim, path, d_state=4, ratio=1.0) for _ in range(depth))
        self.mixers = nn.ModuleList(mixers)
        self.head = nn.Linear(dim, 1 + len(MOVES))

    def forward(self, x):  # (b, t, h, w, 1) -> (b, t, h, w, classes)
        x = self.embed(x)
        for norm, mixer in zip(self.norms, self.mixers, strict=False):
            x = x + mixer(norm(x))
        return self.head(self.norms[-1](x))


def train(model, steps, generator, batch=4, lr=2e-2):
    """Train on films that are never the same."""
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    weight = torch.tensor([0.2, 1.0, 1.0, 1.0, 1.0])  # most of a film is nothing
    start = time.perf_counter()
    for step in range(1, steps + 1):
        x, classes = films(batch, generator)
        loss = F.cross_entropy(model(x).flatten(0, 3), classes.flatten(), weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps:
            seconds = time.perf_counter() - start
            print(f"step {step:3d}/{steps}  loss {loss:.3f}  {seconds:4.1f} s", flush=True)


def drawing(x, said, true):
    """Three rows for each film, (rows, columns, 3) in 0 .. 255."""
    grey = (255 * (1 - x.clamp(0, 1))).expand(*x.shape[:-1], 3)
    rows = zip(grey, COLOURS[said], COLOURS[true], strict=True)
    return torch.cat([strip(frames) for films in rows for frames in films])


def strip(frames):
    """Frames (t, h, w, 3) side by side."""
    large = frames.repeat_interleave(ZOOM, 1).repeat_interleave(ZOOM, 2)
    return torch.cat([F.pad(x, (0, 0, 0, GAP, 0, GAP), value=255) for x in large], dim=1)


def main(steps=240, out="video.png", seed=0):
    """Train, draw, and return the share of the squares' pixels whose direction is found."""
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Model()
    train(model, steps, generator)
    x, true = films(16, generator)
    with torch.no_grad():
        said = model(x).argmax(-1)
    score = (said == true)[true > 0].float().mean().item()
    picture = drawing(x[:SHOWN], said[:SHOWN], true[:SHOWN])
    Image.fromarray(picture.byte().numpy()).save(out)
    print(f"{score:.1%} of the squares' pixels go where the model says; {out} shows {SHOWN} films")
    return score


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=240)
    main(parser.parse_args().steps)
