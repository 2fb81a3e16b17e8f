"""A call with large arrays of other libraries takes the memory of its results and little more."""

import sys

import pytest
from processes import ROOT, run_python

LARGE = 64  # MiB of u, delta, dy, y and their gradients
LIMIT = 32  # MiB for all else: kept states, workspaces, the stacks of threads
MAKE = {
    "jax": "from jax.numpy import array as make",
    "dlpack": "from producers import Shared as make",
}
MEASURE = """
def arrays(l):
    shapes = [(1, 512, l)] * 3 + [(512, 4)] + [(1, 4, l)] * 2
    return [make(np.full(shape, -1, np.float32)) for shape in shapes]

def used(function, inputs):
    function(*arrays(64))
    open("/proc/self/clear_refs", "w").write("5")  # the peak is now what is in use
    before = peak()
    results = function(*inputs)
    print(peak() - before)

def peak():
    [line] = [x for x in open("/proc/self/status") if x.startswith("VmHWM")]
    return int(line.split()[1]) // 1024

inputs = arrays(32768)
inputs[2] = make(np.ones((1, 512, 32768), np.float32))  # with A = -1 the state decays
used(lambda dy, *inputs: selscan.scan(*inputs), inputs)
used(selscan.scan_backward, inputs)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize("framework", MAKE)
def test_large_arrays_are_not_copied(framework):
    pytest.importorskip("jax")

    done = run_python(f"{MAKE[framework]}{MEASURE}", PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")

    forward, backward = map(int, done.stdout.split())
    assert LARGE <= forward < LARGE + LIMIT, done.stderr
    assert 2 * LARGE <= backward < 2 * LARGE + LIMIT
