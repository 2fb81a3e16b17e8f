"""Orders per sample of CUDA kernels, in the emulator, against the reference."""

from map_strategies import LAST, make_map_problem, with_dy
from moving import assert_same, numbers
from path_strategies import orders
from tolerances import arithmetic, assert_within

import reference
from reference import sample_by_sample
from selscan.backends.cupy import plan2d, plan_moves
from selscan.backends.cupy.plan2d_backward import Mapping as BackwardMapping
from selscan.paths import Path
from selscan.paths.per_sample import Orders

from . import maps, moves
from .demos import in_every_order, once


def check_moves(table, size, dtype="float16", d=3, mapping=None, run=once):
    """A map gathered, and sequences scattered with routes added up and apart."""
    b, k, l = table.shape
    path, x, y = Orders(k, l, size), numbers((b, d, *size), dtype), numbers((b, k, d, l), dtype)
    [found] = run(lambda: (moves.gather(x, path, mapping=mapping, order=table),))
    assert_same(found, sample_by_sample(reference.gather, table, size, x=x))
    for merge in (True, False):
        [found] = run(
            lambda merge=merge: (moves.scatter(y, path, merge, mapping=mapping, order=table),)
        )
        assert_same(found, sample_by_sample(reference.scatter, table, size, y=y, merge=merge))


def check_scan(table, size, forward=None, backward=None, run=once, **made):
    """y and all gradients."""
    *depth, height, width = size
    like = Path(table[0], height, width, False, *depth)  # has the sizes
    problem = make_map_problem(like, b=len(table), **made)
    gradient = with_dy(problem)
    path = {"path": Orders(*table.shape[1:], size), "order": table}

    [y] = run(lambda: (maps.forward(**problem | path, mapping=forward),))
    gradients = run(lambda: maps.backward(**gradient | path, forward=forward, mapping=backward))

    del problem["path"], gradient["path"]
    assert_within(
        y,
        sample_by_sample(reference.scan2d, table, size, **problem),
        sample_by_sample(reference.scan2d_error_bound, table, size, **problem),
        arithmetic(problem),
    )
    assert_within(
        reference.Scan2dGrads(*gradients),
        sample_by_sample(reference.scan2d_backward, table, size, **gradient),
        sample_by_sample(reference.scan2d_backward_error_bound, table, size, **gradient),
        arithmetic(problem),
    )


def check_moved():
    """Several chunks, the last one not whole, padding, and pixels that a route leaves out."""
    table = orders((5, 7), l=33, dtype="int32")
    check_moves(table, (5, 7), mapping=plan_moves.Mapping(20, 2, 0, 20), run=in_every_order)


def check_scanned():
    """Channels beside one another, sums on the chip, several chunks of steps."""
    table = orders((5, 7), l=36, dtype="int32")
    mappings = plan2d.Mapping(1, 1, 16, plan2d.RESIDENT), BackwardMapping(2, 1, 1)
    forms = (LAST,) * 4
    check_scan(table, (5, 7), *mappings, in_every_order, d=5, dtype="float16", forms=forms)
