"""Train a small model of each family on scikit-learn's handwritten digits.

    python docs/examples/classify_digits.py [family ...]

The images of 8 x 8 pixels are enlarged to 32 x 32. Each model is a published one with fewer layers
and channels, by options of its class.
"""

import argparse
import math
import signal
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F
from tqdm import tqdm

from selscan import models

# A variant of each family, and what makes it small.
PYRAMID = {"depths": (1, 1, 1), "dim": 24}
# Without a class token: a few images teach it little.
PLAIN = {"dim": 48, "img_size": 32, "class_token": None}
ROUTES = (("h", "h_flip", "w2", "w2_flip"), ("v", "v_flip", "w7", "w7_flip"))
FAMILIES = {
    "vim": ("vim_tiny", PLAIN | {"depth": 3, "patch": 8, "stride": 4}),
    "vmamba": ("vmamba_tiny_s1l8", PYRAMID),
    "vmamba_v0": ("vmamba_v0_tiny", PYRAMID),
    "localvim": ("local_vim_tiny", PLAIN | {"patch": 4, "routes": ROUTES}),
    "localvmamba": ("local_vssm_tiny", PYRAMID | {"routes": (*ROUTES, ROUTES[0])}),
    "efficientvmamba": ("efficientvmamba_tiny", PYRAMID),
    "msvmamba": ("msvmamba_nano", PYRAMID),
    "msvmambav3": ("msvmambav3_tiny", PYRAMID),
}


def small(family):
    """A model of a family that trains in less than a minute."""
    name, options = FAMILIES[family]
    return models.create(name, in_chans=1, num_classes=10, drop_path_rate=0.0, **options)


def load():
    """1,437 images to train on, 360 to test on, (b, 1, 32, 32), of mean 0 and deviation 1."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    train, test, train_labels, test_labels = map(torch.from_numpy, parts)
    mean, deviation = train.mean(), train.std()
    train, test = (
        F.interpolate(x.reshape(-1, 1, 8, 8).float(), scale_factor=4, mode="bilinear")
        for x in ((train - mean) / deviation, (test - mean) / deviation)
    )
    return train, train_labels, test, test_labels


@torch.no_grad()
def accuracy(model, images, labels):
    """The share of images whose class is found."""
    return (model.eval()(images).argmax(dim=1) == labels).float().mean().item()


def train(model, data, epochs, batch_size=32, lr=3e-3, title=""):
    """Train, with a progress bar on terminals; the accuracy on the test images."""
    images, labels, *test = data
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    steps = epochs * math.ceil(len(images) / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in tqdm(range(epochs), title, leave=False, disable=None):
        model.train()
        for batch in torch.randperm(len(images)).split(batch_size):
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return accuracy(model, *test)


def main(families=tuple(FAMILIES), epochs=10, seed=0):
    """Train a model of each family, print a line for it, and return their accuracies."""
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    data, scores = load(), {}
    for family in families:
        torch.manual_seed(seed)
        model, start = small(family), time.perf_counter()
        scores[family] = train(model, data, epochs, title=family)
        count = sum(x.numel() for x in model.parameters())
        print(
            f"{family:<16} {count:>9,} parameters  test {scores[family]:6.1%}"
            f"  {time.perf_counter() - start:5.1f} s",
            flush=True,
        )
    return scores


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", nargs="*", help=f"some of {', '.join(FAMILIES)}; or all")
    chosen = parser.parse_args().family or tuple(FAMILIES)
    if unknown := sorted(set(chosen) - set(FAMILIES)):
        parser.error(f"family must be one of {', '.join(FAMILIES)}; got {unknown[0]}")
    main(chosen)
