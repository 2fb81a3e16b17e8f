"""Steps and scans of two checkouts, a process each, call for call in turns on one CPU.

    git worktree add ../before <commit>
    python -m bench.paired ../before . [--scans]

Minima of CPU time in us, and the median over the turns of how many times as long the second took.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

STEPS = [
    (b, 5120, n, 1) for b, n in ((1, 1), (1, 8), (1, 16), (8, 16), (1, 64), (1, 128), (8, 128))
]
STEPS += [(1, 5120, 256, 1), (1, 256, 16, 1), (1, 256, 256, 1), (1, 5120, 64, 1280)]
SCANS = [(8, 384, 197, 16, 1), (1, 5120, 128, 16, 1), (1, 1536, 1024, 16, 1), (4, 768, 3136, 1, 4)]
TURNS, CALLS = 15, {"step": 20, "scan": 4, "scan_backward": 4}
CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np, selscan
assert selscan.__file__.startswith(sys.argv[1]), selscan.__file__
rng = np.random.default_rng(0)
def make(*shape):
    return rng.random(shape, np.float32)
def step(b, d, n, g):
    x = dict(state=make(b, d, n), u=make(b, d), delta=make(b, d), A=-make(d, n), B=make(b, g, n))
    x |= dict(C=make(b, g, n), D=make(d), z=make(b, d), delta_bias=make(d))
    return lambda: selscan.scan_step(**x, delta_softplus=True)
def scan(b, d, l, n, g):
    x = dict(u=make(b, d, l), delta=make(b, d, l), A=-make(d, n), B=make(b, g, n, l))
    x |= dict(C=make(b, g, n, l), D=make(d), delta_bias=make(d))
    return lambda: selscan.scan(**x, delta_softplus=True)
def scan_backward(b, d, l, n, g):
    x = dict(dy=make(b, d, l), u=make(b, d, l), delta=make(b, d, l), A=-make(d, n))
    x |= dict(B=make(b, g, n, l), C=make(b, g, n, l), D=make(d), delta_bias=make(d))
    return lambda: selscan.scan_backward(**x, delta_softplus=True)
call = eval(sys.argv[2])
call(), call()
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    print(min(times), flush=True)
"""


def begin(folder, call):
    """A process that times a call of the package in a folder, on one CPU."""
    command = [sys.executable, "-c", CHILD, str(Path(folder).resolve()), call]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)


def ask(process, calls):
    """The least time of some calls, s."""
    process.stdin.write(f"{calls}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def compare(folders, call):
    """Both minima in us, and the median ratio."""
    processes = [begin(folder, call) for folder in folders]
    pairs, calls = [], CALLS[call.partition("(")[0]]
    for turn in range(TURNS):
        order = processes if turn % 2 else processes[::-1]
        found = {process: ask(process, calls) for process in order}
        pairs.append([1e6 * found[process] for process in processes])
    for process in processes:
        process.communicate()
    ratio = statistics.median(second / first for first, second in pairs)
    return *map(min, zip(*pairs, strict=True)), ratio


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs=2)
    parser.add_argument("--scans", action="store_true", help="not steps")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    calls = [f"step{x}" for x in STEPS]
    if options.scans:
        calls = [f"{name}{x}" for name in ("scan", "scan_backward") for x in SCANS]
    for call in calls:
        before, after, ratio = compare(options.folders, call)
        print(f"{call:<35}{before:10.1f}{after:10.1f}{ratio:8.3f}", flush=True)


if __name__ == "__main__":
    main()
