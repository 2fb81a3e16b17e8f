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
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
# Freed memory stays in the process: peers that make large arrays pay for their pages once only.
REUSE_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
# Where no time is taken: waiting threads give the CPU to others.
YIELD = {"OMP_WAIT_POLICY": "PASSIVE"}
SHOWN = "SELSCAN_BENCH_SHOWN"  # set for a child whose progress is shown
MARK = "\0"  # in front of it
current = None  # the bar, while there is one


def call(function, argument, *, threads=None, variables=None):
    """function(argument) in a child with `threads` threads on as many CPUs; its result.

    Raises
    ------
    RuntimeError : the child failed; the error in one line.
    """
    limits = {name: str(threads) for name in THREADS} if threads else {}
    on_terminal = sys.stderr.isatty()
    with subprocess.Popen(
        [sys.executable, "-m", "bench.child", function.__module__, function.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if on_terminal else subprocess.DEVNULL,
        env=os.environ | limits | (variables or {}) | ({SHOWN: "1"} if on_terminal else {}),
        cwd=ROOT,
        text=True,
    ) as process:
        if on_terminal:
            threading.Thread(target=relay, args=[process.stderr], daemon=True).start()
        process.stdin.write(json.dumps({"argument": argument, "threads": threads}))
        process.stdin.close()
        output = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}")
    reply = json.loads(output)
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
    """Say what is measured: beside the bar, or on a line of a terminal that is overwritten."""
    if SHOWN in os.environ:  # a child, whose parent reads it
        print(f"{MARK}{text}", file=sys.stderr, flush=True)
    elif current is not None:
        current.set_postfix_str(text[:60])
    elif sys.stderr.isatty():
        print(f"\r\x1b[K{text[:78]}", end="", file=sys.stderr, flush=True)


def relay(stream):
    """Show what a child says to be at; the rest of its stderr goes by as it is."""
    for line in stream:
        if line.startswith(MARK):
            progress(line.removeprefix(MARK).rstrip())
        elif current is None:
            sys.stderr.write(line)
        else:
            current.write(line.rstrip(), file=sys.stderr)


@contextlib.contextmanager
def bar(names):
    """The names, with a bar on a terminal, where tqdm is installed."""
    global current
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        yield names
        return
    with tqdm(names, file=sys.stderr, disable=not sys.stderr.isatty(), unit="part") as current:
        yield current
    current = None


if __name__ == "__main__":
    main(*sys.argv[1:])
