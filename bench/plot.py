"""The figures of the docs, drawn from the results in bench/results and from nothing else.

    python -m bench.plot

writes docs/performance/*-light.svg and *-dark.svg. Each file has the numbers that it shows as JSON
in its description, and the CSV that they come from; tests/test_figures.py compares the two. It
needs matplotlib: pip install -e '.[bench]'.
"""

import csv
import json
import math
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(__file__).parents[1] / "docs/performance"
# Peers from the kindest comparison to the most usual one, as the page explains them.
NAMES = {
    "selscan": "selscan",
    "stick": "C++ with AVX-512",
    "jax_remat": "jax.lax.scan, checkpointed",
    "jax_scan": "jax.lax.scan",
    "loop_step": "torch loop, little memory",
    "pscan": "mamba.py",
    "associative_scan": "torch associative_scan",
    "loop": "torch loop of mamba_ssm",
}
COLOURS = {
    "selscan": "#d1495b",
    "stick": "#8d99ae",
    "jax_remat": "#66a182",
    "jax_scan": "#2e8b7a",
    "loop_step": "#edae49",
    "pscan": "#3d7dca",
    "associative_scan": "#8e6bbf",
    "loop": "#b07d2b",
}
STYLES = {"light": ("#ffffff", "#1f2328", "#d0d7de"), "dark": ("#131416", "#e6e8ea", "#454b52")}
SWEEPS = {"length": "steps", "d_state": "states", "delta": "step size"}
EXACT = "loop_step", "error, float64"  # with which the others are compared
MARKS = {"float64": "o-", "float32": "s-", "bfloat16": "^--", "float16": "v:"}
CASES = {"vim": "Vim", "short": "Mamba 2.8B,\nshort prompt", "lm": "Mamba 130M", "vmamba": "VMamba"}


class Data(NamedTuple):
    """What a figure shows: numbers by series and place, and the file that they come from."""

    file: str
    numbers: dict
    unit: str


def rows(file, **wanted):
    """Rows of a CSV with these values."""
    with (RESULTS / file).open(newline="") as stream:
        found = [row for row in csv.DictReader(stream) if row["p50"]]
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def table(found, across):
    """{peer: {place: median}} in the order of NAMES."""
    cells = {(row["peer"], row[across]): float(row["p50"]) for row in found}
    places = list(dict.fromkeys(row[across] for row in found))
    return {
        peer: {x: cells[peer, x] for x in places if (peer, x) in cells}
        for peer in NAMES
        if any((peer, x) in cells for x in places)
    }


def speedups():
    """How many times as long as selscan, forward and backward on one thread."""
    times = table(rows("cpu-time.csv", mode="full", threads="1", metric="time"), "case")
    ours = times.pop("selscan")
    ratios = {peer: {x: t / ours[x] for x, t in each.items()} for peer, each in times.items()}
    return Data("cpu-time.csv", ratios, "times as long as selscan")


def lengths():
    """Time of one forward and backward by length, one thread, b = 1, d = 64, n = 16."""
    each = table(rows("cpu-growth.csv", mode="full", metric="time per step"), "case")
    # Rows are in ns per step and state.
    size = 64 * 16 * 1e-6
    scaled = {
        peer: {x: t * size * int(x.removeprefix("growth_")) for x, t in found.items()}
        for peer, found in each.items()
    }
    return Data("cpu-growth.csv", scaled, "ms of CPU")


def memory():
    """Peak above inputs and results at vim, forward and backward."""
    found = rows("cpu-forms.csv", case="vim", metric="memory above results")
    return Data("cpu-forms.csv", table(found, "mode"), "MB")


def errors():
    """Largest error over largest value, of y and of all gradients."""
    return Data("cpu-accuracy.csv", table(rows("cpu-accuracy.csv", case="long"), "mode"), "")


def rows_of_sweep(sweep, **wanted):
    """Rows of errors of the peers that have names."""
    return [
        row
        for row in rows("cpu-numerics.csv", **wanted)
        if row["case"].startswith(f"{sweep}_")
        and row["peer"] in NAMES
        and (row["peer"], row["metric"]) != EXACT
    ]


def numerics():
    """Largest error over largest value of y by length, for each peer in each of its dtypes."""
    numbers = {}
    for row in rows_of_sweep("length", mode="y"):
        series = f"{row['peer']}, {row['metric'].removeprefix('error, ')}"
        numbers.setdefault(series, {})[row["case"]] = float(row["p50"])
    return Data("cpu-numerics.csv", numbers, "")


def label(value, digits=2):
    """Two significant digits without an exponent."""
    places = max(0, digits - 1 - math.floor(math.log10(value)))
    return f"{value:.{places}f}"


def summary():
    """The table of docs/speed.md: the least and the most at the four shapes."""
    lines = ["| times as long as selscan | forward | forward and backward |", "|---|---:|---:|"]
    for peer in [peer for peer in NAMES if peer != "selscan"]:
        cells = []
        for mode in ("forward", "full"):
            times = table(rows("cpu-time.csv", mode=mode, threads="1", metric="time"), "case")
            found = [t / times["selscan"][x] for x, t in times[peer].items()]
            lost = len(CASES) - len(found)
            missing = f", too slow to measure at {lost} of {len(CASES)}" if lost else ""
            cells.append(f"{label(min(found))} to {label(max(found))}{missing}")
        lines.append(f"| {NAMES[peer]} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def error_table(sweep):
    """A table of docs/numerics.md: errors of y and of gradients along a sweep, peers in rows."""
    found = rows_of_sweep(sweep)
    cells = {(row["metric"], row["peer"], row["case"], row["mode"]): row["p50"] for row in found}
    places = list(dict.fromkeys(row["case"] for row in found))
    columns = [(mode, place) for mode in ("y", "gradients") for place in places]
    names = [f"{mode}, {place.removeprefix(f'{sweep}_')}" for mode, place in columns]
    lines = [f"| {SWEEPS[sweep]} | {' | '.join(names)} |", f"|---|{'---:|' * len(columns)}"]
    for metric, peer in dict.fromkeys((metric, peer) for metric, peer, _, _ in cells):
        values = (cells.get((metric, peer, place, mode)) for mode, place in columns)
        shown = " | ".join("-" if x is None else f"{float(x):.1e}" for x in values)
        lines.append(f"| {NAMES[peer]}, {metric.removeprefix('error, ')} | {shown} |")
    return "\n".join(lines)


def draw_speedups(axes, data, style):
    _, ink, _ = style
    peers, cases = list(data.numbers), list(CASES)
    height = 0.8 / len(peers)
    for i, peer in enumerate(peers):
        for j, case in enumerate(cases):
            place = j + (i - (len(peers) - 1) / 2) * height
            ratio = data.numbers[peer].get(case)
            if ratio is None:
                axes.text(1.1, place, "too slow to measure", va="center", size=9)
                continue
            axes.barh(
                place, ratio - 1, height * 0.9, left=1, color=COLOURS[peer],
                label=NAMES[peer] if j == 0 else None,
            )  # fmt: skip
            at = max(ratio, 1) * 1.06
            axes.text(at, place, f"{label(ratio)}x", va="center", size=9, color=ink)
    axes.axvline(1, color=ink, linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(0.8, 1000)
    axes.set_xticks([1, 10, 100, 1000], ["1x", "10x", "100x", "1000x"])
    axes.set_yticks(range(len(cases)), CASES.values())
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.set_xlabel("time of forward and backward: selscan's is 1x")
    axes.grid(axis="x", which="major")
    axes.figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=9)
    axes.figure.subplots_adjust(left=0.21, right=0.945, top=0.98, bottom=0.235)


def draw_lengths(axes, data, style):
    for peer, found in data.numbers.items():
        at = [int(x.removeprefix("growth_")) for x in found]
        axes.plot(
            at, list(found.values()), "o-", color=COLOURS[peer], label=NAMES[peer],
            linewidth=2.6 if peer == "selscan" else 1.5, markersize=4,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted({int(x.removeprefix("growth_")) for x in data.numbers["selscan"]})
    axes.set_xticks(ticks, [f"{x // 1024}k" for x in ticks])
    axes.set_xlabel("steps")
    axes.set_ylabel("forward and backward, ms of CPU")
    axes.grid(which="major")
    axes.figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=9)
    axes.figure.subplots_adjust(left=0.15, right=0.96, top=0.97, bottom=0.36)


def draw_memory(axes, data, style):
    _, ink, _ = style
    peers = list(data.numbers)
    for mode, offset, alpha, name in (
        ("forward", -0.2, 0.55, "forward"),
        ("full", 0.2, 1, "forward and backward"),
    ):
        for i, peer in enumerate(peers):
            value = data.numbers[peer].get(mode)
            if value is None:
                axes.text(0.12, i + offset, "too slow to measure", va="center", size=9)
                continue
            axes.barh(i + offset, value, 0.36, color=COLOURS[peer], alpha=alpha)
            axes.text(value * 1.08, i + offset, f"{label(value)} MB", va="center", size=9)
        axes.barh(0, 0, color=ink, alpha=alpha, label=name)
    axes.set_xscale("log")
    axes.set_xlim(0.1, 6000)
    axes.set_xticks([0.1, 1, 10, 100, 1000], ["0.1", "1", "10", "100", "1000"])
    axes.set_yticks(range(len(peers)), [NAMES[peer] for peer in peers])
    axes.set_ylim(len(peers) - 0.5, -0.5)
    axes.set_xlabel("peak above inputs and results, MB")
    axes.grid(axis="x", which="major")
    axes.figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=9)
    axes.figure.subplots_adjust(left=0.38, right=0.95, top=0.98, bottom=0.19)


def draw_errors(axes, data, style):
    names = list(data.numbers["selscan"])
    for peer, found in data.numbers.items():
        at = [names.index(x) for x in found]
        axes.plot(
            at, list(found.values()), "o" if peer == "selscan" else "_", color=COLOURS[peer],
            label=NAMES[peer], markersize=7 if peer == "selscan" else 13, markeredgewidth=2.2,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(2e-8, 2e-6)
    axes.set_xticks(range(len(names)), [x.replace("_", "\n_") for x in names])
    axes.set_ylabel("largest error / largest value")
    axes.grid(axis="y", which="major")
    axes.figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=9)
    axes.figure.subplots_adjust(left=0.16, right=0.96, top=0.97, bottom=0.36)


def draw_numerics(axes, data, style):
    for series, found in data.numbers.items():
        peer, dtype = series.split(", ")
        at = [int(x.removeprefix("length_")) for x in found]
        axes.plot(
            at, list(found.values()), MARKS[dtype], color=COLOURS[peer],
            label=f"{NAMES[peer]}, {dtype}", linewidth=2.6 if peer == "selscan" else 1.5,
            markersize=5,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted({int(x.removeprefix("length_")) for x in data.numbers["selscan, float32"]})
    axes.set_xticks(ticks, [f"{x // 1024}k" for x in ticks])
    axes.set_xlabel("steps")
    axes.set_ylabel("largest error of y / largest value")
    axes.grid(which="major")
    axes.figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8)
    axes.figure.subplots_adjust(left=0.16, right=0.96, top=0.97, bottom=0.42)


FIGURES = {
    "speed": (speedups, draw_speedups, (5.4, 7.0)),
    "length": (lengths, draw_lengths, (5.4, 4.8)),
    "memory": (memory, draw_memory, (5.4, 5.2)),
    "error": (errors, draw_errors, (5.4, 4.6)),
    "numerics": (numerics, draw_numerics, (5.4, 5.6)),
}


def settings(style):
    background, ink, line = style
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "selscan",
        "font.family": "sans-serif",
        "font.size": 10,
        "figure.facecolor": background,
        "axes.facecolor": background,
        "savefig.facecolor": background,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": line,
        "xtick.color": ink,
        "ytick.color": ink,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }


def write(name, folder=FOLDER):
    """Both files of a figure."""
    import matplotlib as mpl  # here, since the tests look at the numbers without it
    from matplotlib.figure import Figure

    make, draw, size = FIGURES[name]
    data = make()
    for mode, style in STYLES.items():
        with mpl.rc_context(settings(style)):
            figure = Figure(figsize=size)
            draw(figure.add_subplot(), data, style)
            description = json.dumps(data._asdict())
            metadata = {"Date": None, "Creator": "bench/plot.py", "Description": description}
            figure.savefig(folder / f"{name}-{mode}.svg", metadata=metadata)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for figure in FIGURES:
        write(figure)
    print(summary(), *map(error_table, SWEEPS), sep="\n\n")
