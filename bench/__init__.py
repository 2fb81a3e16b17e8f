"""Benchmarks: asv suites (bench_*.py) and the table against other implementations (compare.py)."""

import sys
from pathlib import Path

# asv imports this package by path: reference comes from its checkout, and so does selscan where it
# is not installed. `asv continuous` installs other commits of it, which go first.
if (ROOT := str(Path(__file__).parents[1])) not in sys.path:
    sys.path.append(ROOT)
