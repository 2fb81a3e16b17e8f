"""Train a model of maps and a head like UPerNet's to find shapes, and draw the masks that it finds.

    python docs/examples/segment.py [--steps 600]

The images are drawn here: circles, squares and triangles of any colour on a noisy ground, which
hide each other. The backbone is a small VMamba; the head takes what it needs to know of the four
maps from `feature_info`. It needs pillow, and writes segment.png: images, their masks, and those
that were found.
"""

import argparse
import random
import signal

import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from selscan import models

SIDE, SHOWN, GAP = 64, 8, 6  # pixels of an image, images in the picture, pixels between them
CLASSES = ("ground", "circle", "square", "triangle")
WEIGHTS = torch.tensor([0.4, 1, 1, 1])  # in the loss: most of an image is ground
COLOURS = torch.tensor([[241, 243, 247], [91, 75, 138], [253, 184, 99], [158, 202, 233]])


def draw_shape(pens, rng):
    """One shape, by the pen of the image in a colour, and by that of the mask with its class."""
    kind, half = rng.randrange(1, len(CLASSES)), rng.randint(SIDE // 6, SIDE // 3)
    x, y = (rng.randint(half // 2, SIDE - half // 2) for _ in range(2))
    box = (x - half, y - half, x + half, y + half)
    colour = tuple(rng.randrange(256) for _ in range(3))
    for pen, ink in zip(pens, (colour, kind), strict=True):
        if kind == 1:
            pen.ellipse(box, ink)
        elif kind == 2:
            pen.rectangle(box, ink)
        else:
            pen.polygon(((x, y - half), (x - half, y + half), (x + half, y + half)), ink)


def batch_of(count, seed):
    """Images (count, 3, SIDE, SIDE) of about mean 0 and deviation 1, and masks of classes."""
    rng, noise = random.Random(seed), torch.Generator().manual_seed(seed)
    images, masks = [], []
    for _ in range(count):
        ground = tuple(rng.randrange(64, 192) for _ in range(3))
        image, mask = Image.new("RGB", (SIDE, SIDE), ground), Image.new("L", (SIDE, SIDE))
        pens = ImageDraw.Draw(image), ImageDraw.Draw(mask)
        for _ in range(rng.randint(1, 3)):
            draw_shape(pens, rng)
        images.append(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8))
        masks.append(torch.frombuffer(bytearray(mask.tobytes()), dtype=torch.uint8))
    images = torch.stack(images).view(count, SIDE, SIDE, 3).permute(0, 3, 1, 2) / 64 - 2
    images = images + 0.3 * torch.randn(images.shape, generator=noise)
    return images, torch.stack(masks).view(count, SIDE, SIDE).long()


def conv(inputs, outputs, side):
    """A convolution, its norm over the batch, and an activation."""
    layers = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
    return nn.Sequential(layers, nn.BatchNorm2d(outputs), nn.ReLU())


def resized(x, like):
    """A map as large as another one."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


class Head(nn.Module):
    """UPerNet's (Xiao et al. 2018): means over parts of the last map, and a pyramid from it down.

    Parameters
    ----------
    channels : sequence of int
        Of the maps, large before small.
    width : int
        Channels of the pyramid.
    """

    def __init__(self, channels, width=32, parts=(1, 2, 3)):
        super().__init__()
        *larger, last = channels
        self.parts = parts
        self.pooled = nn.ModuleList(nn.Conv2d(last, width, 1) for _ in parts)
        self.top = conv(last + len(parts) * width, width, 3)
        self.sides = nn.ModuleList(conv(c, width, 1) for c in larger)
        self.smooth = nn.ModuleList(conv(width, width, 3) for _ in larger)
        self.join = conv(len(channels) * width, width, 3)
        self.classes = nn.Conv2d(width, len(CLASSES), 1)

    def forward(self, maps):
        *larger, last = maps
        means = [
            resized(pool(F.adaptive_avg_pool2d(last, part)), last)
            for pool, part in zip(self.pooled, self.parts, strict=True)
        ]
        found = [self.top(torch.cat([last, *means], 1))]
        for x, side in zip(larger[::-1], list(self.sides)[::-1], strict=True):
            found.append(side(x) + resized(found[-1], x))
        smooth = [found[0], *(f(x) for f, x in zip(self.smooth, found[1:], strict=True))]
        return self.classes(self.join(torch.cat([resized(x, smooth[-1]) for x in smooth], 1)))


class Segmenter(nn.Module):
    """Images (b, 3, h, w) to scores of classes (b, classes, h, w)."""

    def __init__(self):
        super().__init__()
        options = {"depths": (1, 1, 1, 1), "dim": 24, "drop_path_rate": 0.0}
        self.backbone = models.create("vmamba_tiny_s1l8", features_only=True, **options)
        self.head = Head(self.backbone.feature_info.channels())

    def forward(self, images):
        return resized(self.head(self.backbone(images)), images)


@torch.no_grad()
def mean_iou(model, images, masks):
    """The mean over classes of intersection over union, and the masks that were found."""
    found = model.eval()(images).argmax(1)
    each = [
        ((found == i) & (masks == i)).sum() / ((found == i) | (masks == i)).sum().clamp(min=1)
        for i in range(len(CLASSES))
    ]
    return torch.stack(each).mean().item(), found


def drawn(images, masks, found):
    """Rows of images, masks, and masks that were found."""
    pixels = ((images[:SHOWN] + 2) * 64).clamp(0, 255).permute(0, 2, 3, 1)
    rows = [pixels.long(), COLOURS[masks[:SHOWN]], COLOURS[found[:SHOWN]]]
    framed = [F.pad(x.byte(), (0, 0, GAP, 0, GAP, 0), value=255) for x in rows]
    picture = torch.cat([torch.cat(list(x), dim=1) for x in framed])
    picture = F.pad(picture, (0, 0, 0, GAP, 0, GAP), value=255)
    return Image.fromarray(picture.numpy())


def main(steps=600, out="segment.png", batch_size=8, lr=3e-3, test=48):
    """Train, draw the masks, and return the intersection over union before and after."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    model, (images, masks) = Segmenter(), batch_of(test, seed=0)
    before, _ = mean_iou(model, images, masks)
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for step in tqdm(range(1, steps + 1), "training", leave=False, disable=None):
        x, y = batch_of(batch_size, seed=step)
        loss = F.cross_entropy(model.train()(x), y, WEIGHTS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    after, found = mean_iou(model, images, masks)
    print(f"intersection over union: {before:.1%} untrained, {after:.1%} after {steps} steps")
    drawn(images, masks, found).save(out)
    return before, after


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", default="segment.png", help="the picture")
    main(**vars(parser.parse_args()))
