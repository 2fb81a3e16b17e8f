"""Runs a function in a process with a sanitizer's runtime; kernels are built for it there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .compiler import HERE

TESTS, ROOT = HERE.parent, HERE.parents[1]
RUNTIMES = {"address": "libasan.so", "thread": "libtsan.so"}
FOUND = 66  # the exit status after a report
# Python's and NumPy's own: no pools, which look like one allocation, and no threads.
ENVIRONMENT = {
    "PYTHONMALLOC": "malloc",
    "OPENBLAS_NUM_THREADS": "1",
    "ASAN_OPTIONS": f"detect_leaks=0:exitcode={FOUND}",
    "TSAN_OPTIONS": f"halt_on_error=1:exitcode={FOUND}",
}
TIMEOUT = 300  # seconds


def missing(sanitizer):
    """Why a sanitizer cannot be used; empty if it can."""
    library = RUNTIMES[sanitizer]
    return "" if _library(library).is_absolute() else f"g++ has no {library}"


def run(sanitizer, function, *arguments):
    """The finished process of a function, by its dotted name; the output has the report."""
    libraries = [_library(RUNTIMES[sanitizer]), _library("libstdc++.so.6")]
    environment = {
        "LD_PRELOAD": " ".join(map(str, libraries)),
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS, ROOT))),
    }
    module, _, name = function.rpartition(".")
    return subprocess.run(
        [
            *_fixed_addresses(sanitizer),
            *(sys.executable, "-c", f"from {module} import {name}; {name}(*{arguments!r})"),
        ],
        env=os.environ | ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def _library(name):
    """The path of one of the compiler's libraries; the bare name if there is none."""
    command = ["g++", f"-print-file-name={name}"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def _fixed_addresses(sanitizer):
    """ThreadSanitizer may not start where the system draws addresses from too wide a range."""
    bits = Path("/proc/sys/vm/mmap_rnd_bits")
    wide = bits.exists() and int(bits.read_text()) > 28
    return ["setarch", "-R"] if sanitizer == "thread" and wide and shutil.which("setarch") else []
