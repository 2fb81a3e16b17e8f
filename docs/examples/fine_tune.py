"""Fine-tune a small Vim: another size of images, other classes, and learning rates by layer.

    python docs/examples/fine_tune.py [--epochs 12]

A model learns the digits 0 to 5 at 32 x 32 pixels. Its weights are then loaded into a model for
four other digits at 48 x 48, of which it sees ten images each: positions are resized, the head
begins anew, and each layer has a smaller learning rate than the one behind it, as `group_matcher`
counts them. A second model begins from nothing, for comparison. It needs pillow, and writes
fine_tune.png: the accuracy of both, epoch by epoch, and the learning rates.
"""

import argparse
import math
import re
import signal

import torch
from classify_digits import PLAIN, accuracy, load, train
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F
from tqdm import tqdm

from selscan import models

OLD, NEW = (0, 1, 2, 3, 4, 5), (6, 7, 8, 9)  # the digits of the two trainings
SMALL, LARGE, EACH = 32, 48, 10  # pixels of their images; images of each new digit
SIDE, MARGIN = 280, 44  # pixels of a part of the picture, and around it
TUNED, FRESH, TEXT = "#5b4b8a", "#fdb863", "#30363f"


def new_model(weights=None, **options):
    """A Vim of four layers for images in grey."""
    options = PLAIN | {"depth": 4, "patch": 8, "stride": 4, "in_chans": 1} | options
    return models.create("vim_tiny", weights, drop_path_rate=0.0, **options)


def with_digits(data, digits, side, each=None):
    """Images of some digits in another size, and their places in the list: to train and to test."""
    images, labels, test_images, test_labels = data

    def chosen(images, labels, each=None):
        rows = torch.cat([(labels == digit).nonzero()[:each, 0] for digit in digits])
        classes = torch.tensor([digits.index(x) for x in labels[rows].tolist()])
        return F.interpolate(images[rows], (side, side), mode="bilinear"), classes

    return *chosen(images, labels, each), *chosen(test_images, test_labels)


def depths(model):
    """{name of a parameter: its depth}, from 0 at the patches to the largest at the head.

    A pattern of `group_matcher` captures numbers, which sort; 99999 behind them is for what belongs
    to the layer before.
    """
    patterns = []
    for entry, found in enumerate(model.group_matcher().values()):
        found = [(found, None)] if isinstance(found, str) else found
        patterns += [(pattern, entry, suffix or ()) for pattern, suffix in found]
    keys = {}
    for name, _ in model.named_parameters():
        keys[name] = (math.inf,)  # the head matches nothing
        for pattern, entry, suffix in patterns:
            if match := re.match(pattern, name):
                keys[name] = (entry, *map(int, match.groups()), *suffix)
                break
    counted = [key for key in sorted(set(keys.values())) if key[-1] != 99999]
    return {name: sum(x <= key for x in counted) - 1 for name, key in keys.items()}


def groups(model, lr, decay, weight_decay=0.05):
    """For an optimizer: `lr` at the head, and `decay` times as much at each depth before it."""
    found, skipped = {}, model.no_weight_decay()
    of_depth = depths(model)
    last = max(of_depth.values())
    for name, parameter in model.named_parameters():
        decayed = parameter.dim() > 1 and name not in skipped
        group = found.setdefault((of_depth[name], decayed), {"params": []})
        group["lr"] = lr * decay ** (last - of_depth[name])
        group["weight_decay"] = weight_decay if decayed else 0.0
        group["params"].append(parameter)
    return list(found.values())


def tune(model, data, epochs, decay, title, lr=3e-3, batch_size=8):
    """Train with learning rates by layer; the accuracy behind each epoch."""
    images, labels, *test = data
    optimizer = torch.optim.AdamW(groups(model, lr, decay))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    scores = [accuracy(model, *test)]
    for _ in tqdm(range(epochs), title, leave=False, disable=None):
        model.train()
        for batch in torch.randperm(len(images)).split(batch_size):
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        scores.append(accuracy(model, *test))
    return scores


def curve(pen, scores, colour):
    """Accuracies from left to right."""
    step = SIDE / (len(scores) - 1)
    points = [(MARGIN + i * step, MARGIN + SIDE * (1 - x)) for i, x in enumerate(scores)]
    pen.line(points, colour, 3)


def drawn(tuned, fresh, rates):
    """The curves, and a bar for the learning rate of each depth."""
    font = ImageFont.load_default(14)
    picture = Image.new("RGB", (2 * SIDE + 3 * MARGIN, SIDE + 2 * MARGIN), "white")
    pen, left, bottom = ImageDraw.Draw(picture), SIDE + 2 * MARGIN, MARGIN + SIDE
    pen.text((MARGIN, 14), "accuracy by epoch: fine-tuned", TUNED, font)
    pen.text((MARGIN + 210, 14), "from nothing", FRESH, font)
    for share in (0, 0.5, 1):
        y = MARGIN + SIDE * (1 - share)
        pen.line((MARGIN, y, MARGIN + SIDE, y), "#d9dde4")
        pen.text((4, y - 8), f"{share:.0%}", TEXT, font)
    curve(pen, tuned, TUNED)
    curve(pen, fresh, FRESH)
    pen.text((left, 14), "learning rate / 1e-3 by depth, patches to head", TEXT, font)
    width = SIDE / len(rates)
    for i, rate in enumerate(rates):
        box = (
            left + i * width,
            bottom - SIDE * rate / max(rates),
            left + (i + 0.8) * width,
            bottom,
        )
        pen.rectangle(box, "#9ecae9")
        pen.text((box[0], bottom + 6), f"{1e3 * rate:.2f}", TEXT, ImageFont.load_default(11))
    return picture


def main(epochs=12, first_epochs=6, decay=0.7, lr=3e-3, out="fine_tune.png"):
    """Train three times, draw, and return the accuracy fine-tuned and from nothing."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    data = load()
    model = new_model(num_classes=len(OLD))
    score = train(model, with_digits(data, OLD, SMALL), first_epochs, title="first training")
    print(f"digits 0 to 5 at {SMALL} pixels: {score:.1%}")
    few = with_digits(data, NEW, LARGE, EACH)
    options = {"img_size": LARGE, "num_classes": len(NEW)}
    tuned = new_model(model.state_dict(), **options)
    rates = sorted({group["lr"] for group in groups(tuned, lr, decay)})
    tuned = tune(tuned, few, epochs, decay, "fine-tuning", lr)
    fresh = tune(new_model(**options), few, epochs, 1.0, "from nothing", lr)
    print(f"digits 6 to 9 at {LARGE} pixels, {EACH} images each: ", end="")
    print(f"{tuned[-1]:.1%} fine-tuned, {fresh[-1]:.1%} from nothing")
    drawn(tuned, fresh, rates).save(out)
    return tuned[-1], fresh[-1]


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--first-epochs", type=int, default=6)
    parser.add_argument("--out", default="fine_tune.png", help="the picture")
    main(**vars(parser.parse_args()))
