"""The pictures of the docs are those that their scripts draw."""

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("architecture", "kernels")  # each with a folder of pictures and their script
NAMES = [
    (page, name)
    for page in PAGES
    for name in re.findall(
        rf"\({page}/(\w+)\.svg\)", (DOCS / f"{page}.md").read_text(encoding="utf-8")
    )
]


def pictures(page):
    """Name -> function, of a page's script."""
    spec = importlib.util.spec_from_file_location(f"draw_{page}", DOCS / page / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PICTURES


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_every_picture_once(page):
    assert sorted(name for at, name in NAMES if at == page) == sorted(pictures(page))


@pytest.mark.parametrize(("page", "name"), NAMES)
def test_a_picture_is_up_to_date(page, name):
    drawn = str(pictures(page)[name]())

    assert (DOCS / page / f"{name}.svg").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize(("page", "name"), NAMES)
def test_nothing_of_a_picture_is_outside_of_it(page, name):
    root = ElementTree.fromstring(str(pictures(page)[name]()))
    width, height = float(root.get("width")), float(root.get("height"))

    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(box.get("x", 0)) <= width - float(box.get("width"))
        assert 0 <= float(box.get("y", 0)) <= height - float(box.get("height"))
