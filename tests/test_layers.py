"""Imports point down only, and each outside library has its one place (docs/contributing.md)."""

import ast
import functools
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Bottom to top. A module imports from the rows below its own, never from its own row or above.
LAYERS = (
    ("errors", "cases", "types"),
    ("messages",),
    ("paths",),
    ("backends",),
    ("arrays",),
    ("ops",),
    ("torch",),
    ("jax",),
    ("deferred",),
    ("api", "api_paths"),
    ("distributed",),
    ("nn",),
    ("onnx",),
    ("models", "compat"),
    ("selscan",),  # selscan/__init__.py, the public face
    ("machine", "progress"),
    ("bench", "warmup"),
    ("check",),
    ("__main__",),
)
RANK = {unit: rank for rank, row in enumerate(LAYERS) for unit in row}
FURTHER_UP = ("distributed", "nn", "onnx", "models", "compat")
# These import torch and numba inside functions only.
COMMAND_LINE = ("machine", "bench", "warmup", "check", "__main__")

HOMES = {
    "torch": ("torch", *FURTHER_UP, *COMMAND_LINE),
    "cupy": ("backends.cupy",),
    "cupyx": ("backends.cupy",),
    "jax": ("jax", "warmup"),  # elsewhere it is looked up in sys.modules
    "ml_dtypes": ("arrays.numpy",),
    "numba": ("backends", "machine", "bench"),
    "onnx": ("onnx",),
    "onnx_ir": ("onnx",),
    "onnxscript": ("onnx",),
    "onnxruntime": ("models.exporting",),
    "llvmlite": ("backends",),
    "reference": (),
    "tests": (),
    "bench": (),
}
IN_REFERENCE = {"reference", "numpy", *sys.stdlib_module_names}


def imports(path, root):
    """Every import of a file, also inside functions: (line, absolute name, in a function?)."""
    return _imports_of(path.read_text(encoding="utf-8"), path.relative_to(root).parts[:-1])


@functools.cache  # of the whole package, which most tests read
def _imports_of(text, package):
    found = []
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [f"{alias.name}.*" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*base, *filter(None, [node.module])))
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found += ((node.lineno, name, id(node) in inner) for name in names)
    return found


def module_of(path, root):
    """The dotted name below `selscan` of one of its files; "selscan" for its __init__."""
    parts = path.relative_to(root / "selscan").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "selscan"


def target_of(name, root):
    """The file that an absolute name below `selscan` is in, as `module_of` names it."""
    parts = name.split(".")[1:]
    for end in range(len(parts), 0, -1):
        file = root.joinpath("selscan", *parts[:end])
        if file.with_suffix(".py").exists() or (file / "__init__.py").exists():
            return ".".join(parts[:end])
    return parts[0] if len(parts) > 1 else "selscan"


def unit_of(module):
    """The entry of LAYERS that a module belongs to, the longest; None if there is none."""
    parts = module.split(".")
    units = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((unit for unit in units if unit in RANK), None)


def complaint(path, name, lazy, root):
    """What is wrong with one import in a file of `selscan`; None if nothing is."""
    module = module_of(path, root)
    own, top = unit_of(module), module.split(".")[0]
    if own is None:
        return f"unknown module {module}: give it a row in LAYERS"
    library = name.split(".")[0]
    if library == "selscan":
        target = target_of(name, root)
        unit = unit_of(target)
        if unit is None:
            return f"imports the unknown module selscan.{target}"
        if unit != own and RANK[unit] >= RANK[own]:
            return f"{own} must not import {unit}: imports point down"
    elif library in HOMES:
        if not any(f"{module}.".startswith(f"{home}.") for home in HOMES[library]):
            return f"must not import {library}"
        if top in COMMAND_LINE and not lazy:
            return f"must import {library} inside a function"
    return None


def violations(root):
    """One line for each import that breaks a rule."""
    found = []
    for path in sorted((root / "selscan").rglob("*.py")):
        for line, name, lazy in [(1, "builtins", False), *imports(path, root)]:
            if text := complaint(path, name, lazy, root):
                found.append(f"{path.relative_to(root)}:{line}: {text}")
    for path in sorted((root / "reference").rglob("*.py")):
        for line, name, _ in imports(path, root):
            if name.split(".")[0] not in IN_REFERENCE:
                found.append(f"{path.relative_to(root)}:{line}: reference is NumPy only: {name}")
    return found


def graph_of(root):
    """{file: the files that it imports, also inside functions}, by dotted name."""
    graph = {}
    for path in sorted((root / "selscan").rglob("*.py")):
        names = (name for _, name, _ in imports(path, root) if name.startswith("selscan."))
        module = module_of(path, root)
        graph[module] = {target_of(name, root) for name in names} - {module}
    return graph


def circles(graph):
    """Groups of files that import each other, directly or by way of others."""

    def reachable(start):
        seen, waiting = set(), [start]
        while waiting:
            new = graph.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reached = {module: reachable(module) for module in graph}
    groups = {
        frozenset(m for m in seen if one in reached.get(m, ())) for one, seen in reached.items()
    }
    return sorted(sorted(group) for group in groups if group)


def test_no_files_import_each_other():
    assert circles(graph_of(ROOT)) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"paths/a.py": "from .b import x", "paths/b.py": "from .a import y"}, "paths.a paths.b"),
        (
            {
                "a.py": "def f():\n    from . import b",
                "b/__init__.py": "",
                "b/c.py": "import selscan.a",
            },
            "",
        ),
        ({"a.py": "from .b import c", "b/c.py": "from ..a import x", "b/__init__.py": ""}, "a b.c"),
        (
            {
                "a.py": "from . import b",
                "b.py": "def f():\n    from .c import x",
                "c.py": "from . import a",
            },
            "a b c",
        ),
        (
            {"ops/__init__.py": "from . import scan", "ops/scan.py": "from ..ops import x"},
            "ops ops.scan",
        ),
    ],
)
def test_a_planted_circle_is_found(tmp_path, files, expected):
    for file, code in ({"__init__.py": ""} | files).items():
        path = tmp_path / "selscan" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{code}\n", encoding="utf-8")

    assert circles(graph_of(tmp_path)) == [x.split() for x in expected.splitlines()]


def test_imports_point_down():
    assert (ROOT / "selscan/__init__.py").exists()
    assert (ROOT / "reference/__init__.py").exists()
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("selscan/paths/planted.py", "from .. import api", "paths must not import api"),
        ("selscan/paths/makers.py", "from ..api import scan", "paths must not import api"),
        ("selscan/backends/planted.py", "from ..ops import contract", "must not import ops"),
        ("selscan/backends/cpu/planted.py", "from ... import ops", "must not import ops"),
        ("selscan/ops/planted.py", "import selscan.api", "ops must not import api"),
        ("selscan/ops/planted.py", "from selscan import scan", "ops must not import selscan"),
        ("selscan/api.py", "def f():\n    from selscan.nn import S6", "api must not import nn"),
        ("selscan/models/planted.py", "from ..compat import x", "models must not import compat"),
        ("selscan/api.py", "from .absent import x", "unknown module selscan.absent"),
        ("selscan/api.py", "import selscan.absent", "unknown module selscan.absent"),
        ("selscan/planted.py", "", "unknown module planted"),
        ("selscan/ops/planted.py", "def f():\n    import torch", "must not import torch"),
        ("selscan/arrays/guests.py", "def f():\n    import jax", "must not import jax"),
        ("selscan/arrays/dlpack.py", "import ml_dtypes", "must not import ml_dtypes"),
        ("selscan/check.py", "import torch", "must import torch inside a function"),
        ("selscan/machine.py", "import numba", "must import numba inside a function"),
        ("selscan/machine.py", "from .check import check", "machine must not import check"),
        ("selscan/api.py", "from numba import njit", "must not import numba"),
        ("selscan/backends/cpu/planted.py", "import cupy.cuda", "must not import cupy"),
        ("selscan/backends/cupyish.py", "import cupy", "must not import cupy"),
        ("selscan/check.py", "def f():\n    import reference.scan", "must not import reference"),
        ("reference/planted.py", "from selscan import scan", "reference is NumPy only"),
        ("reference/planted.py", "import torch", "reference is NumPy only"),
    ],
)
def test_a_planted_import_is_found(tmp_path, file, code, expected):
    for package in ("selscan", "reference"):
        shutil.copytree(ROOT / package, tmp_path / package)
    # Plants that name these must not depend on whether they are written yet.
    for target in ("ops/__init__.py", "api.py", "nn.py", "compat/__init__.py"):
        (tmp_path / "selscan" / target).parent.mkdir(exist_ok=True)
        (tmp_path / "selscan" / target).touch()
    planted = tmp_path / file
    planted.parent.mkdir(parents=True, exist_ok=True)
    with planted.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{code}\n")

    found = violations(tmp_path)

    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("selscan/models/planted.py", "import torch\nfrom ..nn import S6"),
        ("selscan/backends/cupy/planted.py", "import cupy\nfrom ..math import softplus"),
        ("selscan/check.py", "from selscan import scan\ndef f():\n    import torch"),
        ("reference/planted.py", "import math\nimport numpy as np\nfrom . import scan"),
    ],
)
def test_a_rightful_import_is_accepted(tmp_path, file, code):
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{code}\n", encoding="utf-8")

    assert violations(tmp_path) == []
