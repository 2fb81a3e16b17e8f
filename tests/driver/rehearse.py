"""The first minutes on a GPU, rehearsed: `PYTHONPATH=tests python -m driver.rehearse`.

A clean copy of the commit runs `python -m bench.gpu --minutes 8`, each of its processes as stage.py
sets it up. It needs git, g++, torch, and the packages of the extra `driver`. The exit status is
that of bench.gpu: 1 where a row failed.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

import driver

ROOT = Path(__file__).parents[2]


def clean_copy(folder):
    """The files of the commit, and nothing else."""
    done = subprocess.run(
        ["git", "archive", "--format=tar", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def main(argv=None):
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--minutes", default="8")
    parser.add_argument("--out", help="folder for the results")
    options = parser.parse_args(argv)
    if reason := driver.missing():
        parser.error(reason)
    out = str(Path(options.out or tempfile.mkdtemp()).resolve())
    with tempfile.TemporaryDirectory() as folder:
        clean_copy(folder)
        tests = Path(folder, "tests")
        path = os.pathsep.join(map(str, (tests / "driver/site", tests, folder)))
        command = [sys.executable, "-m", "bench.gpu", *options.parts]
        start = time.monotonic()
        done = subprocess.run(
            [*command, "--minutes", options.minutes, "--out", out],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path},
            check=False,
        )
    print(f"{time.monotonic() - start:.0f} s, status {done.returncode}, results in {out}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
