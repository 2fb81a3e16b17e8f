"""Draw the feature maps of VMamba for a photograph of scikit-learn's.

    python docs/examples/features.py [weights.pth]

It needs pillow, to read the photograph and to write features.png. There a row is the image in one
size, and the map of each stage at strides 4, 8, 16 and 32: its three largest principal components
as red, green and blue. Without weights the model is random, which maps of edges and colours survive
for a while.
"""

import argparse
import signal

import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from selscan import models

SIZES = ((224, 224), (427, 640))  # (h, w): a square, and the photograph as it is
MEAN, DEVIATION = torch.tensor([[123.7, 116.3, 103.5], [58.4, 57.1, 57.4]]).view(2, 3, 1, 1)
HEIGHT, GAP = 200, 8  # pixels of the drawing


def photograph(height, width):
    """The image (1, 3, h, w) in 0 .. 255."""
    image = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1)[None].float()
    return F.interpolate(image, (height, width), mode="bilinear", antialias=True)


def coloured(x):
    """A map (1, channels, h, w) as an image (1, 3, h, w), by its principal components."""
    pixels = x.flatten(2)[0].T  # (h * w, channels)
    pixels = pixels - pixels.mean(0)
    _, _, axes = torch.linalg.svd(pixels, full_matrices=False)
    # The sign of an axis is arbitrary: its largest entry shall be positive.
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    colours = pixels @ (axes * signs)[:3].T
    low, high = colours.quantile(torch.tensor([0.02, 0.98]), dim=0)
    colours = ((colours - low) / (high - low)).clamp(0, 1)
    return 255 * colours.T.reshape(1, 3, *x.shape[2:])


def row(pictures):
    """Pictures beside each other, (h, w, 3), each as high as the drawing's rows."""
    width = [round(HEIGHT * x.shape[3] / x.shape[2]) for x in pictures]
    scaled = [F.interpolate(x, (HEIGHT, w)) for x, w in zip(pictures, width, strict=True)]
    return torch.cat([F.pad(x, (0, GAP, 0, GAP), value=255) for x in scaled], dim=3)[0]


@torch.no_grad()
def main(weights=None, file="features.png", sizes=SIZES):
    """Draw the maps of some sizes; their shapes."""
    torch.manual_seed(0)
    model = models.create("vmamba_tiny_s1l8", weights, features_only=True).eval()
    rows, shapes = [], []
    for size in sizes:
        image = photograph(*size)
        maps = model((image - MEAN) / DEVIATION)
        shapes += [tuple(x.shape) for x in maps]
        rows.append(row([image, *map(coloured, maps)]))
        print(f"{size[0]} x {size[1]}:", ", ".join("x".join(map(str, x.shape[1:])) for x in maps))
    width = max(x.shape[2] for x in rows)
    drawing = torch.cat([F.pad(x, (0, width - x.shape[2]), value=255) for x in rows], dim=1)
    Image.fromarray(drawing.permute(1, 2, 0).byte().numpy()).save(file)
    return shapes


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="?", help="a checkpoint of VMamba; random without one")
    main(parser.parse_args().weights)
