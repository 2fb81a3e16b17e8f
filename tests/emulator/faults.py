"""The kernels of faults.cu, run one at a time: here or under a sanitizer (sanitizers.py)."""

import functools
import re

import numpy as np

from . import Module, pointers
from .compiler import HERE

SOURCE = HERE / "kernels/faults.cu"
# What is not one block of 64 threads without dynamic shared memory.
BLOCKS = {"cross_block_race": 2, "cross_block_race_between_barriers": 2, "half_atomic": 2}
THREADS = {"lanes_that_do_not_exist": 40}
DYNAMIC = {
    "dynamic_past_the_end": 63 * 4,
    "dynamic_before_the_start": 64 * 4,
    "different_alignments": 64 * 4,
    "too_much_together": 32 * 1024,
}


@functools.cache
def module():
    """All of them, compiled together."""
    code = SOURCE.read_text(encoding="utf-8")
    names = [line.split("(")[0].split()[1] for line in code.splitlines() if line[:7] == "KERNEL "]
    return Module(code, names, file=SOURCE.name)


def run(name):
    """What a kernel makes of 1, 2, ..., 64."""
    x = np.arange(1, 65, dtype=np.float32)
    grid, block = (BLOCKS.get(name, 1),), (THREADS.get(name, 64),)
    module().get_function(name)(grid, block, pointers(x), shared_mem=DYNAMIC.get(name, 0))
    return x


def matches(name, text, message):
    """Is a message of this kernel, its lines and this text?"""
    match = re.fullmatch(
        rf"{name}: faults\.cu:(\d+): block \(0, 0, 0\) thread {text}", message, re.DOTALL
    )
    return match is not None and int(match[1]) in lines(name)


def lines(name):
    """The lines of a kernel in faults.cu."""
    code = SOURCE.read_text(encoding="utf-8")
    start = code.index(f"KERNEL {name}(")
    end = re.compile(r"}$", re.MULTILINE).search(code, start).end()
    return range(code.count("\n", 0, start) + 1, code.count("\n", 0, end) + 2)
