"""Name what is in an image: the paper's preprocessing, a model, and its five most likely classes.

    python docs/examples/classify.py photo.jpg --weights weights.pth --names names.txt

The names of the classes are the lines of a file, in the order of the weights' training. No weights
come with selscan; without them the model is random, and so is what it says. It needs pillow, and
writes classify.png: what the model sees of the image, and bars for the five classes. Without an
image it takes a photograph of scikit-learn's.
"""

import argparse
import math
import signal
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image

from selscan import models

MARGIN, LINE, BAR = 16, 34, 360  # pixels of the picture: around parts, of a class, of 100 %
TEXT, BARS = "#30363f", "#9ecae9"


def cropped(image, config):
    """The middle of an image, scaled as the model's configuration says."""
    _, height, width = config["input_size"]
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    scale = math.floor(height / config["crop_pct"]) / min(image.size)
    sides = [max(1, int(side * scale + 1e-6)) for side in image.size]
    image = image.resize(sides, filters[config["interpolation"]])
    left, top = (
        round((have - want) / 2) for have, want in zip(sides, (width, height), strict=True)
    )
    return image.crop((left, top, left + width, top + height))


def prepared(image, config):
    """The tensor (1, 3, h, w) of what `cropped` returns, normalised."""
    mean, deviation = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    pixels = pixels.view(image.height, image.width, 3).permute(2, 0, 1) / 255
    return ((pixels - mean) / deviation)[None]


def drawn(image, classes):
    """The image, and a bar for each (name, share)."""
    font = ImageFont.load_default(16)
    size = (image.width + BAR + 3 * MARGIN, max(image.height, LINE * len(classes)) + 2 * MARGIN)
    picture = Image.new("RGB", size, "white")
    picture.paste(image, (MARGIN, MARGIN))
    pen, left = ImageDraw.Draw(picture), image.width + 2 * MARGIN
    for i, (name, share) in enumerate(classes):
        top = MARGIN + i * LINE
        pen.rectangle((left, top, left + max(1, share * BAR), top + LINE - 10), fill=BARS)
        pen.text((left + 6, top + 2), f"{share:6.1%}  {name}", TEXT, font)
    return picture


@torch.no_grad()
def main(
    image=None, model="vmamba_tiny_s1l8", weights=None, names=None, out="classify.png", **options
):
    """Print the five classes of an image and draw them; their names and shares."""
    torch.manual_seed(0)
    if weights is None:
        print("no weights were given: the model is random, and so is what it says")
    net = models.create(model, weights, **options).eval()
    names = Path(names).read_text(encoding="utf-8").splitlines() if names else []
    if names and len(names) != net.num_classes:
        raise SystemExit(f"{net.num_classes} names are needed, one a line; got {len(names)}")
    whole = Image.open(image) if image else Image.fromarray(load_sample_image("china.jpg"))
    seen = cropped(whole.convert("RGB"), net.default_cfg)
    shares, best = net(prepared(seen, net.default_cfg))[0].softmax(0).topk(min(5, net.num_classes))
    called = [names[i] if names else f"class {i}" for i in best.tolist()]
    classes = list(zip(called, shares.tolist(), strict=True))
    for name, share in classes:
        print(f"{share:6.1%}  {name}")
    drawn(seen, classes).save(out)
    return classes


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image", nargs="?", help="a photograph of scikit-learn's without one")
    parser.add_argument(
        "--model", default="vmamba_tiny_s1l8", choices=models.list(), metavar="NAME"
    )
    parser.add_argument("--weights", help="a checkpoint of the model; random without one")
    parser.add_argument("--names", help="a file with the name of each class, one a line")
    parser.add_argument("--out", default="classify.png", help="the picture")
    main(**vars(parser.parse_args()))
