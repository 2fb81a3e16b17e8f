"""Everything about the CUDA kernels on this machine in eight minutes (docs/gpu-bench.md).

    python -m bench.gpu                               # all parts; bench/results/<name of the GPU>
    python -m bench.gpu.prebuild DIR                  # elsewhere: machine code to carry along
    python -m bench.gpu speed micro --minutes 5       # some parts
    python -m bench.gpu --mamba-ssm mamba_ssm-2.3.2.post1.tar.gz --out DIR
    python -m bench.gpu --dry-run                     # what would be done
    python -m bench.gpu --emulate                     # the part correct on the CPU, small

Results are written after every row, and what fails costs its row alone. The exit status is 1 where
something failed.
"""

import argparse
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time

from bench.child import ROOT
from bench.gpu import outcomes, report, results, summary, worker
from bench.gpu.parts import FIRST, PARTS, SECONDS, module_of
from bench.gpu.parts.machine import GATE
from bench.rows import short

MINUTES = 8.0
BUILD = 150  # seconds that the peers' compiler may take beside the first parts


def arguments(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(SECONDS)}")
    parser.add_argument("--out", metavar="DIR", help="folder for result.json, report.md, log.txt")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default %(default)g")
    parser.add_argument("--mamba-ssm", metavar="PATH", help="its source package, to compare with")
    parser.add_argument("--dry-run", action="store_true", help="print the plan")
    parser.add_argument("--emulate", action="store_true", help="the part correct, without a GPU")
    options = parser.parse_args(argv)
    if unknown := [part for part in options.parts if part not in SECONDS]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(SECONDS)}")
    if options.emulate:
        if set(options.parts) - {"correct"}:
            parser.error("only the part correct can be emulated")
        options.parts = ["correct"]
    else:
        wanted = {FIRST, *(options.parts or PARTS)}
        options.parts = [part for part in SECONDS if part in wanted]
    return options


def shares(parts, minutes):
    """Seconds for each part: the plan's, made longer or shorter to take so many minutes."""
    scale = 60 * minutes / sum(SECONDS[part] for part in parts)
    return {part: scale * SECONDS[part] for part in parts}


LISTED = 24  # rows of a part


def print_plan(options):
    """Parts, seconds and rows."""
    settings = settings_of(options)
    for part, seconds in shares(options.parts, options.minutes).items():
        names = list(importlib.import_module(module_of(part)).names(settings))
        print(f"\n{part}: {seconds:.0f} s, {len(names)} rows")
        for name in names[:LISTED]:
            print(f"    {name}")
        if len(names) > LISTED:
            print(f"    and {len(names) - LISTED} more")


def default_folder(options):
    """One that is kept for a whole run on a GPU; some parts alone would replace its results."""
    is_whole = not options.emulate and set(options.parts) >= set(PARTS)
    return results.default_folder() if is_whole else tempfile.mkdtemp()


def settings_of(options):
    """What parts are told."""
    return {"emulate": options.emulate, "mamba": options.mamba_ssm}


class Build:
    """mamba_ssm's kernels, compiled beside the first parts."""

    def __init__(self, path, log):
        command = [sys.executable, "-m", "bench.gpu.mamba", path]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._end, self._is_over = time.monotonic() + BUILD, False

    def wait(self):
        """Until it is done; one that takes too long is ended, and the peer says so."""
        if self._is_over:
            return
        self._is_over = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0, self._end - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the compilers too
        self._process.wait()


def main(argv=None):
    """Run the parts; 1 where something failed."""
    argv = sys.argv[1:] if argv is None else argv
    options = arguments(argv)
    if options.dry_run:
        print_plan(options)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended as well
    found = results.Results(options.out or default_folder(options), argv)
    with (found.folder / "log.txt").open("w") as log:
        build = Build(options.mamba_ssm, log) if options.mamba_ssm else None
        try:
            run(options, found, log, build)
        finally:
            if build:
                build.wait()
            head, rows = results.read(found.folder / "result.json")
            results.write_whole(found.folder / "report.md", report.report(head, rows))
            results.write_whole(found.folder / "summary.txt", summary.summary(rows))
    print(f"\n{(found.folder / 'report.md').read_text()}")
    print(f"\n{(found.folder / 'summary.txt').read_text()}\n{found.folder}")
    return int(any(report.failed(row) for _, row in rows) or is_useless(rows))


def is_useless(rows):
    """Whether there is no GPU that can be used (a slow one is tried), or the gate is shut."""
    first = [row for part, row in rows if part == FIRST]
    absent = any(row.note.startswith(outcomes.ABSENT) for row in first)
    return absent or any(row.case == GATE and report.failed(row) for row in first)


def run(options, found, log, build):
    """One part after the other; a part that fails as a whole is a row."""
    end = time.monotonic() + 60 * options.minutes
    left = list(options.parts)
    while left:
        if build and left[0] in ("start", "speed", "sweep"):
            build.wait()
        # What a part does not need is there for those after it.
        part, seconds = left[0], shares(left, max(0.0, end - time.monotonic()) / 60)[left[0]]
        left = left[1:]
        print(f"\n== {part}: {seconds:.0f} s", flush=True)
        try:
            record = recorder(found, part)
            worker.run_part(module_of(part), settings_of(options), seconds, record, log)
        except Exception as error:  # whatever it is, the next part comes
            reason = f"{outcomes.FAILED}{type(error).__name__}: {error}"
            found.record(part, outcomes.without(part, reason))
            print(reason, flush=True)
        found.watch(part)
        if is_useless(found.pairs()):
            return


def recorder(found, part):
    """A function that keeps a row and prints it."""

    def record(row):
        found.record(part, row)
        value = "" if row.p50 is None else f"{short(row.p50)} {row.unit}"
        print("  ".join(x for x in (row.case, row.peer, row.mode, value, row.note) if x != "-"))
        sys.stdout.flush()

    return record


if __name__ == "__main__":
    sys.exit(main())
