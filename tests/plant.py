"""Faults planted in the kernels, one of each kind, and whether the tests notice them.

    python tests/plant.py               # all: some minutes
    python tests/plant.py "seq_idx*"    # those of a name
    python tests/plant.py --list
    NUMBA_ENABLE_CUDASIM=1 python tests/plant.py    # those of the Numba CUDA backend, and no others

Each is planted in a copy of the project, and the tests named for it must fail there, having passed
without it. It is run before a release; tests/test_plant.py sees that each still fits.
"""

import argparse
import fnmatch
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("selscan", "reference", "tests", "bench", "pyproject.toml")
SCANS, SPARSE = "tests/emulator/test_scans.py", "tests/emulator/test_sparse.py"
BACKWARD, ORDERS = "tests/emulator/test_backward.py", "tests/emulator/test_orders.py"
SANITIZERS = "tests/emulator/test_sanitizers.py"
STATES_AT = "tests/emulator/test_states_at.py"
BITS, SIMULATOR = "tests/test_bits.py", "numba_cuda-simulator"


class Fault(NamedTuple):
    """A line of a kernel, what stands there instead, and the tests that notice."""

    file: str  # in selscan/; a CUDA kernel without its folder
    right: str
    wrong: str
    tests: tuple  # arguments of pytest


FAULTS = {
    "steps of rows in 32 bits": Fault(
        "tiles.cuh",
        "return x.data + batch * x.batch + channel * x.channel;",
        "return x.data + batch * x.batch + int(channel * x.channel);",
        (SPARSE, "-k", "a_scan_follows"),
    ),
    "steps of channels in 32 bits": Fault(
        "sequences.cuh",
        "visit(rows + row * x.channel + position * x.time,",
        "visit(rows + int(row * x.channel) + position * x.time,",
        (SPARSE, "-k", "a_scan_follows"),
    ),
    "steps of time of the backward in 32 bits": Fault(
        "own_steps.cuh",
        "unsigned(tile.position(first)) * (unsigned long long)time;",
        "unsigned(tile.position(first)) * unsigned(time);",
        (SPARSE, "-k", "a_backward_follows"),
    ),
    "steps of batch entries of the backward in 32 bits": Fault(
        "own_steps.cuh",
        "char* at = x.data + unsigned(tile.batch) * x.batch +",
        "char* at = x.data + unsigned(tile.batch) * unsigned(x.batch) +",
        (SPARSE, "-k", "a_backward_follows"),
    ),
    "steps of states of parts in 32 bits": Fault(
        "parts.cuh",
        "parts.B_data + state * parts.B.state + position * parts.B.time",
        "parts.B_data + state * unsigned(parts.B.state) + position * parts.B.time",
        (SPARSE, "-k", "a_backward_follows"),
    ),
    "steps of a written row in 32 bits": Fault(
        "backward_rows.cuh",
        "x.data + batch * x.batch + (long long)(place.channel + c) * x.channel +",
        "x.data + batch * x.batch + (place.channel + c) * int(x.channel) +",
        (SPARSE, "-k", "a_backward_follows"),
    ),
    "saved states in 32 bits": Fault(
        "scan_forward.cu",
        "(end / CHUNK - 1) * p.saved.time +",
        "int((end / CHUNK - 1) * p.saved.time) +",
        (SPARSE, "-k", "a_backward_follows"),
    ),
    "seq_idx read as if it were dense": Fault(
        "rows.cuh",
        "tile.position(step) * seq_idx.time;",
        "tile.position(step) * 4;",
        (SPARSE, "-k", "a_scan_follows"),
    ),
    "threads of a step in 32 bits": Fault(
        "scan_step.cu",
        "const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;",
        "const int thread = blockIdx.x * blockDim.x + threadIdx.x;",
        (SPARSE, "-k", "step_counts"),
    ),
    "steps of the state of a step in 32 bits": Fault(
        "scan_step.cu",
        "p.state.data + b * p.state.batch + d * p.state.channel;",
        "p.state.data + int(b * p.state.batch) + d * p.state.channel;",
        (SPARSE, "-k", "a_step_follows"),
    ),
    "numbers of a sum in 32 bits": Fault(
        "sum_parts.cu",
        "const long long i = blockIdx.x % blocks * blockDim.x + threadIdx.x;",
        "const int i = blockIdx.x % blocks * blockDim.x + threadIdx.x;",
        (SPARSE, "-k", "sums_count"),
    ),
    "parts of a sum in 32 bits": Fault(
        "sum_parts.cu",
        "from += x.part)",
        "from += int(x.part))",
        (SPARSE, "-k", "sums_count or a_backward_follows"),
    ),
    "a tail that is not masked": Fault(
        "sequences.cuh",
        "if (row < tile.channels && unsigned(position) < unsigned(tile.length))",
        "if (row < tile.channels && unsigned(position) <= unsigned(tile.length))",
        (SANITIZERS, "-m", "asan", "-k", "check_single_channels"),
    ),
    "a barrier too few": Fault(
        "scan_forward.cu",
        "__syncthreads();  // nobody reads the B and C of before",
        "// nobody reads the B and C of before",
        (ORDERS, SCANS, "-k", "order"),
    ),
    "a restart that is forgotten": Fault(
        "rows.cuh",
        "long long before = number(own.step - (ahead + tile.first + own.step > 0));",
        "long long before = number(own.step);",
        (SCANS, "-k", "any_problem"),
    ),
    "a restart that is forgotten where a scan is cut": Fault(
        "rows.cuh",
        "long long before = number(own.step - (ahead + tile.first + own.step > 0));",
        "long long before = number(own.step - (tile.first + own.step > 0));",
        (STATES_AT, "-k", "cut"),
    ),
    "a gradient that is not added": Fault(
        "parts.cuh",
        "part = adds ? add(part, sums[i]) : sums[i];",
        "part = sums[i];",
        (BACKWARD, "-k", "every_mapping"),
    ),
    "bits: a step adds up its states in another order": Fault(
        "backends/cpu/step.py",
        "for i, column in enumerate(emit_transpose(builder, joined), first):",
        "for i, column in reversed([*enumerate(emit_transpose(builder, joined), first)]):",
        (BITS, "-k", "neighbouring and cpu-numpy and float32"),
    ),
    "bits: another exponential in a step": Fault(
        "backends/cpu/step.py",
        "exp2(dt * (load(real, a + o) * log2_e))",
        "exp2((dt * log2_e) * load(real, a + o))",
        (BITS, "-k", "neighbouring and cpu-numpy and float32"),
    ),
    "bits: a sum of a scan that is rounded once more": Fault(
        "backends/cpu/forward.py",
        "s = fma(hn, coefficient(kind_c, real, ct), s)",
        "s = hn * coefficient(kind_c, real, ct) + s",
        (BITS, "-k", "neighbouring and cpu-numpy and float32"),
    ),
    "bits: states handed on in another precision": Fault(
        "ops/scan.py",
        "(framework.output(x, problem.state_dtype) for x in shapes)",
        '(framework.output(x, problem.state_dtype.replace("t64", "t32")) for x in shapes)',
        (BITS, "-k", "whole_or_cut and cpu-numpy"),
    ),
    "bits: a backward that finds other states": Fault(
        "backends/cpu/sweep.py",
        "h = fma(e, load(real, past + o), xt * coefficient(kind, real, bt))",
        "h = e * load(real, past + o) + xt * coefficient(kind, real, bt)",
        (BITS, "-k", "cut_within and cpu-numpy"),
    ),
    "bits: a state that is stored a step early": Fault(
        "backends/cpu/forward.py",
        "until = stop_row(args, stop) + 1",
        "until = stop_row(args, stop)",
        (BITS, "-k", "are_last_states and cpu-numpy"),
    ),
    "bits: a backward of Numba CUDA that finds other states": Fault(
        "backends/numba_cuda/backward.py",
        "h += times(steps[i, c] * inputs[i, c], number(widen(B[b, g_b, n, t])))",
        "h += times(steps[i, c], times(inputs[i, c], number(widen(B[b, g_b, n, t]))))",
        (BITS, "-k", f"cut_within and {SIMULATOR}"),
    ),
}


def file_of(fault):
    """From the root of the project."""
    is_cuda = "/" not in fault.file
    return Path("selscan", "backends/cupy/csrc" if is_cuda else "", fault.file)


def plant(fault, folder):
    """Put a fault into the kernels of a copy."""
    path = folder / file_of(fault)
    text = path.read_text(encoding="utf-8")
    if text.count(fault.right) != 1:
        raise ValueError(f"{fault.file} must have this line once: {fault.right}")
    path.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")


def copy_to(folder):
    """The project without what it does not need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def tests_pass(folder, arguments):
    """Whether the tests pass in a copy; None: there are none, or pytest could not run."""
    environment = os.environ | {"PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": "plant"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    # A wrong address may end the process: that is noticed too.
    return {0: True, 1: False}.get(done.returncode, False if done.returncode < 0 else None)


@functools.cache
def before(arguments):
    """What is wrong with tests before anything is planted; an empty text if nothing is."""
    found = tests_pass(ROOT, arguments)
    return {True: "", False: "its tests fail without it", None: "it has no tests"}[found]


def verdict(fault):
    """What the tests made of a fault."""
    if reason := before(fault.tests):
        return reason
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        copy_to(folder)
        plant(fault, folder)
        after = tests_pass(folder, fault.tests)
        return {True: "NOT NOTICED", False: "noticed", None: "pytest did not run"}[after]


def main(argv=None):
    """Plant faults one after the other; 1 if one was not noticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="?", default="*", help="a pattern")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(argv)
    simulated = bool(os.environ.get("NUMBA_ENABLE_CUDASIM"))
    here = {x: v for x, v in FAULTS.items() if simulated == (SIMULATOR in v.tests[-1])}
    wanted = {x: v for x, v in here.items() if fnmatch.fnmatch(x, options.names)}
    missed = 0
    for name, fault in wanted.items():
        print(f"{name:<55} {fault.file:<32}", end=" ", flush=True)
        start = time.monotonic()
        found = "" if options.list else verdict(fault)
        missed += found not in ("", "noticed")
        print(found, "" if options.list else f"{time.monotonic() - start:.0f} s", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
