"""Train a small bidirectional scan classifier on scikit-learn's handwritten digits.

    python docs/examples/digits.py

Each image of 8 x 8 pixels becomes a sequence of 16 patches of 2 x 2 pixels, which the selective
scan of Mamba reads once from the front and once from the back. The block is that of Vision Mamba
(Zhu et al. 2024) without its convolution: patches learn of each other through `selscan.scan` alone.
"""

import argparse
import math
import signal
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

import selscan


class Scan(nn.Module):
    """S6 in one direction: delta, B and C depend on the token, A and D do not."""

    def __init__(self, dim, d_state, reverse):
        super().__init__()
        self.reverse = reverse
        rank = math.ceil(dim / 16)  # delta is computed through a bottleneck
        self.sizes = (rank, d_state, d_state)
        self.project = nn.Linear(dim, sum(self.sizes), bias=False)
        self.widen = nn.Linear(rank, dim, bias=False)
        # A = -1 .. -n: states that forget at n different rates.
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(dim, 1))  # (d, n)
        self.D = nn.Parameter(torch.ones(dim))
        # softplus(delta_bias) is log-uniform in 1e-3 .. 1e-1, as in Mamba.
        delta = torch.empty(dim).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.delta_bias = nn.Parameter(delta.expm1().log())

    def forward(self, u, z):
        delta, B, C = self.project(u).split(self.sizes, dim=-1)  # (b, l, rank), two (b, l, n)
        return selscan.scan(
            u,
            self.widen(delta),
            -self.A_log.exp(),
            B,
            C,
            self.D,
            z,  # the gate: what comes out is multiplied by silu(z)
            self.delta_bias,
            delta_softplus=True,
            reverse=self.reverse,
            layout="bld",  # u, delta and z are (b, l, d): no transposing around linear layers
        )


class Block(nn.Module):
    """x + both scans of x, widened to twice the channels on the way in."""

    def __init__(self, dim, d_state):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.enter = nn.Linear(dim, 4 * dim, bias=False)
        self.scans = nn.ModuleList(Scan(2 * dim, d_state, reverse) for reverse in (False, True))
        self.leave = nn.Linear(2 * dim, dim, bias=False)

    def forward(self, x):  # (b, l, dim)
        u, z = self.enter(self.norm(x)).chunk(2, dim=-1)
        u = F.silu(u)
        return x + self.leave(sum(scan(u, z) for scan in self.scans))


class Classifier(nn.Module):
    """Patches with a learnt position -> blocks -> mean over the sequence -> ten classes."""

    def __init__(self, dim=32, d_state=8, depth=2):
        super().__init__()
        self.embed = nn.Linear(4, dim)
        self.position = nn.Parameter(0.5 * torch.randn(16, dim))
        self.blocks = nn.Sequential(*(Block(dim, d_state) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 10)

    def forward(self, images):  # (b, 64)
        patches = images.reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        tokens = self.blocks(self.embed(patches) + self.position)  # (b, 16, dim)
        return self.head(self.norm(tokens).mean(dim=1))


def load():
    """1,437 images to train on, 360 to test on; pixels in 0 .. 1."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)
    train_images, test_images, train_labels, test_labels = map(torch.from_numpy, parts)
    return train_images.float(), train_labels, test_images.float(), test_labels


@torch.no_grad()
def accuracy(model, images, labels):
    """The share of images whose class is found."""
    return (model(images).argmax(dim=1) == labels).float().mean().item()


def main(epochs=30, seed=0, batch_size=64, lr=1e-2):
    """Train, print one line an epoch, and return the accuracy on the test images."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    images, labels, test_images, test_labels = load()
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    steps = epochs * math.ceil(len(images) / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(images)).split(batch_size):
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        score = accuracy(model, test_images, test_labels)
        print(
            f"epoch {epoch:2d}/{epochs}  loss {total / len(images):.3f}  test {score:6.1%}"
            f"  {time.perf_counter() - start:4.1f} s",
            flush=True,
        )
    print(f"test accuracy {score:.1%} on {len(test_images)} images")
    return score


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
