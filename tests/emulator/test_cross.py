"""The kernels for small maps along the cross path, in the emulator, against the reference.

The kernels of tables are the other way to compute the same: test_maps.py has those.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_strategies import LAST, MAPS, make_map_problem, with_dy

from selscan.backends.cupy.instances import CROSS_BACKWARD, CROSS_FORWARD
from selscan.paths import cross

from . import crosses, maps
from .demos import in_every_order


@pytest.mark.parametrize("case", crosses.SAMPLE)
def test_a_kernel_matches_the_reference_in_every_order_of_threads(case):
    crosses.check_case(crosses.SAMPLE[case], in_every_order)


@settings(max_examples=15)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    options=st.fixed_dictionaries(
        {
            "b": st.integers(1, 2),
            "d": st.sampled_from((1, 5, 17)),
            "dtype": st.sampled_from(("float32", "bfloat16")),
            "given": st.sets(st.sampled_from(("D", "delta_bias"))),
            "delta_softplus": st.booleans(),
            "out_dtype": st.sampled_from((None, "float32")),
            "step": st.sampled_from((0.1, 1, 5)),
            "seed": st.integers(0, 2**32 - 1),
        }
    ),
    turns=st.integers(1, 3),
)
def test_any_small_map_matches_the_reference(size, options, turns):
    crosses.check(make_map_problem(cross(*size), n=1, **options), turns=turns)


def launched(monkeypatch, run):
    """Files of the kernels that `run` launches."""
    files, launch = [], maps.Emulated.launch

    def noted(plan, addresses, runs_on=None):
        files.extend(one.file for one in (plan if isinstance(plan, list) else [plan]))
        launch(plan, addresses, runs_on)

    monkeypatch.setattr(maps.Emulated, "launch", staticmethod(noted))
    run()
    return [x for x in files if x != "sum_parts.cu"]


TABLES = ["scan2d_forward.cu", "scan2d_forward.cu", "scan2d_backward.cu"]


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({}, [CROSS_FORWARD, CROSS_BACKWARD]),
        ({"forms": (LAST, MAPS, MAPS, MAPS)}, TABLES),
        ({"merge": False}, TABLES),
        ({"out_dtype": "float64"}, [TABLES[0], CROSS_BACKWARD]),
    ],
    ids=str,
)
def test_planning_takes_these_kernels_where_they_serve(monkeypatch, options, files):
    """A gradient of what they do not read begins with the states, which no forward has kept."""
    problem = make_map_problem(cross(7, 7), n=1, d=3, **options)
    if "out_dtype" in options:
        options = {x: v for x, v in options.items() if x != "out_dtype"}

    def run():
        maps.assert_right(problem, maps.forward(**problem))
        upstream = with_dy({x: v for x, v in problem.items() if x != "out_dtype"})
        maps.assert_gradients_right(upstream, maps.backward(**upstream))

    assert launched(monkeypatch, run) == files


def small(**options):
    return make_map_problem(cross(7, 7), n=1, d=6, **options)


def test_a_nan_stays_in_its_channel():
    problem = with_dy(small())
    problem["u"][0, 3, 2, 2] = np.nan
    for one in (maps.forward(**_forward(problem)), *maps.backward(**problem)[:2]):
        assert np.isfinite(one[..., [0, 1, 2, 4, 5], :, :]).all()


def _forward(problem):
    return {x: v for x, v in problem.items() if x != "dy"}


def test_what_is_not_given_has_no_part_in_the_arithmetic():
    """No product of a D that is not there with an infinite u or dy, and an infinite A forgets."""
    problem = with_dy(small(given=()))
    problem["delta"] = abs(problem["delta"]) + np.float32(0.1)
    problem["A"][:, 1] = -np.inf
    problem["B"][:], problem["dy"][0, 2, 3, 3] = 1, np.inf
    problem["C"][:, :, :, 3, 3] = 0

    y, gradients = maps.forward(**_forward(problem)), maps.backward(**problem)

    assert np.isfinite(y).all()
    assert np.isfinite(gradients[0][:, [0, 1, 3, 4, 5]]).all()
