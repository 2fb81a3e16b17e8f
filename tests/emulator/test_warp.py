"""The functions of a warp and the votes of a block, against NumPy."""

import numpy as np
import pytest

from . import ORDERS, Module, faults, order, pointers
from .demos import KERNELS

LANES = np.arange(32)


@pytest.fixture(scope="module")
def kernel():
    """A kernel of warp_functions.cu by name."""
    names = ["shuffles", "votes", "types", "halves", "block_votes"]
    code = (KERNELS / "warp_functions.cu").read_text(encoding="utf-8")
    return Module(code, names, file="warp_functions.cu").get_function


@pytest.fixture(params=ORDERS, autouse=True)
def every_order(request):
    """All tests run in every order of threads."""
    with order(request.param, 3):
        yield


def shuffle_sources(by, width):
    """The lane that each lane reads, by CUDA's description of the four functions."""
    first = LANES // width * width
    by &= 31
    up, down, xor = LANES - by, LANES + by, LANES ^ by
    return (
        first + by % width,
        np.where(up < first, LANES, up),
        np.where(down >= first + width, LANES, down),
        np.where(xor >= first + width, LANES, xor),
    )


@pytest.mark.parametrize("width", [1, 2, 8, 16, 32])
@pytest.mark.parametrize("by", [0, 1, 3, 8, 17, 31, 32, 35])
def test_shuffles_read_the_right_lane(kernel, by, width):
    x = np.random.default_rng(by).integers(-1000, 1000, 32).astype(np.int32)
    out = np.zeros((4, 32), np.int64)

    kernel("shuffles")((1,), (32,), (*pointers(x), np.int32(by), np.int32(width), *pointers(out)))

    for found, source in zip(out, shuffle_sources(by, width), strict=True):
        assert np.array_equal(found, x[source])


@pytest.mark.parametrize("mask", [0xFFFFFFFF, 0x0000FFFF, 0x80000001, 0x00000010, 0x5A5A5A5A])
@pytest.mark.parametrize("low", [-3, 1, 5])
def test_votes_and_reductions_take_the_lanes_of_the_mask(kernel, mask, low):
    x = np.random.default_rng(mask).integers(low, 6, 32).astype(np.int32)
    inside = (mask >> LANES & 1).astype(bool)
    out = np.full((14, 32), -99, np.int64)

    kernel("votes")((1,), (32,), (*pointers(x), np.uint32(mask), *pointers(out)))

    given, unsigned = x[inside].astype(np.int64), x[inside].view(np.uint32)
    bits = np.where(inside, 1 << LANES, 0)
    same = (given == given[0]).all()
    expected = [
        bits[x > 0].sum(),
        (given > 0).all(),
        (given > 0).any(),
        np.array([bits[x == value].sum() for value in x])[inside],
        mask if same else 0,
        same,
        given.sum(),
        given.min(),
        given.max(),
        unsigned.min(),
        unsigned.max(),
        *(function.reduce(unsigned) for function in (np.bitwise_and, np.bitwise_or)),
        np.bitwise_xor.reduce(unsigned),
    ]
    for i, (found, wanted) in enumerate(zip(out, expected, strict=True)):
        assert np.array_equal(found[inside], np.broadcast_to(wanted, given.shape)), i
        assert (found[~inside] == -99).all()


def test_numbers_of_every_type_can_be_shuffled(kernel):
    out = np.zeros((32, 10))

    kernel("types")((1,), (32,), pointers(out))

    expected = [-37, 4000000003, 3 - 2.0**40, 3 * 2.0**58, 3.5, 3.1, 3.25, 3.25, 3, 3]
    assert np.array_equal(out, np.tile(expected, (32, 1)))


def test_parts_of_a_warp_may_go_their_own_ways(kernel):
    x = np.arange(32, dtype=np.int32)
    out = np.zeros((4, 32), np.int64)

    kernel("halves")((1,), (32,), pointers(x, out))

    half = np.where(LANES < 16, 0xFFFF, 0xFFFF0000)
    sums = np.where(LANES < 16, x[:16].sum(), x[16:].sum())
    assert np.array_equal(out, [half, sums, np.full(32, 0xFFFFFFFF), x ^ 16])


@pytest.mark.parametrize("low", [-3, 1, -9])
def test_votes_of_a_block_count_every_thread(kernel, low):
    x = np.random.default_rng(0).integers(low, low + 6, 70).astype(np.int32)
    out = np.zeros((70, 4), np.int32)

    kernel("block_votes")((1,), (70,), pointers(x, out))

    votes = [(x > 0).sum(), (x > 0).all(), (x > 0).any()]
    assert np.array_equal(out[:, :3], np.tile(votes, (70, 1)))
    assert np.array_equal(out[:, 3].view(np.uint32), np.repeat([0xFFFFFFFF, 0x3F], [64, 6]))


def test_lanes_that_take_no_part_read_as_nan():
    x = faults.run("inactive_source")

    assert np.array_equal(x[:8], np.arange(9, 17))
    assert np.isnan(x[8:16]).all()
