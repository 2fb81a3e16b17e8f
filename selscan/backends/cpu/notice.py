"""One line on stderr about a compilation that takes long: what it is, and how long it took.

selscan: compiling the CPU's forward kernel for float32 (real, B constant in time), once on
this machine ... done in 9 s
"""

import contextlib
import sys
import threading
import time

from .coefficients import CONSTANT
from .planes import COMPLEX_STATES

SECONDS = 2.0  # that nobody is told of


@contextlib.contextmanager
def announced(what):
    """Say what is compiled once it has taken some time, and say when it is done."""
    text = f"selscan: compiling the CPU's {what}, once on this machine ..."
    begun, said, ended, lock = time.monotonic(), False, False, threading.Lock()

    def say():
        nonlocal said
        with lock:
            if not ended:
                print(text, end=" ", file=sys.stderr, flush=True)
                said = True

    timer = threading.Timer(SECONDS, say)
    timer.daemon = True
    timer.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        timer.cancel()
        with lock:
            ended = True
        if said:
            seconds = time.monotonic() - begun
            print(f"{outcome} in {seconds:.0f} s", file=sys.stderr, flush=True)


def form_of(kernel, real, kinds):
    """A kernel in words: "forward kernel for float32 (real, B constant in time)"."""
    text = f"{kernel} kernel for {real.dtype}"
    if len(kinds) != 3:  # not of a scan
        return text
    kind_a, *coefficients = kinds
    numbers = "complex" if kind_a.dtype == COMPLEX_STATES.dtype else "real"
    pairs = zip("BC", coefficients, strict=True)
    constant = " and ".join(x for x, kind in pairs if kind.dtype == CONSTANT.dtype)
    return f"{text} ({numbers}{f', {constant} constant in time' if constant else ''})"
