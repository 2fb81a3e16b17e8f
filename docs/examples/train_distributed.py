"""Train a small Mamba on several processes: batches in parts, or sequences in parts.

    python docs/examples/train_distributed.py
    torchrun --nproc-per-node 2 docs/examples/train_distributed.py
    torchrun --nproc-per-node 2 docs/examples/train_distributed.py --sequence-parallel

All three print the same losses. With ``--checkpoint FOLDER`` the training is saved at its end, and
goes on from there if the folder has one, also on another number of processes.

The text is made here: words of eight letters that are repeated, so that after the first eight each
letter is the one of eight steps before. What a model needs for that it must keep in its state.
"""

import argparse
import os
import signal
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from selscan.nn import Mamba

LETTERS, WORD, LENGTH, BATCH = 12, 8, 64, 16


class Model(nn.Module):
    """Letters (b, l) to the logits of the letters behind them, (b, l, LETTERS)."""

    def __init__(self, dim=32, depth=2, group=None):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))
        # With a group each process has a piece of the sequence, and the mixers exchange states.
        self.mixers = nn.ModuleList(Mamba(dim, group=group) for _ in range(depth))
        self.head = nn.Linear(dim, LETTERS)

    def forward(self, letters):
        x = self.embedding(letters)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        return self.head(x)


def batch_of(step):
    """Letters and those behind them, (BATCH, LENGTH) each; the same on every process."""
    generator = torch.Generator().manual_seed(step)
    words = torch.randint(LETTERS, (BATCH, WORD), generator=generator)
    text = words.repeat(1, LENGTH // WORD + 1)[:, : LENGTH + 1]
    return text[:, :-1], text[:, 1:]


def start():
    """(number of this process, number of processes); those that torchrun starts form a group."""
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo")
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


class Training:
    """Model and optimizer, and how far they are."""

    def __init__(self, sequence_parallel=False):
        torch.manual_seed(0)
        self.rank, self.size = start()
        self.axis = 1 if sequence_parallel else 0  # along which a batch is cut
        group = dist.group.WORLD if sequence_parallel and self.size > 1 else None
        self.model = Model(group=group)
        # It averages the gradients of the processes. Each has as many letters as the others, so
        # that the mean over them of their mean losses is the mean loss.
        self.wrapped = DistributedDataParallel(self.model) if self.size > 1 else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.steps = 0

    def step(self):
        """One step; the loss of all processes."""
        own = (x.chunk(self.size, self.axis)[self.rank] for x in batch_of(self.steps))
        letters, following = own
        loss = F.cross_entropy(self.wrapped(letters).flatten(0, 1), following.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        loss = loss.detach() / self.size
        if self.size > 1:
            dist.all_reduce(loss)
        return loss.item()

    def state(self):
        """What is saved."""
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "optimizer": optimizer, "steps": torch.tensor(self.steps)}

    def save(self, folder):
        dcp.save(self.state(), checkpoint_id=folder)

    def resume(self, folder):
        state = self.state()
        dcp.load(state, checkpoint_id=folder)
        model, optimizer = state["model"], state["optimizer"]
        set_state_dict(
            self.model, self.optimizer, model_state_dict=model, optim_state_dict=optimizer
        )
        self.steps = int(state["steps"])


def main(steps=150, sequence_parallel=False, checkpoint=None, every=10):
    """Train up to so many steps, print the loss now and then, and return that of each step."""
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    training, losses = Training(sequence_parallel), []
    if checkpoint and Path(checkpoint, ".metadata").exists():
        training.resume(checkpoint)
    while training.steps < steps:
        losses.append(training.step())
        if training.rank == 0 and (training.steps % every == 0 or training.steps == 1):
            print(f"step {training.steps:4d}  loss {losses[-1]:.7f}", flush=True)
    if checkpoint:
        training.save(checkpoint)
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a small Mamba on several processes.")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--sequence-parallel", action="store_true")
    parser.add_argument("--checkpoint", metavar="FOLDER")
    parser.add_argument("--every", type=int, default=10, help="steps between two lines")
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    main(**vars(parser.parse_args()))
    if dist.is_initialized():
        dist.destroy_process_group()
