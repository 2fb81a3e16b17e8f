"""One row of the table of docs/versions.md: selscan in a fresh environment of chosen versions.

    python tests/versions.py numpy==2.1.0 numba==0.62.0
    python3.13 tests/versions.py numpy numba --tests tests/test_scan.py

The environment is made by the interpreter that runs this, in a temporary folder; its kernels are
compiled anew. What is asked for is installed by pip beside selscan; without a version that is the
newest that pip finds for this interpreter. Then `python -m selscan` runs there, and with --tests
pytest, with all that follows.
"""

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ("numpy", "numba", "torch", "jax")
FOR_TESTS = ("hypothesis", "ml_dtypes", "pytest")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("requirements", nargs="*", help="as pip takes them")
    rest = {"nargs": argparse.REMAINDER, "default": []}
    parser.add_argument("--tests", **rest, help="pytest runs, too, with all that follows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cells = row(Path(folder), options.requirements, options.tests)
    print(f"| {' | '.join(cells)} |")


def row(folder, requirements, tests):
    """The cells: day, interpreter, versions, and what became of each step up to one that fails."""
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    free = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    first = [datetime.date.today().isoformat(), platform.python_version() + free]
    install = [python, "-m", "pip", "install", "--quiet", ROOT, *requirements]
    if tests:
        install += FOR_TESTS
    failed, said = run(install, folder)
    if failed:
        return [*first, " ".join(requirements), f"pip: {last_line(said)}"]
    _, frozen = run([python, "-m", "pip", "list", "--format=freeze"], folder)
    versions = dict(line.split("==") for line in frozen.splitlines() if line.count("==") == 1)
    cells = first + [versions.get(name, "-") for name in NAMES]
    failed, said = run([python, "-m", "selscan"], folder)
    cells.append(f"fails: {last_line(said)}" if failed else "all is well")
    if tests:
        failed, said = run([python, "-m", "pytest", "-q", *tests], folder, at=ROOT)
        cells.append(("fails: " if failed else "") + re.sub(r"^=+ | =+$", "", last_line(said)))
    return cells


def run(command, folder, at=None):
    """Whether a command fails, and what it prints; kernels are kept in the folder."""
    print("$", *command, file=sys.stderr, flush=True)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "kernels")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command,
        cwd=at or folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, file=sys.stderr, flush=True)
    return done.returncode != 0, done.stdout


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing was printed"


if __name__ == "__main__":
    main()
