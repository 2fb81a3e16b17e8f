"""Results: one row a number, as CSV; aligned Markdown tables; what was measured where."""

import csv
import datetime
import functools
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path

import numpy as np

from selscan.machine import cpu

LIBRARIES = ("numpy", "numba", "torch", "jax", "mambapy", "transformers", "onnxruntime")
SPREAD = (20, 50, 80)


@dataclass(frozen=True)
class Row:
    """Quantiles of one metric, or the reason why there is none."""

    case: str
    peer: str
    mode: str  # forward, full (forward and backward), or the part's own word
    metric: str  # time, memory, error, ...
    p20: float | None
    p50: float | None
    p80: float | None
    unit: str
    threads: int
    count: int = 0  # measurements
    note: str = ""


def quantiles(values):
    """The fields p20, p50, p80 and count of a Row."""
    p20, p50, p80 = (float(x) for x in np.percentile(values, SPREAD))
    return {"p20": p20, "p50": p50, "p80": p80, "count": len(values)}


def nothing():
    """The same fields where nothing was measured."""
    return {"p20": None, "p50": None, "p80": None, "count": 0}


@functools.cache
def environment():
    """Machine, versions, commit and date, the same for every row of a run."""
    versions = {name: version(name) for name in LIBRARIES} | built_by_the_user()
    return {
        "machine": cpu(),
        "versions": " ".join(map(" ".join, versions.items())),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def built_by_the_user():
    """Versions of libraries that an environment variable leads to."""
    if "SELSCAN_BENCH_GGML" not in os.environ:
        return {}
    from bench.peers import ggml

    return {"ggml": ggml.version()}


def version(name):
    """The installed version of a package, or "-"."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "-"


def commit():
    """The commit the files come from, with "+" where they differ from it, or "unknown"."""

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    if shutil.which("git") is None:
        return "unknown"
    head = git("rev-parse", "--short=10", "HEAD")
    return f"{head}{'+' if git('status', '--porcelain') else ''}" if head else "unknown"


def write_csv(rows, path):
    """Write all rows, each with the environment."""
    names = [field.name for field in fields(Row)] + list(environment())
    with Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(asdict(row) | environment() for row in rows)


def markdown(header, lines):
    """An aligned table; the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in line] for line in (header, *lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width + ":" for width in widths]
    rule[0] = "-" * (widths[0] + 1)
    body = [
        "| " + " | ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in columns) + " |"
        for columns in (list(enumerate(zip(line, widths, strict=True))) for line in cells)
    ]
    rule = "|-" + "|-".join(rule) + "|"
    return "\n".join([body[0], rule, *body[1:]])


def short(value):
    """Three significant digits without an exponent: 0.0123, 4.56, 78.9, 1230."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{min(digits, 6)}f}"


def scientific(value):
    """Two digits and an exponent, or a dash."""
    return "-" if value is None else f"{value:.1e}"
