"""`scan2d` and its gradient against the reference, element by element."""

import numpy as np
import pytest
from hypothesis import given
from map_strategies import FORMS, LAST, MAPS, PATHS, make_map_problem, map_problems, with_dy
from numpy.testing import assert_array_equal
from strategies import DTYPES, REAL
from tolerances import arithmetic, assert_within, result_dtype

import reference
import selscan
from selscan.paths import Path, cross

over_all_paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))


def assert_matches_reference(backend, problem):
    """y and all gradients."""
    forward = {x: v for x, v in problem.items() if x != "out_dtype"}
    y = backend.scan2d(**problem)
    assert y.dtype == result_dtype(problem)
    bound = reference.scan2d_error_bound(**forward)
    assert_within(y, reference.scan2d(**forward), bound, arithmetic(problem))
    problem = with_dy(problem)
    grads = reference.Scan2dGrads(*backend.scan2d_backward(**problem))
    for name, grad in grads._asdict().items():
        assert grad is None or grad.dtype == problem[name].dtype
    bounds = reference.scan2d_backward_error_bound(**problem)
    assert_within(grads, reference.scan2d_backward(**problem), bounds, arithmetic(problem))


@over_all_paths
@pytest.mark.parametrize("merge", [True, False])
def test_every_path_matches_the_reference(backend, path, merge):
    assert_matches_reference(backend, make_map_problem(path, merge=merge, d=5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("out_dtype", [None, *REAL])
def test_every_dtype_matches_the_reference(backend, dtype, out_dtype):
    problem = make_map_problem(cross(4, 5), dtype=dtype, out_dtype=out_dtype)
    assert_matches_reference(backend, problem)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("per_route", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_every_form_matches_the_reference(backend, form, per_route, joined):
    path = Path.of(5, 7, "w2", "v", "h_flip", joined=joined)
    problem = make_map_problem(path, forms=(form,) * 4, per_route=per_route, b=2)
    assert_matches_reference(backend, problem)


@given(problem=map_problems())
def test_any_problem_matches_the_reference(backend, problem):
    assert_matches_reference(backend, problem)


def test_a_large_map_matches_the_reference(backend):
    """Several chunks in a panel, several panels in a route."""
    path = cross(65, 70)
    problem = make_map_problem(path, d=2, n=1, step=0.1)
    got = backend.scan2d(**problem)
    assert_within(
        got,
        reference.scan2d(**problem),
        reference.scan2d_error_bound(**problem),
        arithmetic(problem),
    )


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("merge", [True, False])
def test_empty_arrays_give_empty_results_and_zeros(backend, shape, merge):
    b, d = shape
    problem = with_dy(make_map_problem(cross(3, 4), b=b, d=d, merge=merge))
    forward = {x: v for x, v in problem.items() if x != "dy"}

    assert backend.scan2d(**forward).shape == problem["dy"].shape
    for name, grad in zip(
        reference.Scan2dGrads._fields, backend.scan2d_backward(**problem), strict=True
    ):
        assert_array_equal(grad, np.zeros_like(problem[name]))


@pytest.mark.parametrize("merge", [True, False])
def test_the_order_of_memory_is_that_of_u(backend, merge):
    problem = make_map_problem(cross(4, 5), d=6, merge=merge, forms=(LAST, MAPS, MAPS, MAPS))

    y = backend.scan2d(**problem)

    assert np.moveaxis(y, -3, -1).flags.c_contiguous


def test_a_pixel_that_no_route_visits_is_zero_and_so_is_its_gradient(backend):
    problem = make_map_problem(PATHS["partial"])
    lost = (PATHS["partial"].inverse < 0).all(axis=0).reshape(3, 4)

    y, du = backend.scan2d(**problem), backend.scan2d_backward(**with_dy(problem))[0]

    assert lost.any()
    assert (y[..., lost] == 0).all()
    assert (du[..., lost] == 0).all()


def test_what_stands_at_padding_is_not_read(backend):
    path = Path.of(3, 3, "w2", "w2_flip")
    problem = make_map_problem(path, forms=(MAPS, *["in order"] * 3))
    want = backend.scan2d(**problem)
    padding = (path.table < 0)[None, :, None]
    broken = {x: np.where(padding, np.float32(np.nan), problem[x]) for x in ("delta", "B", "C")}

    assert_array_equal(backend.scan2d(**problem | broken), want)
    grads = backend.scan2d_backward(**with_dy(problem | broken))
    for grad, right in zip(grads, backend.scan2d_backward(**with_dy(problem)), strict=True):
        assert_array_equal(grad, right)


def test_the_state_decays_at_padding(backend):
    """One pixel, then padding, then another."""
    path, one = Path(np.array([[0, -1, -1, 1]]), 1, 2), np.ones((1, 1, 1, 1, 2), np.float32)
    A, bias = np.full((1, 1, 1), -1, np.float32), np.full((1, 1), 0.5, np.float32)

    y = backend.scan2d(u=one[:, 0], delta=0 * one, A=A, B=one, C=one, delta_bias=bias, path=path)

    np.testing.assert_allclose(y.ravel(), [0.5, 0.5 * np.exp(-1.5) + 0.5], rtol=1e-6)


@pytest.mark.parametrize("path", [cross(17, 19), Path.of(17, 19, "w3", "v", "h", joined=True)])
def test_the_number_of_threads_does_not_change_a_bit(scan_threads, path):
    from harness import Backend

    backend, problem = Backend("cpu", "numpy"), make_map_problem(path, d=70, n=5, b=2)

    def bits(count):
        scan_threads(count)
        found = backend.scan2d(**problem), *backend.scan2d_backward(**with_dy(problem))
        return [x.tobytes() for x in found]

    assert bits(1) == bits(2) == bits(4)


def test_the_routes_add_up(backend):
    problem = make_map_problem(cross(4, 5), dtype="float64")

    merged = backend.scan2d(**problem)
    each = backend.scan2d(**problem | {"merge": False})

    np.testing.assert_allclose(each.sum(axis=1), merged, rtol=1e-12, atol=1e-12)


def test_scan2d_is_gather_scan_and_scatter(backend):
    path, d = cross(5, 7), 3
    problem = make_map_problem(path, d=d)
    k, l = path.table.shape
    rows = {x: reference.gather(problem[x], path) for x in ("u", "delta", "B", "C")}
    rows |= {x: rows[x].reshape(-1, k * d, l) for x in ("u", "delta")}
    rows |= {x: problem[x].reshape(k * d, *problem[x].shape[2:]) for x in ("A", "D", "delta_bias")}
    y, _ = backend.scan(**rows, delta_softplus=True)

    want = reference.scatter(y.reshape(-1, k, d, l), path)

    np.testing.assert_allclose(backend.scan2d(**problem), want, rtol=1e-5, atol=1e-5)


def test_a_float16_result_is_rounded_once():
    """Sums over routes of 2048 + 1 + 1 and so on would stay at 2048 in float16."""
    path = Path(np.zeros((4, 1), int), 1, 1)
    one = np.ones((1, 1, 1, 1), np.float16)
    u = np.array([2048, 1, 1, 1], np.float16).reshape(1, 4, 1, 1, 1)
    zero = np.zeros((1, 4, 1, 1, 1), np.float16)
    A, D = np.zeros((4, 1, 1), np.float32), np.ones((4, 1), np.float32)

    y = selscan.scan2d(u, zero, A, zero, zero, D, path=path)

    assert y == 2052 * one  # 2051 to even
