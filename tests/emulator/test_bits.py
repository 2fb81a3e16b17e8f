"""The lines of docs/bits.md that hold on CUDA whatever the sizes; the others are left out there."""

import numpy as np
import pytest
from harness import to_numpy
from strategies import make_problem, over_time, with_gradients

import selscan

from . import scan_cases
from .test_calls import devices, tensors_of  # noqa: F401 a fixture

CASES = {
    "float32": make_problem(b=2, d=12, g=2, n=5, l=70),
    "few": make_problem(b=1, d=2, n=1, l=300, form_b="shared", form_c="shared"),
    "packed": scan_cases.with_sequences(make_problem(b=2, d=4, n=2, l=40), 3),
}
case = pytest.mark.parametrize("case", CASES)


def run(problem):
    """y, the last state and all gradients."""
    given = tensors_of(problem)
    forward = {x: v for x, v in given.items() if x not in ("dy", "dlast_state")}
    y, last = selscan.scan(**forward, return_last_state=True)
    found = {"y": y, "last_state": last} | selscan.scan_backward(**given)._asdict()
    return {x: to_numpy(v) for x, v in found.items() if v is not None}


@case
def test_run_to_run(devices, case):  # noqa: F811
    problem = with_gradients(CASES[case])

    first, second = run(problem), run(problem)

    assert [x.tobytes() for x in first.values()] == [x.tobytes() for x in second.values()]


@case
def test_reverse_or_flipped(devices, case):  # noqa: F811
    problem = with_gradients(CASES[case])
    flipped = over_time(problem, lambda x: x[..., ::-1].copy()) | {"reverse": True}

    found, want = run(flipped), run(problem)

    turned = {"y", "u", "delta", "z"} | {x for x in "BC" if problem[x].ndim > 2}
    for name, value in want.items():
        got = np.ascontiguousarray(found[name][..., ::-1] if name in turned else found[name])
        assert got.tobytes() == np.ascontiguousarray(value).tobytes(), name
