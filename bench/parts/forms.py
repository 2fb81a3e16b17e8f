"""The same scan in other dtypes, in layout "bld", packed, and with complex states."""

from bench.forms import FORMS
from bench.parts import time
from selscan.cases import CASES


def measure(options):
    """Rows of all cases, forms, modes and thread counts, the forms interleaved."""
    rows = []
    for threads in options.threads:
        for name in options.cases:
            rows += time.in_child(CASES[name], list(FORMS), threads, options.budget, "forms")
    return rows


def tables(rows):
    """One table for each mode and thread count: forms down, cases across, ratio to float32."""
    return time.tables(rows, "float32")
