"""Kernels for small maps along the cross path, each against float64 in every order of threads.

    PYTHONPATH=tests python -m emulator.crosses    # all instances: minutes of g++

The tests run a sample, and the sanitizers two of them.
"""

import time

from map_strategies import make_map_problem, with_dy

from selscan.arrays.numpy import NumPyArrays
from selscan.backends.cupy import instances, plan_cross
from selscan.ops import contract2d, scan2d
from selscan.paths import cross

from . import maps, scans
from .demos import in_every_order, once


def mapping_of(problem, backward, teams=None, turns=2):
    """A mapping for a map of any size, whether planning would pick it or not."""
    layouts = scans.layouts_of(
        NumPyArrays(), {x: problem[x] for x in scan2d.ARGUMENTS if x in problem}
    )
    call = contract2d.check("scan2d", layouts, problem["path"])
    shape, team = plan_cross.team_of(call, backward, fewest=0)
    return plan_cross.Mapping(shape, team, teams or max(1, 32 // team), turns)


def check(problem, teams=None, turns=2, run=once):
    """y and all gradients."""
    both = [mapping_of(problem, x, teams, turns) for x in (False, True)]
    [y] = run(lambda: (maps.forward(**problem, mapping=both[0]),))
    maps.assert_right(problem, y)
    problem = with_dy(problem)
    maps.assert_gradients_right(problem, run(lambda: maps.backward(**problem, mapping=both[1])))


def check_case(case, run=in_every_order):
    """(size, options, teams, turns)."""
    size, options, teams, turns = case
    check(make_map_problem(cross(*size), n=1, **options), teams, turns, run)


# Each is one kernel of either file: several teams in a warp and several warps in a team, steps that
# divide the sides or not, vectors and single elements, dy of another dtype.
SAMPLE = {
    "7, whole": ((7, 7), {"d": 9, "b": 2, "dtype": "float32"}, 4, 2),
    "7": ((5, 6), {"d": 5, "dtype": "bfloat16"}, 8, 1),
    "14, whole": ((14, 14), {"d": 3, "dtype": "float16"}, 2, 1),
    "28": ((9, 20), {"d": 3, "dtype": "float32", "delta_softplus": False}, 1, 2),
    "56": ((9, 30), {"d": 2, "dtype": "bfloat16"}, 1, 1),
    "56, whole": ((14, 56), {"d": 3, "dtype": "bfloat16", "out_dtype": "float32"}, 2, 1),
}


def check_small():
    """Several teams in a warp, one of them without a channel."""
    check_case(SAMPLE["7, whole"])


def check_large():
    """Several warps in a team."""
    check_case(SAMPLE["56, whole"])


SIZES = {  # of maps, by the sides of kernels and whether steps divide them
    (7, True): (7, 7),
    (7, False): (6, 5),
    (14, True): (14, 14),
    (14, False): (9, 13),
    (28, True): (28, 28),
    (28, False): (20, 27),
    (56, True): (56, 56),
    (56, False): (33, 40),
}


def main():
    """Check all instances, and say what they took."""
    for (side, whole), size in SIZES.items():
        for element in instances.ELEMENTS:
            name = instances.cross_name(instances.CROSS_FORWARD, element, side, whole)
            start = time.monotonic()
            check_case((size, {"d": 3, "dtype": element}, None, 1))
            print(f"{name} and backward: right, {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
