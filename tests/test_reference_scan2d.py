"""The reference for maps: against a step-by-step loop, finite differences and symmetries."""

import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from path_strategies import paths
from test_reference import assert_close, wave

from reference import Scan2dGrads, gather, scan, scan2d, scan2d_backward
from selscan.paths import Path, bidirectional, cross, unidirectional

ARRAYS = Scan2dGrads._fields


@st.composite
def problems(draw, *, over=None, needed=(), is_complex=(False, True), **fixed):
    """The arguments of scan2d by name, over a random path, in random forms and scales."""
    path = draw(paths() if over is None else over)
    b, d, n = (draw(st.integers(1, 2)) for _ in "bdn")
    k, l = (1, path.routes * path.length) if path.joined else path.table.shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    is_complex = draw(st.sampled_from(is_complex))
    chosen = {
        name: fixed.get(name, draw(st.booleans()))
        for name in ("per_route", "delta_in_order", "B_in_order", "C_in_order", "merge")
    }

    def numbers(*shape, imaginary=False):
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0)

    def form(name, channels, imaginary=False):
        last = (l,) if chosen[f"{name}_in_order"] else path.size
        return numbers(b, k, channels, *last, imaginary=imaginary)

    softplus = draw(st.booleans())
    delta = form("delta", d)
    problem = {
        "u": numbers(b, *[path.routes] * chosen["per_route"], d, *path.size),
        "delta": delta if softplus else abs(delta),
        "A": -rng.random((k, d, n)) + (1j * numbers(k, d, n) if is_complex else 0),
        "B": form("B", n, is_complex),
        "C": form("C", n, is_complex),
        "D": numbers(k, d),
        "delta_bias": rng.random((k, d)),
        "path": path,
        "delta_softplus": softplus,
        "merge": chosen["merge"],
    }
    absent = draw(st.sets(st.sampled_from(["D", "delta_bias"]))) - set(needed)
    return {name: value for name, value in problem.items() if name not in absent}


def step_by_step(u, delta, A, B, C, D=None, *, path, delta_bias=None, delta_softplus, merge):
    """scan2d by looking up one pixel after the other."""
    b, d, k = len(u), A.shape[1], path.routes
    u = np.repeat(u[:, None], k, axis=1) if u.ndim == 2 + len(path.size) else u
    D, delta_bias = (np.zeros((k, d)) if x is None else x for x in (D, delta_bias))
    y = np.zeros((b, k, d, *path.size))
    h = 0
    for i, r in np.ndindex(b, k):
        p = 0 if path.joined else r  # the parameters of this route
        h = 0 if r == p else h
        for t, pixel in enumerate(path.table[r].tolist()):
            place = np.unravel_index(pixel, path.size) if pixel >= 0 else None
            at = r * path.joined * path.length + t, place
            u_t, delta_t = look_up(u[i, r], *at), look_up(delta[i, p], *at) + delta_bias[p]
            delta_t = np.logaddexp(0, delta_t) if delta_softplus else delta_t
            decay = np.exp(delta_t[:, None] * A[p])
            h = decay * h + (delta_t * u_t)[:, None] * look_up(B[i, p], *at)
            y_t = np.sum(look_up(C[i, p], *at) * h, axis=-1)
            if pixel >= 0:
                y[i, r, :, *place] = (1 + np.iscomplexobj(A)) * y_t.real + D[p] * u_t
    return y.sum(axis=1) if merge else y


def look_up(x, t, place):
    """The channels of a map at a pixel, or of a sequence at step t; without a place: padding."""
    if place is None:
        return np.zeros(len(x))
    return x[:, t] if x.ndim == 2 else x[:, *place]


def padding_of(path):
    """Where sequences in the order of the routes are padding."""
    return path.table.reshape(1 if path.joined else path.routes, 1, -1) < 0


def central_difference(problem, dy, name, direction):
    """The slope of <dy, scan2d> along a direction in one of the arrays."""
    ahead, behind = (
        np.vdot(dy, scan2d(**problem | {name: problem[name] + step * direction}))
        for step in (1e-5, -1e-5)
    )
    return (ahead - behind) / 2e-5


@given(problems())
def test_scan2d_is_the_recurrence_along_each_route(problem):
    assert_close(scan2d(**problem), step_by_step(**problem))


@pytest.mark.parametrize("name", ARRAYS)
@given(data=st.data())
def test_scan2d_backward_matches_central_differences(name, data):
    problem = data.draw(problems(needed={name}))
    dy, direction = wave(scan2d(**problem)), wave(problem[name])

    grads = scan2d_backward(dy, **problem)

    grad = getattr(grads, name)
    assert (grad.shape, grad.dtype) == (problem[name].shape, problem[name].dtype)
    slope = central_difference(problem, dy, name, direction)
    assert_allclose(np.vdot(grad, direction).real, slope, rtol=1e-5, atol=1e-5)
    assert [name for name in ARRAYS if getattr(grads, name) is None] == [
        name for name in ARRAYS if name not in problem
    ]


@given(problems())
def test_what_sequences_hold_at_padding_is_not_read(problem):
    in_order = [name for name in ("delta", "B", "C") if problem[name].ndim == 4]
    padding = padding_of(problem["path"])
    spoilt = {name: np.where(padding, np.nan, problem[name]) for name in in_order}

    y, spoilt_y = scan2d(**problem), scan2d(**problem | spoilt)
    grads = scan2d_backward(wave(y), **problem | spoilt)

    assert_array_equal(spoilt_y, y)
    assert not any(np.isnan(grad).any() for grad in grads if grad is not None)
    for name in in_order:
        assert not np.any(getattr(grads, name)[np.broadcast_to(padding, spoilt[name].shape)])


@given(problems(delta_in_order=False, B_in_order=False, C_in_order=False))
def test_maps_and_sequences_give_the_same(problem):
    path = problem["path"]

    def sequence(x):
        if not path.joined:
            return gather(x, path)
        b, _, d, *_ = x.shape
        return np.moveaxis(gather(x[:, 0], path), 1, 2).reshape(b, 1, d, -1)

    in_order = {name: sequence(problem[name]) for name in ("delta", "B", "C")}

    assert_array_equal(scan2d(**problem | in_order), scan2d(**problem))


@given(problems())
def test_merge_adds_the_routes(problem):
    parts = scan2d(**problem | {"merge": False})

    assert_close(scan2d(**problem | {"merge": True}), parts.sum(axis=1))


@given(problems(per_route=False))
def test_routes_share_a_map_as_if_each_had_it(problem):
    path, u = problem["path"], problem["u"]
    copies = np.repeat(u[:, None], path.routes, axis=1)
    dy = wave(scan2d(**problem))

    assert_array_equal(scan2d(**problem | {"u": copies}), scan2d(**problem))
    du = scan2d_backward(dy, **problem | {"u": copies}).u
    assert_close(scan2d_backward(dy, **problem).u, du.sum(axis=1).reshape(u.shape))


@given(problems(over=paths().filter(lambda path: not path.joined)))
def test_routes_do_not_meet_unless_they_are_joined(problem):
    path = problem["path"]
    parts = scan2d(**problem | {"merge": False})

    for r in range(path.routes):
        alone = Path(path.table[[r]], path.height, path.width, depth=path.depth)
        mine = {x: problem[x][[r]] for x in ("A", "D", "delta_bias") if x in problem}
        mine |= {x: problem[x][:, [r]] for x in ("delta", "B", "C")}
        u, shared = problem["u"], problem["u"].ndim == 2 + len(path.size)
        mine |= {"u": u if shared else u[:, [r]]}
        assert_close(scan2d(**problem | mine | {"path": alone, "merge": False}), parts[:, [r]])


@given(problems(over=st.just(unidirectional(3, 2)), per_route=False, merge=True))
def test_scan2d_of_rows_is_the_scan_of_the_flattened_map(problem):
    flat = {x: problem[x].reshape(len(problem["u"]), -1, 6) for x in ("u", "delta", "B", "C")}
    flat |= {x: problem[x][0] for x in ("A", "D", "delta_bias") if x in problem}

    y = scan(**flat, delta_softplus=problem["delta_softplus"])

    assert_close(scan2d(**problem), y.reshape(problem["u"].shape))


def test_padding_lets_the_state_decay_and_nothing_else():
    # Pixel 0, two steps of padding, pixel 1; with bias ln 3 softplus gives ln 4 at each step.
    path = Path(np.array([[0, -1, -1, 1]]), 1, 2)
    one, ln4 = np.ones((1, 1, 1, 1, 2)), np.log(4)
    y = scan2d(
        one[:, 0],
        0 * one,
        -np.ones((1, 1, 1)),
        one,
        one,
        path=path,
        delta_bias=[[np.log(3)]],
        delta_softplus=True,
    )

    assert_allclose(y, [[[[ln4, ln4 / 64 + ln4]]]], rtol=1e-14)


def test_joined_routes_hand_the_state_on():
    path = Path.of(1, 3, "h", "h_flip", joined=True)
    one = np.ones((1, 1, 1, 1, 3))

    # A = 0 and ones elsewhere: y counts the steps, on both routes 1 to 6.
    y = scan2d(one[:, 0], one, np.zeros((1, 1, 1)), one, one, path=path, merge=False)

    assert_array_equal(y, [[[[[1, 2, 3]]], [[[6, 5, 4]]]]])


def test_a_pixel_that_no_route_visits_gets_zero():
    path = Path(np.array([[2, 0]]), 1, 3)
    one = np.ones((1, 1, 1, 1, 3))
    arguments = one[:, 0], one, np.zeros((1, 1, 1)), one, one, np.ones((1, 1))

    y = scan2d(*arguments, path=path)
    grads = scan2d_backward(np.ones_like(y), *arguments, path=path)

    assert_array_equal(y, [[[[3, 0, 2]]]])
    assert_array_equal(grads.u, [[[[2, 0, 3]]]])
    assert_array_equal(grads.delta[0, 0], [[[1, 0, 2]]])


@pytest.mark.parametrize("make", [bidirectional, cross])
@pytest.mark.parametrize("merge", [False, True])
def test_scan2d_of_no_batch_is_empty(make, merge):
    path = make(2, 3)
    k, none = path.routes, np.zeros((0, path.routes, 1, 2, 3))
    arguments = none[:, 0], none, np.ones((k, 1, 1)), none, none

    y = scan2d(*arguments, path=path, merge=merge)
    grads = scan2d_backward(y, *arguments, path=path, merge=merge)

    assert y.shape == ((0, 1, 2, 3) if merge else (0, k, 1, 2, 3))
    assert grads.delta.shape == none.shape
    assert not grads.A.any()


@pytest.mark.parametrize("name", ["reference.paths", "reference.scan2d"])
def test_the_examples_in_the_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))

    assert result.failed == 0
    assert result.attempted > 0
