"""A part of bench.gpu whose rows come out in every way there is (test_bench_gpu.py)."""

import os
import time
from pathlib import Path

from bench.gpu.outcomes import NotAvailable
from bench.rows import Row, quantiles
from selscan import BackendUnavailable

PATIENCE = 2


def names(options):
    return options["names"]


def run(name, options):
    Path(options["folder"], name).touch()
    print("not an event")
    yield Row(name, "peer", "mode", "time", **quantiles([1.0, 2.0, 3.0]), unit="us", threads=0)
    if name == "raises":
        raise ValueError("a reason\nin lines")
    if name == "absent":
        raise NotAvailable("there is none")
    if name == "refused":
        raise BackendUnavailable("selscan: no GPU.")
    if name == "dies":
        os._exit(7)
    if name == "hangs":
        time.sleep(60)
