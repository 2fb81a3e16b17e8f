"""Runs one function of a benchmark part in a fresh process, with its own threads and memory.

The child is `python -m bench.child MODULE FUNCTION`; it reads its argument as JSON from standard
input and writes the result as JSON to standard output.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
# Freed memory stays in the process: peers that make large arrays pay for their pages once only.
REUSE_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
# Where no time is taken: waiting threads give the CPU to others.
YIELD = {"OMP_WAIT_POLICY": "PASSIVE"}


def call(function, argument, *, threads=None, variables=None):
    """function(argument) in a child with `threads` threads on as many CPUs; its result.

    Raises
    ------
    RuntimeError : the child failed; the error in one line.
    """
    limits = {name: str(threads) for name in THREADS} if threads else {}
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", function.__module__, function.__name__],
        input=json.dumps({"argument": argument, "threads": threads}),
        stdout=subprocess.PIPE,
        stderr=None if sys.stderr.isatty() else subprocess.DEVNULL,
        env=os.environ | limits | (variables or {}),
        cwd=ROOT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}")
    reply = json.loads(done.stdout)
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply["result"]


def main(module, name):
    """The child: CPUs are chosen before anything that counts them is imported."""
    request = json.load(sys.stdin)
    threads = request["threads"]
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    with contextlib.redirect_stdout(sys.stderr):
        try:
            function = getattr(importlib.import_module(module), name)
            if threads:
                limit_torch(threads)
            reply = {"result": function(request["argument"])}
        except Exception as error:  # other people's code: the parent decides
            reply = {"error": one_line(error)}
    json.dump(reply, sys.stdout)


def one_line(error):
    """The type of an error and the first line of its text."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def limit_torch(threads):
    """Torch's own pool, where torch is installed."""
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(threads)


def progress(text):
    """Overwrite one line on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:78]}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
