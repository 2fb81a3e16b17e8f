"""Pictures of paths: what they show is the table, read back from the SVG."""

import itertools
import re
import runpy
from pathlib import Path as File
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from path_strategies import extra, paths

from selscan.paths import MAKERS, MAKERS_3D, Path, cross
from selscan.paths.drawing import CELL, GAP

PAGE = File(__file__).parents[1] / "docs/paths.md"
SVG = "{http://www.w3.org/2000/svg}"


def panels(path):
    """The element of each route."""
    root = ElementTree.fromstring(path.draw())
    return root.findall(f"{SVG}g[@class='route']")


def all_of(element, kind):
    """The elements of a class below an element, in order."""
    return [child for child in element.iter() if child.get("class") == kind]


def pixel_at(x, y, path):
    """The pixel that a point lies in; frames stand side by side."""
    frame, left = divmod(x, CELL * path.width + GAP)
    row = int(frame) * path.height + int(y // CELL)
    return row * path.width + int(left // CELL)


def moves(panel, path):
    """The arrows as (pixel, pixel, dashed), from where the line begins to where it ends."""
    for arrow in all_of(panel, "arrow"):
        x0, y0, x1, y1 = re.findall(r"-?[\d.]+", arrow.get("d"))[:4]
        pixels = [pixel_at(float(x), float(y), path) for x, y in ((x0, y0), (x1, y1))]
        yield *pixels, "stroke-dasharray" in arrow.attrib


def expected_moves(route):
    """The moves of a route from visit to visit, and whether there is padding between the two."""
    last = None
    for step, pixel in enumerate(route):
        if pixel >= 0:
            if last is not None:
                yield route[last], pixel, step > last + 1
            last = step


@given(paths())
def test_the_arrows_are_the_moves_of_each_route_in_order(path):
    drawn = [list(moves(panel, path)) for panel in panels(path)]

    assert drawn == [list(expected_moves(route)) for route in path.table.tolist()]


@given(paths())
def test_a_dot_marks_the_first_pixel_of_each_route(path):
    dots = [
        [pixel_at(float(dot.get("cx")), float(dot.get("cy")), path) for dot in found]
        for found in (all_of(panel, "start") for panel in panels(path))
    ]

    assert dots == [route[route >= 0][:1].tolist() for route in path.table]


@given(paths())
def test_the_bar_is_filled_where_a_route_visits_a_pixel(path):
    for panel, route in zip(panels(path), path.table, strict=True):
        (bar,) = all_of(panel, "bar")
        cells = "".join(shade.get("d") for shade in all_of(panel, "visited"))
        lefts = [float(x) for x in re.findall(r"M(-?[\d.]+)", cells)]

        steps = np.array(lefts) / float(bar.get("width")) * path.length
        assert np.round(steps).astype(int).tolist() == np.flatnonzero(route >= 0).tolist()


@pytest.mark.parametrize("joined", [False, True])
def test_shades_go_from_light_to_dark_along_a_sequence(joined):
    path = Path.of(4, 5, "h_flip", "v", "w2", joined=joined)

    light = [
        [sum(bytes.fromhex(shade.get("fill")[1:])) for shade in all_of(panel, "visited")]
        for panel in panels(path)
    ]

    sequences = [list(itertools.chain(*light))] if joined else light
    assert [sorted(sequence, reverse=True) for sequence in sequences] == sequences
    assert [len(set(sequence)) > 5 for sequence in sequences] == [True] * len(sequences)


@given(paths())
def test_equal_paths_have_equal_pictures(path):
    again = Path(path.table, path.height, path.width, path.joined, path.depth)

    assert again.draw() == path.draw()


@given(paths())
def test_the_picture_is_as_large_as_it_says_and_has_all_panels_inside(path):
    root = ElementTree.fromstring(path.draw())
    width, height = float(root.get("width")), float(root.get("height"))

    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    for panel in root.findall(f"{SVG}g[@class='route']"):
        x, y = map(int, re.findall(r"\d+", panel.get("transform")))
        (bar,) = all_of(panel, "bar")
        right = x + max(CELL * path.width, float(bar.get("width")))
        assert right < width
        assert y + float(bar.get("y")) + float(bar.get("height")) < height


@pytest.mark.parametrize("name", MAKERS)
def test_a_picture_can_stand_in_any_page(name):
    picture = MAKERS[name](5, 7, *extra(MAKERS[name])).draw()

    # Identifiers would clash, styles would leak, and nothing is to be loaded or run.
    assert not re.search(r"\bid=|<style|<script|href|url\(", picture)
    assert picture.isascii()


def test_joined_routes_say_what_they_follow():
    path = Path.of(3, 4, "h_flip", "v", "v_flip", joined=True)

    assert [panel.find(f"{SVG}text").text for panel in panels(path)] == [
        "route 0",
        "route 1, after 0",
        "route 2, after 1",
    ]
    assert [panel.find(f"{SVG}text").text for panel in panels(cross(2, 2))] == [
        "route 0",
        "route 1",
        "route 2",
        "route 3",
    ]


def test_the_pictures_of_the_page_are_what_draw_gives():
    drawn = runpy.run_path(str(PAGE.parent / "paths/draw.py"))["pictures"]()

    files = (PAGE.parent / "paths").glob("*.svg")
    assert {file.stem: file.read_text(encoding="utf-8") for file in files} == drawn


@pytest.mark.parametrize("name", MAKERS | MAKERS_3D)
def test_the_page_shows_each_maker(name):
    page = PAGE.read_text(encoding="utf-8")

    assert f"\n{name} = paths.{name}(" in page
    assert f"](paths/{name}.svg)" in page
