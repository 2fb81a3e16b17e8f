"""Maps that are put in order first: when that is, and that y, du and ddelta have the same bits."""

import math

import numpy as np
import pytest
from harness import Backend
from map_strategies import PATHS, make_map_problem, with_dy
from test_bits import assert_bits
from test_scan2d import assert_matches_reference
from vectors import lanes

from selscan.arrays.layouts import Layout, dense_steps
from selscan.backends import cpu
from selscan.backends.cpu import ordered
from selscan.ops import contract2d
from selscan.ops import scan2d as ops
from selscan.paths import Path, atrous, cross

BACKEND = Backend("cpu", "numpy")
SIDE = math.isqrt(ordered.PIXELS_PER_LANE * lanes(np.float32)) + 1  # of a large map
DENSE = [x for x, path in PATHS.items() if path.routes > 1 and not path.joined][::4]


def problem_of(path, in_order=False, dtype="float32", last=False, b=1, d=96, n=16):
    """A checked problem; no arrays are made."""
    k, steps = 1 if path.joined else path.routes, (path.length,) if in_order else path.size
    shapes = {"u": (b, d, *path.size), "delta": (b, k, d, *steps), "A": (k, d, n)}
    shapes |= dict.fromkeys("BC", (b, k, n, *steps))
    found = {}
    for name, shape in shapes.items():
        order = list(range(len(shape)))
        if last and name == "u":
            order.append(order.pop(1))
        found[name] = Layout(shape, dense_steps(shape, order, np.dtype(dtype).itemsize), dtype)
    return contract2d.check("scan2d", found, path)


@pytest.mark.parametrize(
    ("path", "options", "forward", "backward"),
    [
        (cross(56, 56), {}, False, False),
        (cross(SIDE, SIDE), {}, True, True),
        (cross(SIDE - 1, SIDE - 1), {}, False, False),
        (cross(SIDE, SIDE), {"in_order": True}, False, False),
        (atrous(14, 14), {}, True, True),
        (atrous(14, 14), {"in_order": True}, False, True),
        (atrous(SIDE, SIDE), {"in_order": True}, True, True),
        (atrous(14, 14), {"last": True}, False, False),
        (Path.of(SIDE, SIDE, "h", "v", joined=True), {}, False, False),
        (Path.of(SIDE, SIDE, "v"), {}, False, False),
    ],
)
def test_what_is_put_in_order_follows_from_sizes_and_the_path(path, options, forward, backward):
    problem = problem_of(path, **options)

    found = [ordered.in_order_first(problem, x) for x in ("forward", "backward")]

    assert found == [forward, backward]
    kept = forward and not options.get("in_order")
    assert ordered.kept(problem) == (("u", "delta", "B", "C") if kept else ())


TOGETHER = {
    "one block of channels": {"MOST_BYTES": 1, "_FEWEST_BLOCKS": 1},
    "two entries or three": {"JOINED_BYTES": 1 << 16},
    "all entries": {"JOINED_BYTES": 1 << 25},
}


@pytest.fixture(
    params=[
        ("large", "one block of channels"),
        ("sparse", "one block of channels"),
        ("large", "all entries"),
        ("sparse", "two entries or three"),
    ],
    ids=", ".join,
)
def ways(request, monkeypatch):
    """Results of a function without and with that."""
    kind, together = request.param

    def both(function):
        found = []
        for least in (1 << 60, 0):
            with monkeypatch.context() as patch:
                patch.setattr(ordered, "PIXELS_PER_LANE", least)
                for name, value in TOGETHER[together].items():
                    patch.setattr(ordered, name, value)
                yes = kind == "sparse" and not least
                patch.setattr(ordered, "_is_sparse", lambda path, yes=yes: yes)
                forget()
                found.append(function())
        forget()
        return found

    def forget():
        ops.prepare_forward.cache_clear()
        ops.prepare_backward.cache_clear()

    return both


@pytest.mark.parametrize(
    "path", [*map(PATHS.get, DENSE), cross(20, 20)], ids=[*DENSE, "of two chunks"]
)
@pytest.mark.parametrize("options", [{}, {"per_route": True}, {"merge": False}], ids=str)
def test_both_ways_have_the_same_bits(ways, path, options):
    problem = make_map_problem(path, b=5, d=35, n=len(options) * 4 + 1, **options)

    def call():
        return BACKEND.scan2d(**problem), *BACKEND.scan2d_backward(**with_dy(problem))[:2]

    for name, fused, found in zip(("y", "du", "ddelta"), *ways(call), strict=True):
        assert_bits(found, fused, name)


@pytest.mark.parametrize(
    ("forms", "framework"),
    [(("maps",) * 4, "torch"), (("maps", "maps", "in order", "maps"), "numpy")],  # torch: kept
)
@pytest.mark.parametrize("d", [5, 35])
def test_in_order_first_all_gradients_match_the_reference(ways, forms, framework, d):
    problem = make_map_problem(PATHS["window 3"], b=5, d=d, n=5, forms=forms)
    turned = np.ascontiguousarray(problem["B"].swapaxes(0, 1)).swapaxes(0, 1)
    problems = [problem, problem | {"B": turned}] if forms[2] == "in order" else [problem]
    problems.append(make_map_problem(PATHS["atrous"], b=5, d=3, out_dtype="float64"))

    def call():
        for problem in problems:
            assert_matches_reference(Backend("cpu", framework), problem)

    ways(call)


@pytest.mark.parametrize(
    ("side", "d", "b", "together"),
    [
        (14, 64, 1, [1]),
        (14, 64, 4, [4]),  # of 49 KB
        (14, 64, 50, [25, 25]),
        (56, 64, 7, [2, 2, 3]),  # of 0.8 MB
        (56, 256, 3, [1, 1, 1]),
        (600, 96, 3, [1, 1, 1]),
    ],
)
def test_small_maps_of_several_entries_are_scanned_together(monkeypatch, side, d, b, together):
    monkeypatch.setattr(ordered, "JOINED_BYTES", 49 * 49 * 1024)

    found = plan_of(atrous(side, side), b=b, d=d).shares

    assert [x.batch for _, x in found] == together


def plan_of(path, **sizes):
    """The plan of a forward."""
    problem = problem_of(path, **sizes)
    return cpu.forward_plan(problem, {x: (v, problem.axes[x]) for x, v in problem.layouts.items()})
