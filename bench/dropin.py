"""transformers with and without selscan.patch: prefill, a training step, and decoding.

    python -m bench.dropin                        # MambaForCausalLM of 4 layers, hidden_size 256
    python -m bench.dropin --model Jamba --hidden 768 --turns 5

In one process; the two take turns, and medians are printed. Logits are compared within 1e-4 of the
largest, and greedy tokens must be the same.
"""

import argparse
import contextlib
import statistics
import time
from unittest import mock

import torch
import transformers

import selscan
from selscan.compat.mamba_ssm.ops import selective_scan_interface as interface
from selscan.compat.mamba_ssm.ops.triton import selective_state_update as state_update

PREFILL, TRAINING, PROMPT, NEW = 512, 128, 8, 64
TOLERANCE = 1e-4


def model_of(name, hidden, layers):
    """Random, in float32."""
    torch.manual_seed(0)
    options = {"hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": 1000}
    if name == "Jamba":
        heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "num_experts": 1}
        attention = {"attn_layer_period": 2, "attn_layer_offset": 1}
        options |= heads | attention | {"intermediate_size": 2 * hidden}
    config = getattr(transformers, f"{name}Config")(**options, pad_token_id=0)
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


class Work:
    """What is timed: each method returns a tensor to compare."""

    def __init__(self, model):
        self.model = model
        self.ids = torch.randint(1, 1000, (1, PREFILL))

    @torch.no_grad()
    def prefill(self):
        return self.model(self.ids).logits

    def training(self):
        ids = self.ids[:, :TRAINING]
        self.model.train().zero_grad()
        loss = self.model(ids, labels=ids).loss
        loss.backward()
        self.model.eval()
        return loss.detach()

    def decoding(self):
        ids, options = self.ids[:, :PROMPT], {"do_sample": False, "eos_token_id": None}
        return self.model.generate(ids, max_new_tokens=NEW, **options)


def taken(function, clock):
    """Seconds of one call, and its result."""
    start = clock()
    result = function()
    return clock() - start, result


def measure(work, turns, clock):
    """{what: (all seconds without, with, both results)}; the first turn is not counted."""
    found = {}
    for name in ("prefill", "training", "decoding"):
        times, results = ([], []), [None, None]
        for turn in range(turns + 1):
            for i, on in enumerate((contextlib.nullcontext, selscan.patch)):
                with on():
                    seconds, results[i] = taken(getattr(work, name), clock)
                if turn:
                    times[i].append(seconds)
        found[name] = *times, results
    return found


def shown(name, seconds):
    """A time, or the rate of tokens."""
    return f"{NEW / seconds:.1f} tokens/s" if name == "decoding" else f"{1e3 * seconds:.1f} ms"


def compared(name, plain, ours):
    """The largest difference relative to the largest value; tokens must be the same."""
    if name == "decoding":
        if not plain.equal(ours):
            raise ArithmeticError("greedy tokens differ")
        return 0.0
    error = float((plain - ours).abs().max() / plain.abs().max())
    if not error < TOLERANCE:
        raise ArithmeticError(f"{name}: results differ by {error:.1e}")
    return error


def count(work):
    """How often our scan and our step run in one prefill and one generation."""
    places = (interface, "scan"), (state_update, "scan_step")
    with contextlib.ExitStack() as stack:
        stack.enter_context(selscan.patch())
        mocks = [
            stack.enter_context(mock.patch.object(place, name, wraps=getattr(selscan, name)))
            for place, name in places
        ]
        work.prefill()
        work.decoding()
    return [x.call_count for x in mocks]


def main(argv=None):
    """Print a line for each kind of work."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.dropin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=("Mamba", "FalconMamba", "Jamba"), default="Mamba")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, help="1 is CPU time; default: all")
    options = parser.parse_args(argv)
    threads = options.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    transformers.logging.set_verbosity_error()
    work = Work(model_of(options.model, options.hidden, options.layers))
    kind = "CPU time on 1 thread" if threads == 1 else f"wall clock, {threads} threads"
    form = f"{options.model}, {options.layers} layers, hidden_size {options.hidden}"
    print(f"{form}, float32, batch 1; {kind}, median of {options.turns}", flush=True)
    for name, (plain, ours, results) in measure(work, options.turns, clock).items():
        error = compared(name, *results)
        plain, ours = statistics.median(plain), statistics.median(ours)
        texts = f"without {shown(name, plain):>14s}, with {shown(name, ours):>14s}"
        print(f"{name:9s} {texts}: {plain / ours:.2f}x; error {error:.0e}", flush=True)
    scans, steps = count(work)
    print(f"selscan.scan ran {scans} times, selscan.scan_step {steps} times")


if __name__ == "__main__":
    main()
