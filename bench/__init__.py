"""Benchmarks: asv suites (bench_*.py) and the table against other implementations (compare.py)."""

import sys
from pathlib import Path

# asv imports this package by path: selscan and reference come from the same checkout.
if (ROOT := str(Path(__file__).parents[1])) not in sys.path:
    sys.path.insert(0, ROOT)
