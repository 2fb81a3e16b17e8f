"""Problems over maps for the check of the kernels: drawn at random, from a fixed seed, by name."""

import functools
from typing import NamedTuple

import map_strategies
import moving
import numpy as np

from bench.gpu import problems  # it finds tests/

OPS = ("scan2d", "scan2d_backward", "gather", "scatter")  # in turns
COUNT, FEW = 240, 16
LARGEST, SMALL = 40_000, 1_500  # b * k * d * l
# Larger than those of the tests: several chunks and tiles, columns that are far apart.
SIZES = ((7, 7), (14, 14), (28, 28), (56, 56), (31, 45), (1, 130), (90, 70))
MAKERS = ("cross", "window", "atrous", "bidirectional")
DTYPES = ("float32", "float16", "bfloat16", "bfloat16", "float64", "complex64", "mixed")


class Case(NamedTuple):
    """A problem, and how it is run."""

    op: str
    path: str  # of a maker with its arguments, or a name in map_strategies.PATHS
    options: dict
    way: str

    def __str__(self):
        o = self.options
        size = " ".join(f"{x}{o[x]}" for x in "bdn" if x in o)
        more = [f"{x}={o[x]}" for x in ("dtype", "per_route", "merge", "forms", "last") if x in o]
        return f"{self.op} {self.path} {size} {', '.join(map(str, more))}, {self.way}"


def path_of(text):
    """The path of a case."""
    if text in map_strategies.PATHS:
        return map_strategies.PATHS[text]
    name, *numbers = text.split()
    return map_strategies.MAKERS[name](*map(int, numbers))


@functools.cache
def cases(small=False):
    """Cases by name."""
    rng = np.random.default_rng(21)
    found = {}
    for i in range(FEW if small else COUNT):
        op = OPS[i % len(OPS)]
        case = _case(rng, op, SMALL if small else LARGEST)
        found[f"maps {i:03} {case}"] = case
    return found


def _case(rng, op, largest):
    draw = problems.draw
    height, width = SIZES[rng.integers(len(SIZES))]
    maker = draw(rng, MAKERS)
    made = f"{maker} {height} {width}" + " 7" * (maker == "window")
    texts = [made, draw(rng, list(map_strategies.PATHS))]
    fitting = [x for x in texts if 2 * path_of(x).table.size <= largest] or ["cross"]
    text = draw(rng, fitting)
    most = largest // path_of(text).table.size
    b = int(rng.integers(1, 3))
    d = draw(rng, [d for d in (1, 2, 3, 17, 33, 70, 200) if b * d <= most])
    way = draw(rng, problems.WAYS if op != "scan2d_backward" else ("plain", "stream"))
    return Case(op, text, {"b": b, "d": d} | _options(rng, op), way)


def _options(rng, op):
    """What map_strategies or moving are asked for."""
    draw, merge = problems.draw, bool(rng.random() < 0.7)
    per_route = bool(rng.random() < 0.3)
    if op in ("gather", "scatter"):
        of_op = {"per_route": per_route} if op == "gather" else {"merge": merge}
        return of_op | {"dtype": draw(rng, moving.DTYPES), "last": bool(rng.random() < 0.4)}
    forms = (draw(rng, map_strategies.FORMS),) * 4
    return {
        "n": draw(rng, (1, 1, 2, 4, 16, 20)),
        "dtype": draw(rng, DTYPES),
        "per_route": per_route,
        "forms": forms,
        "merge": merge,
        "delta_softplus": bool(rng.random() < 0.8),
        "step": draw(rng, (1, 0.1)),
        "seed": int(rng.integers(2**31)),
    }


def make(case):
    """The arguments of a case."""
    path, options = path_of(case.path), dict(case.options)
    if case.op in ("scan2d", "scan2d_backward"):
        problem = map_strategies.make_map_problem(path, **options)
        return map_strategies.with_dy(problem) if case.op == "scan2d_backward" else problem
    last, merge = options.pop("last"), options.pop("merge", None)
    if case.op == "gather":
        name, array, axis = "x", moving.maps(path, **options), -3
    else:
        name, array, axis = "y", moving.sequences(path, **options), 2
    if last:
        array = np.moveaxis(np.ascontiguousarray(np.moveaxis(array, axis, -1)), -1, axis)
    return {name: array, "path": path} | ({} if merge is None else {"merge": merge})
