"""Kernels for older processors: Numba is told in a subprocess which one to compile for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding
import pytest

from selscan.backends.cpu import simd

TESTS = Path(__file__).parent
SCRIPT = """
import sys, pytest
from selscan.backends.cpu import simd
assert (simd.BITS, simd.HAS_FMA, simd.HAS_SCALEF) == {expected}, (simd.BITS, simd.FEATURES)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "not scan_step", *{files}]))
"""


class Target(NamedTuple):
    """A processor, and what the vector type must make of it."""

    name: str  # as LLVM calls it
    features: str
    expected: tuple  # bits, FMA, scalef
    files: tuple


# Without the kernel of a step, which takes as long to compile as the forward and has nothing new.
VECTORS = ("test_simd.py", "test_vector_math.py")
KERNELS = ("test_this_cpu.py", "test_gather_plan.py")
TARGETS = {
    "SSE2": Target("generic", "", (128, False, False), VECTORS),
    "AVX2": Target("haswell", "+avx,+avx2,+fma", (256, True, False), (*VECTORS, *KERNELS)),
    "AVX-512F alone": Target(
        "haswell", "+avx,+avx2,+fma,+avx512f", (512, True, False), VECTORS[1:]
    ),
}


def usable(target):
    """Whether this machine can run code for a target."""
    host = llvmlite.binding.get_host_cpu_features()
    return simd.IS_X86 and all(host.get(f[1:]) for f in target.features.split(",") if f)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The tests on every usable target, begun together."""
    processes = {}
    for name, target in TARGETS.items():
        if usable(target):
            files = [str(TESTS / file) for file in target.files]
            processes[name] = subprocess.Popen(
                [sys.executable, "-c", SCRIPT.format(expected=target.expected, files=files)],
                cwd=TESTS.parent,
                env=os.environ
                | {
                    "NUMBA_CPU_NAME": target.name,
                    "NUMBA_CPU_FEATURES": target.features,
                    "NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
    yield processes
    for process in processes.values():
        process.kill()
        with process:  # closes the pipe and waits
            pass


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_all_is_right_on(name, runs):
    if name not in runs:
        pytest.skip("this processor cannot run code for that one")

    output = runs[name].stdout.read()

    assert runs[name].wait() == 0, output
