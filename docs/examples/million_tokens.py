"""Train a mixer of Mamba on a million tokens, in memory that does not depend on their number.

    python docs/examples/million_tokens.py --tokens 1000000

The sequence is walked in segments. A first walk, without gradients, keeps nothing but the state
before each segment; a second one, from the last segment to the first, runs each again from there
and passes the gradient of its state on to the one before. That is the gradient of the whole, with
nothing cut off. The loss is the mean square of the difference to the next token's embedding.

It prints the peak of the memory of the process, and runs on one thread.
"""

import argparse
import resource
import signal
import time

import torch

from selscan import nn

D_MODEL, SEGMENT = 32, 8192


def tokens_of(first, end):
    """Embeddings (1, l, d_model) of some tokens: any function of the place; a file, say."""
    place = torch.arange(first, end, dtype=torch.float64)[:, None]
    waves = place * torch.logspace(0, -4, D_MODEL, dtype=torch.float64)
    return torch.sin(waves).float()[None]


def loss_of(mixer, first, end, length, state):
    """The share of some tokens in the loss, and the state behind them."""
    y, state = mixer(tokens_of(first, end), state=state, return_state=True)
    return (y - tokens_of(first + 1, end + 1)).square().sum() / (length * D_MODEL), state


def backward(mixer, length, segment):
    """The loss; its gradient is added to that of the parameters."""
    spans = [(first, min(first + segment, length)) for first in range(0, length, segment)]
    states = [None]
    with torch.no_grad():
        for span in spans[:-1]:
            states.append(tuple(mixer(tokens_of(*span), state=states[-1], return_state=True)[1]))
    total, gradients = 0.0, None
    for span, state in zip(reversed(spans), reversed(states), strict=True):
        before = None if state is None else [x.requires_grad_() for x in state]
        loss, behind = loss_of(mixer, *span, length, before)
        results = [loss] if gradients is None else [loss, *behind]
        upstream = None if gradients is None else [torch.ones(()), *gradients]
        torch.autograd.backward(results, upstream)
        gradients = None if before is None else [x.grad for x in before]
        total += loss.item()
    return total


def main(length=1_000_000, segment=SEGMENT, steps=1):
    """Some steps of training; the losses."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mixer = nn.Mamba(D_MODEL, d_state=16)
    optimiser = torch.optim.SGD(mixer.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        begin = time.perf_counter()
        optimiser.zero_grad()
        losses.append(backward(mixer, length, segment))
        optimiser.step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.perf_counter() - begin
        print(f"{length} tokens, loss {losses[-1]:.4f}, {seconds:.0f} s, peak {peak:.0f} MB")
    return losses


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=1_000_000)
    main(parser.parse_args().tokens)
