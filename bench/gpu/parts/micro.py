"""What the device can do at most: the rates that times are compared with."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.rows import Row, markdown, quantiles, short

PATIENCE = 60
FOLDER, FILE = Path(__file__).parents[1], "micro.cu"
FOUR, CHAINS = 16, 8  # bytes of Four; of micro.cu
COPIED, CACHED = 1 << 30, 4 << 20  # bytes
SHARED = 512 * FOUR
THREADS = 2048  # of a multiprocessor


class Rate(NamedTuple):
    """A kernel, and what a launch of it does."""

    kernel: str
    block: int
    rounds: int
    per_thread: int  # of the unit, in a round
    unit: str


RATES = {
    "copy": Rate("copy<4>", 512, 1, 0, "GB/s, read and written"),
    "exponentials": Rate("exponentials<0>", 256, 4096, CHAINS, "G/s"),
    "exponentials with 4 others": Rate("exponentials<3>", 256, 4096, CHAINS, "G/s"),
    **{
        f"shared memory, {lanes} addresses": Rate(
            f"shared_reads<{lanes}>", 256, 4096, CHAINS, "G lanes/s"
        )
        for lanes in (1, 2, 8, 32)
    },
    "L2 cache": Rate("cache_reads<8>", 256, 512, CHAINS * FOUR, "GB/s"),
}
INSTANCES = {FILE: tuple(rate.kernel for rate in RATES.values())}


def names(options):
    """One row a rate."""
    return list(RATES)


def arguments(name, rate, blocks, allocate):
    """The launch of a rate: (arguments, units); `allocate` gives the address of so many bytes."""
    results = allocate(4 * blocks * rate.block)
    if name == "copy":
        return (allocate(COPIED), allocate(COPIED), np.int64(COPIED // FOUR)), 2 * COPIED
    units = blocks * rate.block * rate.rounds * rate.per_thread
    if rate.kernel.startswith("exponentials"):
        return (results, np.int32(rate.rounds)), units
    if name == "L2 cache":
        numbers = np.int32(CACHED // FOUR), np.int32(rate.rounds)
        return (allocate(CACHED), results, *numbers), units
    return (allocate(SHARED), results, np.int32(rate.rounds)), units


def kernel_of(rate):
    """Its kernel on the first device, by the package's own loader."""
    from selscan.backends.cupy import gpu, nvrtc
    from selscan.backends.cupy.store import Store

    return nvrtc.Loader(INSTANCES, FOLDER, gpu, Store()).kernel(FILE, rate.kernel, 0)


def run(name, options):
    """A rate, from blocks that fill the device."""
    import torch

    from bench.gpu.inputs import DEVICE
    from bench.gpu.timing import queued
    from selscan.backends.cupy import gpu

    rate, kept = RATES[name], []
    kernel = kernel_of(rate)
    blocks = gpu.properties(0).multiprocessors * (THREADS // rate.block)

    def allocate(size):
        kept.append(torch.randint(0, 256, (size,), dtype=torch.uint8, device=DEVICE))
        return np.uint64(kept[-1].data_ptr())

    given, units = arguments(name, rate, blocks, allocate)
    stream = torch.cuda.current_stream().cuda_stream

    def launch():
        kernel((blocks,), (rate.block,), given, 0, stream)

    for _ in range(5):
        launch()
    found = quantiles([units / time / 1e3 for time in queued([launch], 30)])
    yield Row(name, "device", "-", "rate", **found, unit=rate.unit, threads=0)


def tables(rows, rates):
    """Rates down."""
    lines = [
        [row.case, short(row.p20), short(row.p50), short(row.p80), row.unit]
        for row in rows
        if row.p50
    ]
    if lines:
        header = ["", "p20", "p50", "p80", "unit"]
        yield f"What the device can do\n\n{markdown(header, lines)}"
