"""Small, odd scans for the sanitizers and for every order of threads; see cases.py."""

import ml_dtypes  # noqa: F401 - NumPy knows "bfloat16" from here on
import numpy as np
from strategies import make_problem, with_gradients

from selscan.backends.cupy.plan import Mapping
from selscan.backends.cupy.plan_backward import Mapping as BackwardMapping

from . import scans
from .demos import in_every_order

SEQUENCES = ("u", "delta", "z", "B", "C")


def with_dtypes(problem, dtypes):
    """The problem with some arrays in other dtypes."""
    return problem | {x: problem[x].astype(dtypes[x]) for x in dtypes.keys() & problem.keys()}


def with_complex(problem, names):
    """The problem with a complex A, and some more."""
    rng = np.random.default_rng(0)
    changed = {}
    for name in problem.keys() & {"A", *names}:
        x = problem[name]
        dtype = np.complex128 if x.dtype == np.float64 else np.complex64
        changed[name] = (x + 3j * rng.normal(size=x.shape)).astype(dtype)
    return problem | changed


def with_sequences(problem, count):
    """The problem with so many sequences packed along time."""
    b, d = problem["u"].shape[0], problem["A"].shape[0]
    l = problem["u"].size // (b * d)
    numbers = np.random.default_rng(0).integers(0, count, (b, l))
    return problem | {"seq_idx": np.sort(numbers, axis=1).astype(np.int32)}


def _forward(problem, mapping):
    results = in_every_order(lambda: scans.forward(**problem, mapping=mapping))
    scans.assert_right(problem, results)


def check_sequential():
    """One lane along time, rows that are not aligned, half a tile at the end."""
    problem = make_problem(b=2, d=6, g=2, n=3, l=37)
    _forward(with_dtypes(problem, dict.fromkeys(SEQUENCES, "bfloat16")), Mapping(1, 2, 1, 2))


def check_along_time():
    """Eight lanes along time, channels contiguous, from the end; warps that share states."""
    problem = make_problem(b=1, d=10, n=5, l=140, layout="bld", reverse=True)
    _forward(problem, Mapping(8, 4, 2, 4))


def check_single_channels():
    """Channels contiguous and no vectors of them, from either end; the last tile is not whole."""
    for reverse in (False, True):
        problem = make_problem(b=1, d=3, n=2, l=21, layout="bld", reverse=reverse)
        _forward(problem, Mapping(1, 1, 1, 2))


def check_whole_warps():
    """A warp along time, vectors, one state."""
    problem = make_problem(b=1, d=3, n=1, l=516)
    _forward(with_dtypes(problem, dict.fromkeys(SEQUENCES, "float16")), Mapping(32, 2, 1, 1))


def check_general():
    """Complex numbers in mixed dtypes, constant B, packed sequences."""
    problem = make_problem(b=1, d=3, n=4, l=70, form_b="constant")
    problem = with_sequences(with_complex(problem, ("C",)), 4)
    _forward(with_dtypes(problem, {"u": "float16"}), Mapping(8, 2, 2, 3))


def check_segments():
    """Segments of time, packed sequences, constant C, warps that share states, from the end."""
    problem = make_problem(b=2, d=5, n=3, l=85, form_c="constant", reverse=True)
    _forward(with_sequences(problem, 3), Mapping(1, 2, 2, 2, 5))


def check_segments_along_time():
    """Segments of time, lanes along it, two groups of complex numbers."""
    problem = with_complex(make_problem(b=1, d=6, g=2, n=3, l=260), ("B", "initial_state"))
    _forward(problem, Mapping(8, 2, 1, 2, 4))


def check_step():
    """A row in several lanes; the last block is not whole."""
    problem = make_problem(b=3, d=5, n=3, l=1)
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    step |= {x: v[..., 0] for x, v in step.items() if x in SEQUENCES}
    y, state = in_every_order(lambda: scans.step(state=problem["initial_state"].copy(), **step))
    scans.assert_right(problem, (y[..., None], state))


def _backward(problem, mapping):
    problem = with_gradients(problem)
    if np.iscomplexobj(problem["A"]):
        problem["dlast_state"] = problem["dlast_state"] * np.complex64(1 + 2j)
    results = in_every_order(lambda: scans.backward(**problem, mapping=mapping))
    scans.assert_gradients_right(problem, results)


def check_backward_walking():
    """Blocks that take one block of channels after another; rows that are not aligned."""
    problem = make_problem(b=1, d=42, n=3, l=37)
    _backward(
        with_dtypes(problem, dict.fromkeys(SEQUENCES, "bfloat16")), BackwardMapping(1, 2, 1, 2)
    )


def check_backward_in_segments():
    """Segments of time, channels contiguous, from the end; two groups."""
    problem = make_problem(b=1, d=36, g=2, n=2, l=70, layout="bld", reverse=True)
    _backward(problem, BackwardMapping(2, 1, 3, 2))


def check_backward_general():
    """Complex numbers in mixed dtypes, constant B, packed sequences, segments."""
    problem = make_problem(b=2, d=3, n=2, l=70, form_b="constant")
    problem = with_sequences(with_complex(problem, ("C",)), 4)
    _backward(with_dtypes(problem, {"u": "float16"}), BackwardMapping(1, 1, 2, 1))


ORDERED = {
    check.__name__: check
    for check in (
        check_sequential,
        check_along_time,
        check_single_channels,
        check_whole_warps,
        check_general,
        check_segments,
        check_segments_along_time,
        check_step,
        check_backward_walking,
        check_backward_in_segments,
        check_backward_general,
    )
}
