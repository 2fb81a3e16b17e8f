"""The types of the public functions: what mypy makes of users' modules; stubs against the code."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from test_documents import PUBLIC

import selscan

ROOT = Path(__file__).parents[1]
TYPED = ROOT / "tests/typed"
MODULES = (
    "",
    "api",
    "api_paths",
    "compat",
    "distributed",
    "models",
    "models.interface",
    "nn",
    "onnx",
    "paths",
)
POSITIONAL, KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
VARIABLE, KEYWORDS = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
UNLIKE = ("_MapMixer.forward", "Patch.__exit__")  # no name of the code; takes all as *_
NONE, OPEN = inspect.Parameter.empty, object()  # no default; one that the stub does not tell


def definitions():
    """(module, name, definition) of all functions and methods of the stubs."""
    for name in MODULES:
        module = importlib.import_module(f"selscan.{name}".rstrip("."))
        stub = Path(inspect.getfile(module)).with_suffix(".pyi")
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for each in inside:
                if isinstance(each, ast.FunctionDef) and f"{prefix}{each.name}" not in UNLIKE:
                    yield module, prefix + each.name, each


def parameters(definition):
    """[(name, kind, default)] of a definition."""
    given = definition.args
    places, keywords = given.posonlyargs + given.args, given.kwonlyargs
    defaults = [None] * (len(places) - len(given.defaults)) + given.defaults + given.kw_defaults
    kinds = [POSITIONAL] * len(places) + [KEYWORD] * len(keywords)
    named = zip(places + keywords, kinds, defaults, strict=True)
    found = [(x.arg, kind, value_of(default)) for x, kind, default in named]
    rest = ((given.vararg, VARIABLE), (given.kwarg, KEYWORDS))
    return found + [(x.arg, kind, NONE) for x, kind in rest if x]


def value_of(default):
    if default is None:
        return NONE
    value = ast.literal_eval(default)
    return OPEN if value is ... else value


def runtime(module, name):
    """The same of the code."""
    found = module
    for part in name.split("."):
        having = (x for x in (found, *below(found)) if hasattr(x, part))
        found = inspect.getattr_static(next(having, found), part)
    found = getattr(found, "fget", getattr(found, "func", getattr(found, "__func__", found)))
    return {x.name: x for x in inspect.signature(found).parameters.values()}


def below(owner):
    """The classes under a class: some methods are theirs alone."""
    return owner.__subclasses__() if isinstance(owner, type) else []


@pytest.mark.parametrize(
    ("module", "name", "definition"), [pytest.param(*x, id=x[1]) for x in definitions()]
)
def test_a_stub_has_the_parameters_of_the_code(module, name, definition):
    found, code = parameters(definition), runtime(module, name)

    assert {x: kind for x, kind, _ in found} == {x: p.kind for x, p in code.items()}
    order = [x for x, kind, _ in found if kind == POSITIONAL]
    assert order == [x for x, p in code.items() if p.kind == POSITIONAL]
    for x, _, default in found:
        if default is OPEN:
            assert code[x].default is not NONE, x
        elif default is not NONE or not definition.decorator_list:  # an overload may leave it out
            assert default == code[x].default, x


def test_the_stubs_have_every_public_name():
    assert set(selscan.__all__) <= names_of(ROOT / "selscan/__init__.pyi")


def names_of(stub):
    """What a stub defines, and what it imports for others."""
    found = set()
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            found |= {x.asname for x in node.names if x.asname == x.name}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def test_the_typed_module_calls_every_public_name():
    tree = ast.parse((TYPED / "right.py").read_text(encoding="utf-8"))
    used = {
        ast.unparse(x).removeprefix("selscan.")
        for x in ast.walk(tree)
        if isinstance(x, ast.Attribute)
    }

    assert set(PUBLIC) <= used


def test_mypy_passes_on_right_calls_and_finds_wrong_ones():
    pytest.importorskip("mypy")
    options = ["--strict", "--follow-imports=silent", "--no-error-summary", "--config-file="]
    options.append(f"--cache-dir={ROOT / '.mypy_cache'}")

    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "right.py", "wrong.py"],
        cwd=TYPED,
        env={"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout + done.stderr, done.returncode) == ("", 0)
