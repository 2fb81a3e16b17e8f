"""One scan in onnxruntime as a Scan and as a LinearAttention, beside selscan's kernel.

    python -m bench.onnx_scans [--threads N]

needs the extra onnx. Milliseconds of calls in turns, the fastest of each: CPU time on one thread,
wall clock on more.
"""

import argparse
import time
from functools import partial

import numpy as np
import torch

import selscan
from bench.peers.onnx import NODES, session
from bench.rows import environment, markdown, short

# b, d, g, n, l
CASES = {
    "Vim": (1, 384, 1, 16, 197),
    "VMamba, stage 3": (1, 1536, 4, 1, 196),
    "VMamba, stage 1": (1, 384, 4, 1, 3136),
}
SAMPLES = 5


def main(arguments=None):
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args(arguments).threads
    torch.set_num_threads(threads)
    print(environment(), f"{threads} threads")
    lines = []
    for name, sizes in CASES.items():
        lines.append([name, str(sizes), *map(short, times(sizes, threads))])
        print(*lines[-1], flush=True)
    print(markdown(("scan", "b, d, g, n, l", "selscan", *NODES), lines))


def times(sizes, threads):
    """Milliseconds of selscan, and of both nodes."""
    b, d, g, n, l = sizes
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((b, d, l), np.float32),
        rng.standard_normal((b, d, l), np.float32) / 4,
        -rng.random((d, n), np.float32),
        *(rng.standard_normal((b, g, n, l), np.float32) for _ in "BC"),
    ]
    tensors = [torch.from_numpy(x) for x in arrays]
    want = selscan.scan(*tensors, delta_softplus=True).numpy()
    calls = [lambda: selscan.scan(*tensors, delta_softplus=True)]
    given = dict(zip(("u", "delta", "A", "B", "C"), arrays, strict=True))
    for opset in NODES.values():
        run = session(given, opset, threads).run
        calls.append(partial(run, None, given))
        np.testing.assert_allclose(calls[-1]()[0], want, rtol=1e-3, atol=1e-3)
    taken, clock = [[] for _ in calls], time.process_time if threads == 1 else time.perf_counter
    for _ in range(SAMPLES):
        for call, of_call in zip(calls, taken, strict=True):
            start = clock()
            call()
            of_call.append(1e3 * (clock() - start))
    return map(min, taken)


if __name__ == "__main__":
    main()
