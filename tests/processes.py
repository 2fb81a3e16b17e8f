"""Python code in a process of its own, with a scan large enough for two threads."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROBLEM = """
import numpy as np
import selscan

rng = np.random.default_rng(0)
u, delta, dy = rng.random((3, 2, 64, 65), np.float32)
A = -rng.random((64, 8), np.float32)
B, C = rng.random((2, 2, 8, 65), np.float32)

def compute():
    y = selscan.scan(u, delta, A, B, C)
    return [y, *selscan.scan_backward(dy, u, delta, A, B, C)[:5]]

def same(found, expected):
    return all(map(np.array_equal, found, expected))
"""


def results():
    """What `compute` returns, in this process; its kernels are on disk after that."""
    names = {}
    exec(PROBLEM, names)
    return names["compute"]()


def run_python(code, root=ROOT, **environment):
    """Run code after PROBLEM with two threads; everything but the output is checked here."""
    libraries = [sysconfig.get_path("data") + "/lib", os.environ.get("LD_LIBRARY_PATH", "")]
    environment = {
        "NUMBA_NUM_THREADS": "2",
        "PYTHONPATH": str(root),
        "LD_LIBRARY_PATH": ":".join(libraries),  # where pip puts TBB
    } | environment
    return subprocess.run(
        [sys.executable, "-c", PROBLEM + code],
        cwd=root,
        env={k: v for k, v in (os.environ | environment).items() if v is not None},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
