"""Sizes that no memory could hold, in arrays that take next to none: an error, never a crash."""

import contextlib
import itertools
import math
import re

import pytest
from calls import FRAMEWORKS, array
from numpy.lib.stride_tricks import as_strided

import selscan
from selscan.arrays.numpy import NumPyArrays
from selscan.arrays.torch import TorchArrays
from selscan.backends.cpu import run

HUGE, LIMIT = 2**30, 2**31
# b, d, l, n with one or two of them huge: an array of three has more bytes than 64 bits count.
SIZES = [x for x in itertools.product([0, 1, HUGE], repeat=4) if x.count(HUGE) in (1, 2) and x[3]]


def limited(allocate, size_of):
    """`allocate` that fails as it does where a system promises no more memory than it has."""

    def checked(asked):
        if size_of(asked) > LIMIT:
            raise MemoryError
        return allocate(asked)

    return checked


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    """Less than what huge results take."""
    for framework in (NumPyArrays, TorchArrays):
        allocate = limited(framework.allocate, lambda output: 4 * math.prod(output.layout.shape))
        monkeypatch.setattr(framework, "allocate", staticmethod(allocate))
    monkeypatch.setattr(run, "workspace", limited(run.workspace, int))


def ones(framework, *shape):
    """An array of one element, seen as many."""
    one = array(framework, ())
    return one.expand(shape) if framework == "torch" else as_strided(one, shape, (0,) * len(shape))


def expected(function, sizes, outputs):
    """The error that a call must end with, or a context of none."""
    steps = math.prod(sizes)
    if steps >= 2**50:
        message = f"{function}: b * d * l * n must be below 2**50; got {steps}."
        return pytest.raises(ValueError, match=f"^{re.escape(message)}$")
    if steps or any(4 * math.prod(x.shape) > LIMIT for x in outputs):
        return pytest.raises(MemoryError)
    return contextlib.nullcontext()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_huge_scan_is_refused_or_asks_for_memory(framework, sizes):
    b, d, l, n = sizes
    u, A, B = (ones(framework, *shape) for shape in [(b, d, l), (d, n), (b, n, l)])

    with expected("scan", sizes, [u]):
        assert selscan.scan(u, u, A, B, B).shape == (b, d, l)
    if sizes == (1, 1, HUGE, 1):
        return  # the forward runs before the backward, through a billion steps
    with expected("scan_backward", sizes, [u, A, B]):
        assert selscan.scan_backward(u, u, u, A, B, B).A.shape == (d, n)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sizes", [x for x in SIZES if x[2] == 1 and 0 in x], ids=str)
def test_an_empty_step_of_huge_sizes_is_empty(framework, sizes):
    b, d, _, n = sizes
    state = array(framework, (0,)).reshape(b, d, n)
    u, A, B = (ones(framework, *shape) for shape in [(b, d), (d, n), (b, n)])

    y, state = selscan.scan_step(state, u, u, A, B, B)

    assert (y.shape, state.shape) == ((b, d), (b, d, n))
