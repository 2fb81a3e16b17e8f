"""The pictures of docs/kernels.md are those that its script draws."""

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT = DOCS / "kernels/draw.py"
NAMES = re.findall(r"\(kernels/(\w+)\.svg\)", (DOCS / "kernels.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("draw_kernels", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_every_picture_once(script):
    assert sorted(NAMES) == sorted(script.PICTURES)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_up_to_date(script, name):
    assert (DOCS / f"kernels/{name}.svg").read_text(encoding="utf-8") == str(
        script.PICTURES[name]()
    )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_picture_is_outside_of_it(script, name):
    root = ElementTree.fromstring(str(script.PICTURES[name]()))
    width, height = float(root.get("width")), float(root.get("height"))

    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(box.get("x", 0)) <= width - float(box.get("width"))
        assert 0 <= float(box.get("y", 0)) <= height - float(box.get("height"))
