"""Problems for the check of the kernels: drawn at random, from a fixed seed, by name.

Arrays and what is expected of them come from tests/: its generator of problems, the reference and
the one table of tolerances.
"""

import functools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

TESTS = str(Path(__file__).parents[2] / "tests")
if TESTS not in sys.path:
    sys.path.append(TESTS)

import forms  # noqa: E402
import strategies  # noqa: E402

OPS = ("scan", "backward", "scan", "backward", "step")  # in turns
# Around the tiles of 16, 32, 128 and 512 steps, and the lengths of models' maps.
LENGTHS = (
    1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 49, 64, 127, 128, 130, 196, 197, 513, 784, 1025, 2049, 3136,
)  # fmt: skip
CHANNELS = (
    *((1, 1), (2, 1), (3, 1), (4, 4), (6, 2), (9, 3), (34, 2), (70, 1), (130, 2), (256, 1)),
    *((600, 1), (1100, 1)),  # blocks of the backward walk over several blocks of channels
)
STATES = (1, 1, 2, 3, 4, 5, 8, 16, 16, 16, 17, 20, 64)
DTYPES = (*strategies.DTYPES, *strategies.HALF, *strategies.HALF, "float32", "float32")
SEGMENTS = (*[None] * 5, *strategies.SEGMENTS[1:])
FORMS = {x.__name__: x for x in forms.ANY_FRAMEWORK}
WAYS = ("plain", "plain", "stream", "graph")
OTHER_DEVICE = "other device"  # once for each op
LARGEST, SMALL = 12_000, 1_200  # b * d * l: the reference takes 12 us for each
COUNT, FEW = 600, 40


class Case(NamedTuple):
    """A problem, how it lies in memory, and how it is run."""

    op: str
    options: dict  # of strategies.make_problem
    form: str | None  # a function of tests/forms.py; None: contiguous
    way: str

    def __str__(self):
        o = self.options
        size = " ".join(f"{x}{o[x]}" for x in "bdgnl")
        more = [o["dtype"], o["layout"], *(x for x in ("reverse", "delta_softplus") if o[x])]
        more += [f"{x}={o[x]}" for x in ("out_dtype", "seq_idx") if o[x]]
        more += [f"B {o['form_b']}", f"C {o['form_c']}", *sorted(o["given"])]
        more += [x for x in (self.form, self.way) if x]
        return f"{self.op} {size} {', '.join(more)}"


@functools.cache
def cases(small=False):
    """Cases by name."""
    rng = np.random.default_rng(20)
    found = {}
    for i in range(FEW if small else COUNT):
        op = OPS[i % len(OPS)]
        way = OTHER_DEVICE if i in (0, 1, 4) and not small else draw(rng, WAYS)
        case = Case(op, options(rng, op, SMALL if small else LARGEST), form(rng), way)
        found[f"{i:03} {case}"] = case
    return found


def draw(rng, choices):
    return choices[rng.integers(len(choices))]


def form(rng):
    return draw(rng, (None, None, None, *FORMS))


def options(rng, op, largest):
    """Arguments of strategies.make_problem."""
    b = int(rng.integers(1, 4))
    d, g = draw(rng, [x for x in CHANNELS if b * x[0] <= largest])
    length = draw(rng, [l for l in LENGTHS if b * d * l <= largest]) if op != "step" else 1
    given = {name for name in strategies.OPTIONAL if rng.random() < 0.6}
    kinds = ("shared", "grouped", "grouped", "constant")
    return {
        "b": b,
        "d": d,
        "g": g,
        "n": draw(rng, [n for n in STATES if b * d * length * n <= 8 * largest]),
        "l": length,
        "dtype": draw(rng, DTYPES),
        "layout": draw(rng, ("bdl", "bld")) if op != "step" else "bdl",
        "form_b": draw(rng, kinds),
        "form_c": draw(rng, kinds),
        "given": sorted(given | ({"initial_state"} if op == "step" else set())),
        "delta_softplus": bool(rng.random() < 0.8),
        "reverse": bool(rng.random() < 0.4) if op != "step" else False,
        "decay": draw(rng, (1, 1e-3, 16)),
        "step": draw(rng, (1, 0.1, 5)),
        "seq_idx": draw(rng, SEGMENTS) if op != "step" else None,
        "out_dtype": draw(rng, (None, None, *strategies.REAL)) if op == "scan" else None,
        "imaginary": draw(rng, strategies.IMAGINARY) if op != "step" else ("initial_state",),
        "seed": int(rng.integers(2**31)),
    }


def make(case):
    """The problem of a case; its arrays have the form in memory that it asks for."""
    problem = strategies.make_problem(**case.options)
    if case.op == "backward":
        problem = strategies.with_gradients(problem)
    if case.op == "step":
        problem = step_of(problem)
    if case.form is None:
        return problem
    change = FORMS[case.form]
    return {x: change(v) if isinstance(v, np.ndarray) else v for x, v in problem.items()}


def step_of(problem):
    """The arguments of scan_step from a problem of one step."""
    dropped = ("reverse", "layout", "initial_state", "seq_idx")
    step = {x: v for x, v in problem.items() if x not in dropped}
    step |= {x: step[x][..., 0] for x in strategies.timed(problem) & step.keys()}
    return step | {"state": problem["initial_state"]}
