"""The CPU table: selscan against other implementations of the same scan.

    python -m bench.compare                     # everything: an hour on two quiet cores
    python -m bench.compare --quick             # minutes, rough: one shape, some parts
    python -m bench.compare --parts time --cases lm --peers selscan,stick,loop --csv lm.csv

Prints Markdown tables. All numbers, with p20, p50 and p80, machine, versions, commit and date, go
to --csv. Peers that are not installed, refuse a shape, are wrong or too slow are listed with the
reason. Two of them are kinder than what people run: `loop_step` is the plain torch loop without
its O(l^2) backward and its (b, d, l, n) arrays, `jax_remat` is jax_scan with jax.checkpoint.
"""

import argparse
import sys

from bench.child import bar
from bench.parts import PARTS
from bench.peers import PEERS
from bench.rows import environment, write_csv
from selscan.cases import CASES

SHAPES = ["vim", "lm", "short", "vmamba"]
QUICK = ("time", "growth", "accuracy", "step", "overhead", "dropin")
SLOW_TO_START = ("associative_compiled",)  # minutes of compiling for each shape


def names(choices):
    """An argparse type: a comma-separated list of some of `choices`."""

    def parse(text):
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in choices]:
            known = ", ".join(choices)
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {known}")
        return chosen

    return parse


def arguments(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parts", type=names(PARTS), help="default all; quick some")
    parser.add_argument("--cases", type=names(CASES), help=f"default {','.join(SHAPES)}")
    parser.add_argument("--peers", type=names(PEERS), help="default all")
    parser.add_argument(
        "--threads",
        type=lambda text: [int(x) for x in text.split(",")],
        default=[1, 2],
        help="1 is CPU time on one CPU, more is wall clock; default 1,2",
    )
    parser.add_argument(
        "--budget",
        type=float,
        help="seconds of repeated calls for each cell (default 10; quick 0.5); a single call that "
        "would take six times as long is left out",
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats and shapes")
    parser.add_argument("--csv", help="file for all numbers")
    options = parser.parse_args(argv)
    options.budget = options.budget or (0.5 if options.quick else 10.0)
    options.parts = options.parts or list(QUICK if options.quick else PARTS)
    options.cases = options.cases or SHAPES[: 1 if options.quick else None]
    options.peers = options.peers or [
        x for x in PEERS if not (options.quick and x in SLOW_TO_START)
    ]
    return options


def main(argv=None):
    """Measure part after part, printing each as it is done; 1 where a part failed."""
    options = arguments(argv)
    print("; ".join(f"{name}: {value}" for name, value in environment().items()), flush=True)
    rows, failed = [], False
    with bar(options.parts) as parts:
        for name in parts:
            print(f"\n## {name}", flush=True)
            try:
                found = PARTS[name].measure(options)
            except RuntimeError as error:
                print(f"\nfailed: {error}", flush=True)
                failed = True
                continue
            rows += found
            texts = filter(None, PARTS[name].tables(found))
            print(*(f"\n{text}" for text in texts), sep="\n", flush=True)
            if options.csv:
                write_csv(rows, options.csv)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
