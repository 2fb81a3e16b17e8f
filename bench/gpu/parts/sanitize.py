"""compute-sanitizer over small scans and moves, where the tool is there and works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.child import ROOT
from bench.gpu.outcomes import FAILED, NotAvailable
from bench.rows import Row, markdown, nothing

PATIENCE = 50
TOOLS = ("memcheck", "racecheck")
OPS = ("scan", "backward", "step", "scan2d", "scan2d_backward", "gather", "scatter")
REFUSED = "BackendUnavailable"


def names(options):
    """Each tool on each op."""
    return [f"{tool}, {op}" for tool in TOOLS for op in OPS]


def find_tool(environment=os.environ):
    """The path of compute-sanitizer, from PATH or CUDA's folder."""
    if found := shutil.which("compute-sanitizer"):
        return found
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if environment.get(name):
            for folder in ("bin", "compute-sanitizer"):
                if (file := Path(environment[name], folder, "compute-sanitizer")).is_file():
                    return str(file)
    raise Unsupported("compute-sanitizer is neither on PATH nor in CUDA_HOME")


_told = []  # that the tool does not work here


def run(name, options):
    """How many errors the tool reports; that it does not work here is said once."""
    if _told:
        return
    try:
        row = run_tool(*name.split(", "))
    except Unsupported:
        _told.append(name)
        raise
    yield row


class Unsupported(NotAvailable):
    """There is no tool that works on this machine."""


def run_tool(tool, op):
    """The row of a tool on an op."""
    command = [find_tool(), "--tool", tool, "--error-exitcode", "9"]
    command += [sys.executable, "-m", "bench.gpu.small", op]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PATIENCE - 5,
        check=False,
    )
    print(done.stdout[-4000:], file=sys.stderr)
    count, note = outcome(done.stdout, done.returncode)
    values = nothing() | {"p50": count}
    return Row(f"{tool}, {op}", "selscan", op, tool, **values, unit="errors", threads=0, note=note)


def outcome(text, status):
    """The number of errors, None where the tool did not work; and what is to be said."""
    if match := re.search(rf"{REFUSED}: (.*)", text):
        raise NotAvailable(match[1].removeprefix("selscan: "))
    if match := re.search(r"Device not supported[^\n]*", text):
        raise Unsupported(f"compute-sanitizer: {match[0].rstrip('. ')}")
    found = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard)", text)
    if found is None or (status and int(found[1]) == 0):
        lines = [line for line in text.splitlines() if line.strip("= ")] or ["no output"]
        return None, f"{FAILED}status {status}: {lines[-1].strip('= ')[:200]}"
    count = int(found[1])
    return float(count), f"{FAILED}{count} errors, see log.txt" if count else ""


def tables(rows, rates):
    """Ops down, tools across."""
    cells = {(row.mode, row.metric): row for row in rows if row.p50 is not None}
    lines = [
        [op, *(f"{cells[op, tool].p50:.0f}" if (op, tool) in cells else "-" for tool in TOOLS)]
        for op in OPS
    ]
    if cells:
        yield f"compute-sanitizer, errors\n\n{markdown(['', *TOOLS], lines)}"
    notes = dict.fromkeys(row.note for row in rows if row.note)
    yield "\n".join(f"- compute-sanitizer: {note}" for note in notes)
