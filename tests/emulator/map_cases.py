"""Small, odd maps for the sanitizers and for every order of threads; see cases.py."""

from map_strategies import LAST, MAPS, make_map_problem, with_dy
from moving import assert_same, maps, sequences

import reference
from selscan.backends.cupy import plan2d, plan_moves
from selscan.backends.cupy.plan2d_backward import Mapping as BackwardMapping
from selscan.paths import Path, cross, window

from . import maps as scans
from . import moves
from .demos import in_every_order


def check_gather():
    """Several chunks, the last one not whole; one map for all routes."""
    path = cross(7, 9)
    x, mapping = maps(path, "float16", b=1, d=3), plan_moves.Mapping(20, 2, 0, 20)
    assert_same(
        in_every_order(lambda: (moves.gather(x, path, mapping=mapping),))[0],
        reference.gather(x, path),
    )


def check_scatter():
    """Routes that are added up, padding, channels beside one another."""
    path = window(5, 7, size=3)
    y, mapping = sequences(path, "bfloat16", b=1, d=5), plan_moves.Mapping(20, 4, 2, 22)
    assert_same(
        in_every_order(lambda: (moves.scatter(y, path, True, mapping=mapping),))[0],
        reference.scatter(y, path),
    )


def _scan(problem, mapping):
    [y] = in_every_order(lambda: (scans.forward(**problem, mapping=mapping),))
    scans.assert_right(problem, y)


def check_cross():
    """Sums in scratch, several tiles, more states than are staged."""
    problem = make_map_problem(cross(13, 11), d=11, dtype="bfloat16", n=3)
    _scan(problem, plan2d.Mapping(8, 2, 2, plan2d.SCRATCH))


def check_windows():
    """Padding, maps whose channels are beside one another, sums on the chip."""
    problem = make_map_problem(window(5, 7, size=2), d=5, dtype="float16", forms=(LAST,) * 4)
    _scan(problem, plan2d.Mapping(1, 1, 16, plan2d.RESIDENT))


def check_joined():
    """Complex numbers, a pixel that nobody visits, routes that follow one another."""
    path = Path.of(3, 5, "w2", "v", joined=True)
    _scan(make_map_problem(path, d=3, dtype="complex64"), plan2d.Mapping(8, 2, 16, plan2d.SCRATCH))


def _backward(problem, mapping):
    problem = with_dy(problem)
    gradients = in_every_order(lambda: scans.backward(**problem, mapping=mapping))
    scans.assert_gradients_right(problem, gradients)


def check_cross_backward():
    """Blocks that walk and parts of dB and dC; several chunks."""
    problem = make_map_problem(cross(9, 5), d=42, dtype="bfloat16", n=2)
    _backward(problem, BackwardMapping(1, 2, 2))


def check_windows_backward():
    """Padding, two warps, dB and dC without parts, in the order of routes."""
    forms = (LAST, MAPS, "in order", "in order")
    problem = make_map_problem(window(5, 7, size=2), d=20, dtype="float16", forms=forms)
    _backward(problem, BackwardMapping(2, 1, 1))


def check_joined_backward():
    """Complex numbers, maps that routes share."""
    path = Path.of(3, 5, "w2", "v", joined=True)
    _backward(make_map_problem(path, d=3, dtype="complex64"), BackwardMapping(2, 1, 2))


ORDERED = {
    check.__name__: check
    for check in (
        check_gather,
        check_scatter,
        check_cross,
        check_windows,
        check_joined,
        check_cross_backward,
        check_windows_backward,
        check_joined_backward,
    )
}
