"""The figures of docs/speed.md show what is in the CSVs that they name."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import plot

ROOT = Path(__file__).parents[1]
FIGURES = sorted((ROOT / "docs/performance").glob("*.svg"))
DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
TEXT = "{http://www.w3.org/2000/svg}text"
PAGE = (ROOT / "docs/speed.md").read_text(encoding="utf-8")
NUMERICS = (ROOT / "docs/numerics.md").read_text(encoding="utf-8")


def medians(file, **wanted):
    """{(peer, case, mode): p50} of the rows of a CSV with these values."""
    with (ROOT / "bench/results" / file).open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["p50"]]
    chosen = [row for row in rows if all(row[x] == value for x, value in wanted.items())]
    return {(row["peer"], row["case"], row["mode"]): float(row["p50"]) for row in chosen}


def shown(path):
    """What a figure says that it shows, and its texts."""
    root = ElementTree.parse(path).getroot()
    [description] = root.iter(DESCRIPTION)
    return json.loads(description.text), {"".join(x.itertext()).strip() for x in root.iter(TEXT)}


def figures(name):
    return pytest.mark.parametrize(
        "path", [x for x in FIGURES if x.name.startswith(name)], ids=lambda path: path.stem
    )


def places(numbers):
    return {(peer, x): value for peer, found in numbers.items() for x, value in found.items()}


@figures("speed")
def test_bars_are_the_times_over_those_of_selscan(path):
    data, texts = shown(path)
    times = medians("cpu-time.csv", mode="full", threads="1", metric="time")
    want = {
        (peer, case): value / times["selscan", case, mode]
        for (peer, case, mode), value in times.items()
        if peer != "selscan"
    }

    assert data["file"] == "cpu-time.csv"
    assert places(data["numbers"]) == pytest.approx(want)
    labels = [float(x[:-1]) for x in texts if re.fullmatch(r"[0-9.]+x", x)]
    for ratio in want.values():
        assert min(abs(x / ratio - 1) for x in labels) < 0.06  # two digits


@figures("length")
def test_lines_are_the_times_of_all_steps(path):
    data, _ = shown(path)
    found = medians("cpu-growth.csv", mode="full", metric="time per step")
    want = {
        (peer, case): value * 64 * 16 * int(case.split("_")[1]) / 1e6
        for (peer, case, _), value in found.items()
    }

    assert data["file"] == "cpu-growth.csv"
    drawn = places(data["numbers"])
    assert drawn == pytest.approx({key: want[key] for key in drawn})
    assert {peer for peer, _ in drawn} >= {"selscan", "stick", "pscan", "loop_step", "jax_scan"}


@figures("memory")
def test_bars_are_the_peaks_above_inputs_and_results(path):
    data, texts = shown(path)
    found = medians("cpu-forms.csv", case="vim", metric="memory above results")

    assert data["file"] == "cpu-forms.csv"
    drawn = places(data["numbers"])
    assert drawn == pytest.approx({(peer, mode): found[peer, "vim", mode] for peer, mode in drawn})
    labels = [float(x[:-3]) for x in texts if x.endswith(" MB") and x[0].isdigit()]
    for value in drawn.values():
        assert min(abs(x / value - 1) for x in labels) < 0.06


@figures("error")
def test_marks_are_the_errors(path):
    data, _ = shown(path)
    found = medians("cpu-accuracy.csv", case="long")

    assert data["file"] == "cpu-accuracy.csv"
    drawn = places(data["numbers"])
    assert drawn == pytest.approx({(peer, x): found[peer, "long", x] for peer, x in drawn})
    assert ("selscan", "y") in drawn


@figures("numerics")
def test_lines_are_the_errors_of_y(path):
    data, _ = shown(path)
    with (ROOT / "bench/results/cpu-numerics.csv").open(newline="") as stream:
        found = [row for row in csv.DictReader(stream) if row["p50"] and row["mode"] == "y"]
    want = {
        (f"{row['peer']}, {row['metric'].split()[1]}", row["case"]): float(row["p50"])
        for row in found
        if row["case"].startswith("length_") and row["peer"] in plot.NAMES and float(row["p50"]) > 0
    }

    assert data["file"] == "cpu-numerics.csv"
    assert places(data["numbers"]) == want
    assert {dtype.split(", ")[1] for dtype in data["numbers"]} == set(plot.MARKS)


def test_a_page_shows_each_figure_in_light_and_dark():
    text = PAGE + NUMERICS
    on_page = re.findall(r"\{image\} performance/([\w-]+)\.svg\n:class: only-(\w+)\n", text)

    assert sorted(name for name, _ in on_page) == [path.stem for path in FIGURES]
    assert all(name.endswith(f"-{mode}") for name, mode in on_page)


@pytest.mark.parametrize("sweep", plot.SWEEPS)
def test_the_tables_of_errors_are_those_of_the_results(sweep):
    assert plot.error_table(sweep) in NUMERICS


def test_the_summary_is_that_of_the_results():
    assert plot.summary() in PAGE
