"""Blocks that begin anew, in order, for infinities: in every order of threads; see cases.py."""

import numpy as np
from infinities import assert_like
from map_strategies import make_map_problem, with_dy
from strategies import make_problem, with_gradients
from tolerances import expected, expected_gradients

import reference
from selscan.backends.cupy import plan2d
from selscan.backends.cupy.plan import Mapping
from selscan.backends.cupy.plan2d_backward import Mapping as MapsMapping
from selscan.backends.cupy.plan_backward import Mapping as BackwardMapping
from selscan.paths import cross, window

from . import crosses, maps, scans
from .demos import in_every_order
from .scan_cases import with_sequences


def packed(**options):
    """Sequences, of which one has an infinity that the next one must not see."""
    problem = with_sequences(make_problem(b=1, d=5, n=3, l=85, **options), 3)
    problem["u"][0, 1, 30], problem["B"][0, 0, 2, 60] = np.inf, np.nan
    return problem


def check_forward():
    """Segments and lanes along time, a restart, steps past the end, warps that share states."""
    problem, mapping = packed(reverse=True), Mapping(2, 2, 2, 2, 3)
    results = in_every_order(lambda: scans.forward(**problem, mapping=mapping))
    assert_like(results, *expected(problem), problem)


def check_backward():
    """Segments, two blocks of channels that one block walks, constant C."""
    problem = with_gradients(packed(form_c="constant"))
    problem["dy"][0, 4, 70] = -np.inf
    mapping = BackwardMapping(1, 2, 2, 2)
    want, bounds = expected_gradients(problem)
    results = in_every_order(lambda: scans.backward(**problem, mapping=mapping))
    assert_like(type(want)(*results), want, bounds, problem)


def _maps(problem, name, forward, backward, place):
    problem[name][place] = np.inf
    [y] = in_every_order(lambda: (maps.forward(**problem, mapping=forward),))
    bounds = reference.scan2d_error_bound(**problem)
    assert_like(y, reference.scan2d(**problem), bounds, problem)
    problem = with_dy(problem)
    results = in_every_order(lambda: maps.backward(**problem, mapping=backward))
    bounds = reference.scan2d_backward_error_bound(**problem)
    want = reference.scan2d_backward(**problem)
    assert_like(reference.Scan2dGrads(*results), want, bounds, problem)


def check_maps():
    """Padding, an infinite rate."""
    problem = make_map_problem(window(5, 7, size=2), d=5, n=2)
    _maps(problem, "A", plan2d.Mapping(8, 2, 2, plan2d.SCRATCH), MapsMapping(1, 1, 2), (1, 2, 0))


def check_small_maps():
    """Several teams in a warp, one of them without a channel; and several warps in a team."""
    for size, d in ((7, 7), 9), ((9, 20), 2):
        problem = make_map_problem(cross(*size), n=1, d=d)
        both = (crosses.mapping_of(problem, x) for x in (False, True))
        _maps(problem, "u", *both, (0, 1, 3, 4))


ORDERED = {
    check.__name__: check for check in (check_forward, check_backward, check_maps, check_small_maps)
}
