"""Kernels on the CPU in force, which test_other_cpus.py changes."""

import numpy as np
import pytest

import reference
import selscan
from reference.scan_error import scan_backward_error_bound, scan_error_bound

FLOAT32 = np.finfo(np.float32)
# (b, d, l, n, g): one past a vector, a chunk, four states; less than a vector; many groups.
SHAPES = [(1, 17, 67, 5, 1), (2, 6, 130, 1, 3), (1, 2, 3, 17, 2)]
OPTIONS = {"delta_softplus": True, "reverse": True}


def problem(b, d, l, n, g):
    """Every input, float32, and the two gradients that come in."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape, np.float32)

    inputs = {
        "u": normal(b, d, l),
        "delta": normal(b, d, l),
        "A": -np.exp(normal(d, n)),
        "B": normal(b, g, n, l),
        "C": normal(b, g, n, l),
        "D": normal(d),
        "z": normal(b, d, l),
        "delta_bias": normal(d),
        "initial_state": normal(b, d, n),
    }
    return inputs, {"dy": normal(b, d, l), "dlast_state": normal(b, d, n)}


def within(found, exact, bound):
    """Whether all errors are below a bound of reference/scan_error.py."""
    return np.all(np.abs(found - exact) <= FLOAT32.eps * bound + FLOAT32.smallest_normal)


@pytest.mark.parametrize("shape", SHAPES)
def test_scan_is_right_on_this_cpu(shape):
    inputs, _ = problem(*shape)
    keywords = inputs | OPTIONS | {"return_last_state": True}

    found = selscan.scan(**keywords)

    exact, bound = reference.scan(**keywords), scan_error_bound(**keywords)
    assert all(map(within, found, exact, bound))


@pytest.mark.parametrize("shape", SHAPES)
def test_scan_backward_is_right_on_this_cpu(shape):
    inputs, incoming = problem(*shape)
    keywords = inputs | incoming | OPTIONS

    found = selscan.scan_backward(**keywords)

    exact, bound = reference.scan_backward(**keywords), scan_backward_error_bound(**keywords)
    assert all(map(within, found, exact, bound))


@pytest.mark.parametrize("shape", SHAPES)
def test_scan_step_is_right_on_this_cpu(shape):
    inputs, _ = problem(*shape)
    state = inputs.pop("initial_state")
    inputs |= {name: inputs[name][..., 0].copy() for name in ("u", "delta", "B", "C", "z")}
    exact = reference.scan_step(state.copy(), **inputs, delta_softplus=True)
    timed = {
        n: x[..., None] if n in ("u", "delta", "B", "C", "z") else x for n, x in inputs.items()
    }
    bound = scan_error_bound(
        **timed, initial_state=state.copy(), delta_softplus=True, return_last_state=True
    )

    found = selscan.scan_step(state, **inputs, delta_softplus=True)

    assert within(found[0], exact[0], bound[0][..., 0])
    assert within(found[1], exact[1], bound[1])
