"""The number of threads does not change a bit of any result."""

import numba
import numpy as np
import pytest
from strategies import make_problem, with_gradients

import selscan

# b, d, g, n, l: with one task, few and many tasks for each thread.
SHAPES = ((1, 5, 1, 64, 600), (2, 37, 1, 9, 300), (1, 96, 2, 16, 270), (3, 50, 5, 17, 65))


@pytest.fixture
def threads():
    """set_num_threads, undone afterwards."""
    before = numba.get_num_threads()
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one CPU")
    yield numba.set_num_threads
    numba.set_num_threads(before)


def bits(problem):
    """The results of the forward and of the backward pass, and those of a step."""
    grads = selscan.scan_backward(**problem)
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    results = [*selscan.scan(**forward, return_last_state=True), *grads]
    return [x.tobytes() for x in results]


def step_bits(b, d, n):
    rng = np.random.default_rng(0)
    u, delta, state = rng.random((b, d)), rng.random((b, d)), rng.random((b, d, n))
    A, B, C = -rng.random((d, n)), rng.random((b, n)), rng.random((b, n))
    y, state = selscan.scan_step(state, u, delta, A, B, C)
    return [y.tobytes(), state.tobytes()]


def problem_of(shape):
    b, d, g, n, l = shape
    assert b * d * n * l > 2**16
    return with_gradients(make_problem(b=b, d=d, g=g, n=n, l=l))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scan_gives_the_same_bits_by_any_number_of_threads(threads, shape):
    problem = problem_of(shape)
    threads(1)
    alone = bits(problem)
    threads(2)
    assert bits(problem) == alone


def test_scan_step_gives_the_same_bits_by_any_number_of_threads(threads):
    threads(1)
    alone = step_bits(3, 1400, 17)
    threads(2)
    assert step_bits(3, 1400, 17) == alone
