"""Every Python example runs: README.md, docs/**/*.md and the docstrings of the public names."""

import contextlib
import doctest
import importlib.util
import operator
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

import selscan
from selscan.backends import SIMULATED

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
# Public names, those of public modules with the module before them.
MODULES = (
    ("paths", "distributed", "models", "nn", "onnx")
    if importlib.util.find_spec("torch")
    else ("paths",)
)
PUBLIC = [
    *selscan.__all__,
    *(f"{module}.{name}" for module in MODULES for name in getattr(selscan, module).__all__),
]
OPTIONAL = ("torch", "jax", "cupy", "transformers", "onnxruntime")

FENCE = re.compile(
    r"^ *(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<code>.*?)^ *(?P=ticks)\s*?$", re.M | re.S
)


def python_blocks(text):
    """Fenced blocks whose info string says python: (line of the first code line, code)."""
    for match in FENCE.finditer(text):
        if re.search(r"\b(python|pycon)\b", match["info"]):
            yield text.count("\n", 0, match.start("code")) + 1, textwrap.dedent(match["code"])


def missing_library(code):
    """The optional library that a block imports and this environment lacks, if any."""
    if re.search(r"^from numba import cuda$", code, re.M) and not SIMULATED:
        return "Numba's simulator"
    if "selscan.onnx" in code and importlib.util.find_spec("onnxscript") is None:
        return "onnxscript"
    for name in OPTIONAL:
        imported = re.search(rf"^(>>> )?\s*(import|from) {name}\b", code, re.M)
        if imported and importlib.util.find_spec(name) is None:
            return name
    return None


def run_examples(test):
    """Run one doctest; its globals live on. AssertionError with the report if it fails."""
    report = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=report.append, clear_globs=False
    )
    assert result.failed == 0, "".join(report)


def run_block(code, line, page, namespace):
    """Run one block; errors name the page and its line."""
    if ">>> " in code:
        test = doctest.DocTestParser().get_doctest(code, namespace, page.name, str(page), line - 1)
        run_examples(test)
        namespace.update(test.globs)
    else:
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), namespace)


def run_page(page):
    """Run a page's blocks in one namespace, up to the first that needs an absent library."""
    namespace = {"__name__": "__main__"}
    for line, code in python_blocks(page.read_text(encoding="utf-8")):
        if name := missing_library(code):
            pytest.skip(f"{page.name}:{line} and what follows: {name} is not here")
        run_block(code, line, page, namespace)


@pytest.fixture
def patches_undone(monkeypatch):
    """What pages patch is as before when they end, also where they leave it on."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    made, patch = [], selscan.compat.patch

    def noted(*arguments, **keywords):
        made.append(patch(*arguments, **keywords))
        return made[-1]

    monkeypatch.setattr(selscan.compat, "patch", noted)
    yield
    for each in reversed(made):
        each.undo()


@pytest.mark.usefixtures("patches_undone")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_readme_shows_python():
    assert list(python_blocks(README.read_text(encoding="utf-8")))


def test_the_links_of_the_readme_lead_to_files():
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)

    assert [x for x in links if "://" not in x and not (ROOT / x).is_file()] == []
    assert [x for x in links if x.startswith("/")] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_in_a_public_docstring_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"selscan": selscan, "np": np}
    public = operator.attrgetter(name)(selscan)
    for test in doctest.DocTestFinder().find(public, name, globs=namespace):
        if library := missing_library("".join(example.source for example in test.examples)):
            pytest.skip(f"{test.name}: {library} is not installed")
        run_examples(test)


def test_the_api_page_lists_the_public_names():
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto\w+:: selscan\.([\w.]+)$", page, re.M)

    assert sorted(listed) == sorted(PUBLIC)


@pytest.mark.parametrize(
    ("block", "raises"),
    [
        ("```python\nassert False\n```\n", AssertionError),
        ("```python\n>>> 1 + 1\n3\n\n```\n", AssertionError),
        ("```{code-block} python\nassert False\n```\n", AssertionError),
        ("- item\n\n  ```python\n  assert False\n  ```\n", AssertionError),
        ("```python\nx = 1\n```\n\n```python\n>>> x\n2\n```\n", AssertionError),
        ("```python\n>>> x = 1\n>>> x\n1\n\n```\n\n```python\nassert x == 1\n```\n", None),
        ("```text\nassert False\n```\n", None),
    ],
)
def test_a_wrong_block_fails(block, raises, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(block, encoding="utf-8")

    with pytest.raises(raises) if raises else contextlib.nullcontext():
        run_page(page)
