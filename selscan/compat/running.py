"""python -m selscan run: a script, or a module, as Python itself runs it, with the patch on."""

import builtins
import importlib.util
import io
import os
import sys
import types
from pathlib import Path

from .patching import patch

CHILDREN = Path(__file__).parent / "children"


class NotRunnable(Exception):
    """A module that is not there, or has no code."""


def run(target, arguments, as_module=False):
    """Run it in this process, as `__main__`; the exit code where it cannot be found.

    SystemExit and other exceptions of it go through, as Python's own do. Processes that it starts
    are patched as well, unless they are told to ignore the environment (python -E, python -I).
    """
    patch()  # first of all: to find a module imports its package
    try:
        code, main = of_module(target) if as_module else of_script(target)
    except (OSError, NotRunnable) as error:
        print(f"run: {error}", file=sys.stderr)
        return 1 if as_module else 2
    paths = [str(CHILDREN), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.argv = [main.__file__ if as_module else target, *arguments]
    sys.modules["__main__"] = main
    exec(code, vars(main))
    return 0


def of_script(path):
    """Code and a module for a file; its folder becomes the first place to import from."""
    with io.open_code(path) as stream:
        source = stream.read()
    main, path = types.ModuleType("__main__"), str(Path(path).absolute())
    main.__file__, main.__builtins__ = path, builtins
    if not sys.flags.safe_path:
        sys.path[0] = str(Path(path).resolve().parent)
    return compile(source, path, "exec"), main


def of_module(name):
    """Code and a module for what an import would find, of a package its `__main__`."""
    spec = importlib.util.find_spec(name)  # errors of its package go through
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None or not hasattr(spec.loader, "get_code"):
        raise NotRunnable(f"No module named {name} that can be run")
    main = types.ModuleType("__main__")
    main.__spec__, main.__loader__, main.__package__ = spec, spec.loader, spec.parent
    main.__file__, main.__builtins__ = spec.origin, builtins
    return spec.loader.get_code(spec.name), main
