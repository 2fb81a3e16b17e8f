"""Maps with a depth in four ways, in turns, CPU time on one thread: `python -m bench.volumes`.

Fused, gathered and scattered by selscan, permuted by torch around selscan's scan, and by a loop of
torch, which is measured once, forward alone, where it is short.
"""

import functools
import statistics
import time

import torch

import selscan
from bench import maps
from bench.parts.scan2d import LONGEST_LOOP, runner

NAMES = ("video 14", "volume 16")
ROUNDS = 6  # of which the first does not count


def permuted(path, **inputs):
    """Copies by torch, as projects make them, around selscan's scan."""
    scan = functools.partial(selscan.scan, delta_softplus=True)
    return maps.unfused(path, maps.Torch(path), scan, **inputs)


WAYS = {"scan3d": maps.fused, "gather, scan, scatter": maps.unfused, "permuted by torch": permuted}


def timed(run):
    """Milliseconds of CPU time."""
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def measure(name):
    """Print the medians of a case."""
    path = maps.CASES[name].path()
    inputs, dy = maps.make_inputs(maps.CASES[name], False)
    runs = {
        (way, mode): runner(function, path, inputs, dy, mode)
        for way, function in WAYS.items()
        for mode in ("forward", "full")
    }
    times = {cell: [] for cell in runs}
    for _ in range(ROUNDS):
        for cell, run in runs.items():
            times[cell].append(timed(run))
    for (way, mode), found in times.items():
        print(f"{name}, {way}, {mode}: {statistics.median(found[1:]):.1f} ms", flush=True)
    if path.length <= LONGEST_LOOP:
        in_order, dy = maps.make_inputs(maps.CASES[name], True)
        run = runner(maps.torch_alone, path, in_order, dy, "forward")
        print(f"{name}, torch loop, forward: {timed(run):.0f} ms", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in NAMES:
        measure(name)
