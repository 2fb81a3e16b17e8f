"""The command line: python -m selscan [check | bench | warmup | models | export | run | info]."""

import argparse
import os
import sys
from pathlib import Path

import selscan
from selscan.bench import bench
from selscan.cases import CASES, LAYOUTS
from selscan.check import check
from selscan.machine import info
from selscan.warmup import CONSTANT, DTYPES, FUNCTIONS, USUAL, warmup

CLOSED = 141  # what shells say of a program that wrote to a closed pipe


def parser():
    """One subparser a command; each sets `run`, a function of the arguments that returns the exit
    code."""
    main = argparse.ArgumentParser(
        prog="python -m selscan",
        description="Selective scans: is this installation right, and how fast is it?",
    )
    main.add_argument("--version", action="version", version=f"selscan {selscan.__version__}")
    commands = main.add_subparsers(title="commands", metavar="command", required=True)

    text = "compare every backend with a plain loop, numbers and speed (the default)"
    command = commands.add_parser("check", help=text, description=text)
    command.set_defaults(run=lambda args: check())

    text = "time the usable backends on shapes of the papers' models"
    command = commands.add_parser("bench", help=text, description=text)
    command.add_argument(
        "--case",
        nargs="+",
        choices=CASES,
        default=["vim", "short", "lm", "vmamba"],
        metavar="NAME",
        help="shapes to time (default: vim short lm vmamba)",
    )
    command.add_argument("--list", action="store_true", help="print the shapes and exit")
    command.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="default: %(default)s"
    )
    command.add_argument("--layout", choices=LAYOUTS, default="bdl", help="default: %(default)s")
    command.add_argument("--threads", type=int, metavar="N", help="threads of the CPU backend")
    command.add_argument(
        "--seconds", type=float, default=1.0, metavar="S", help="for each operation (default: 1)"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(run=bench, error=command.error)

    text = "compile kernels of the CPU, so that processes to come find them in the cache"
    command = commands.add_parser("warmup", help=text, description=text)
    command.add_argument(
        "function",
        nargs="*",
        type=function_of_warmup,
        metavar="FUNCTION",
        help=f"{', '.join(FUNCTIONS)} (default: {' '.join(USUAL)})",
    )
    command.add_argument(
        "--dtype",
        nargs="+",
        choices=DTYPES,
        default=["float32"],
        metavar="NAME",
        help="of the arrays; float32 serves float16 and bfloat16, too (default: float32)",
    )
    command.add_argument(
        "--constant",
        nargs="+",
        choices=CONSTANT,
        default=["none"],
        metavar="NAME",
        help="what has no time axis: none, B, C or both (default: none)",
    )
    command.set_defaults(run=warmup)

    text = "list the models: parameters and operations, beside the published ones (needs torch)"
    command = commands.add_parser("models", help=text, description=text)
    command.set_defaults(run=models)

    text = "write a model as an ONNX file (needs torch, onnx and onnxscript)"
    command = commands.add_parser("export", help=text, description=text)
    command.add_argument("name", help="as `models` lists them")
    command.add_argument("--to", required=True, metavar="FILE", help="the file, model.onnx say")
    command.add_argument("--weights", metavar="FILE", help="as selscan.models.load takes them")
    command.add_argument(
        "--size",
        type=int,
        nargs="+",
        default=[224],
        metavar="N",
        help="height and width of the images, one number for both (default: 224)",
    )
    command.add_argument(
        "--classes", type=int, default=1000, metavar="N", help="of the weights (default: 1000)"
    )
    command.add_argument(
        "--opset",
        type=int,
        default=18,
        metavar="N",
        help="18 to 26: a scan is a Scan; 27: a LinearAttention (default: 18)",
    )
    command.set_defaults(run=export)

    text = "run a script, or a module with -m, in which third-party Mamba code finds selscan"
    command = commands.add_parser("run", help=text, description=text)
    command.add_argument("-m", action="store_true", dest="as_module", help="the target is a module")
    command.add_argument("target", help="script.py, or the name of a module")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="of the target, as they are")
    command.set_defaults(run=run)

    text = "print a block to paste in a bug report"
    command = commands.add_parser("info", help=text, description=text)
    command.set_defaults(run=lambda args: info())
    return main


def function_of_warmup(name):
    """One of FUNCTIONS: argparse before Python 3.12 looks for an empty list among choices."""
    if name not in FUNCTIONS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FUNCTIONS)}")
    return name


def models(args):
    """Print the table of models."""
    try:
        from selscan.models.table import show  # here, since it imports torch
    except ModuleNotFoundError as error:
        print(f"models: {error}")
        return 1
    return show()


def export(args):
    """Write a model as an ONNX file; the exit code."""
    try:
        from selscan.models.exporting import export  # here, since it imports torch

        size = args.size * 2 if len(args.size) == 1 else args.size
        return export(args.name, args.weights, size, args.classes, args.to, args.opset)
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        print(f"export: {error}".replace("export: export:", "export:"), file=sys.stderr)
        return 1


def run(args):
    """Run a script with the patch on; its exit code."""
    from selscan.compat import running  # here, since the others need no torch

    return running.run(args.target, args.arguments, args.as_module)


def main(argv=None):
    """Run one command; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        try:
            args = parser().parse_args(argv or ["check"])
            return args.run(args)
        finally:
            sys.stdout.flush()  # at exit an error could not be caught
    except BrokenPipeError:  # the reader is gone, as `head` goes; there are no other pipes here
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return CLOSED


if __name__ == "__main__":
    sys.exit(main())
