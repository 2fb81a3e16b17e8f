"""Gather and scatter of the CUDA backend, in the emulator: the reference's numbers, to the bit."""

import forms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import DTYPES, assert_same, maps, numbers, sequences
from path_strategies import paths

import reference
from selscan.backends.cupy import plan, plan_moves
from selscan.backends.cupy.plan_moves import Mapping
from selscan.ops import path_contract
from selscan.paths import Path, atrous, cross, window

from . import moves
from .demos import in_every_order

PATHS = {
    "cross": cross(21, 70),
    "tall": cross(67, 19),
    "atrous": atrous(35, 36),
    "window": window(20, 23, size=7),
    "columns and windows": Path.of(33, 18, "v", "w2", "v_flip", "w20_flip", "h"),
    "joined": Path.of(17, 34, "h_flip", "v", joined=True),
    "one pixel": cross(1, 1),
    "half": Path(np.arange(70)[None, ::2], 7, 10),
    "nowhere": Path(np.full((2, 3), -1), 2, 5),
}
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
FORMS = (forms.behind_one, forms.channels_last, forms.every_other, forms.transposed)


def check(x, y, path, merge=True, mapping=None):
    """Both, of a map x and of sequences y."""
    assert_same(moves.gather(x, path, mapping=mapping), reference.gather(x, path))
    got = moves.scatter(y, path, merge, mapping=mapping)
    assert_same(got, reference.scatter(y, path, merge))


def channels_last(array, axis):
    """The same numbers with neighbouring channels beside one another."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, axis, -1)), -1, axis)


@every_path
@pytest.mark.parametrize("merge", [True, False])
def test_every_path_agrees_with_the_reference(path, merge):
    check(maps(path, per_route=not merge), sequences(path), path, merge)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
def test_every_dtype_agrees_with_the_reference(dtype, last):
    path = Path.of(9, 11, "v", "w2_flip", "h")
    x, y = maps(path, dtype, d=5), sequences(path, dtype, d=5)
    if last:
        x, y = channels_last(x, -3), channels_last(y, 2)
    for merge in (True, False):
        check(x, y, path, merge)


@pytest.mark.parametrize("form", FORMS)
def test_arrays_are_read_in_any_form(form):
    path = Path.of(9, 11, "v", "w2_flip", "h")
    check(form(maps(path, d=5)), form(sequences(path, d=5)), path)


@given(
    path=paths(),
    dtype=st.sampled_from(DTYPES),
    b=st.integers(1, 2),
    d=st.sampled_from((1, 2, 3, 17, 70)),
    per_route=st.booleans(),
    merge=st.booleans(),
    last=st.booleans(),
)
def test_any_move_agrees_with_the_reference(path, dtype, b, d, per_route, merge, last):
    x, y = maps(path, dtype, b, d, per_route), sequences(path, dtype, b, d)
    if last:
        x, y = channels_last(x, -3), channels_last(y, 2)
    check(x, y, path, merge)


@settings(max_examples=30)
@given(path=paths(), length=st.integers(1, 20), shift=st.integers(0, 3), rows=st.integers(1, 4))
def test_every_mapping_agrees_with_the_reference(path, length, shift, rows):
    mapping = Mapping(length, 1 << shift if shift else rows, shift, length + 1)
    for merge in (True, False):
        check(maps(path, d=5), sequences(path, d=5), path, merge, mapping)


def test_more_channels_than_a_grid_has_in_its_second_axis_are_moved():
    path = cross(1, 2)
    check(maps(path, d=66_000), sequences(path, d=66_000), path)


def test_bits_are_moved_whatever_number_they_are():
    path = cross(13, 14)
    bits = np.random.default_rng(0).integers(0, 2**16, (1, 2, 13, 14)).astype(np.uint16)
    x = bits.view(numbers((), "bfloat16").dtype)

    got = moves.gather(x, path)

    assert np.array_equal(got.view(np.uint16), reference.gather(bits, path).astype(np.uint16))


@pytest.mark.parametrize("last", [False, True])
def test_every_order_of_threads_gives_the_same_bits(last):
    path = window(9, 11, size=4)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(1, path.routes, 5, path.length)).astype(np.float16)
    y = channels_last(y, 2) if last else y

    in_every_order(lambda: (moves.scatter(y, path, True),))


# ---- planning ----------------------------------------------------------------------------------


def moved(path, shape, steps, kernel="gather", dtype="bfloat16"):
    return path_contract.Moved(kernel, path, shape[0], shape[1], dtype, steps, None, "cuda:0")


@pytest.mark.parametrize("size", [7, 14, 56, 312])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("b", [1, 128])
def test_a_chunk_has_the_result_once_and_fits_six_times(size, last, b):
    path, d = cross(size, size), 96
    steps = (2 * d * size**2, 0, 2, 2 * d * size, 2 * d)
    if not last:
        steps = (2 * d * size**2, 0, 2 * size**2, 2 * size, 2)
    call = moved(path, (b, d), steps)
    mapping = plan_moves.choose(call, plan.Device())

    assert plan_moves.shared_bytes(call, mapping) <= 36 * 1024
    entries = plan_moves.list_of(call, mapping)
    for route, row in zip(entries, path.table, strict=True):
        chunks = np.split(row, range(mapping.length, len(row), mapping.length))
        for chunk, found in zip(chunks, route, strict=True):
            found = found[found[:, 0] != plan_moves.PAST]
            assert np.array_equal(np.sort(found[:, 1]), np.arange(len(chunk)))
            assert np.array_equal(found[:, 0], chunk[found[:, 1]])


@pytest.mark.parametrize(("size", "most"), [(14, 1.2), (56, 1.2), (312, 1.7)])
@pytest.mark.parametrize("route", range(4))
def test_reading_is_as_coalesced_as_the_path_allows(size, most, route):
    """Sectors of 32 bytes that the warps of a gather ask for, against those of a copy."""
    path = cross(size, size)
    call = moved(path, (128, 96), (2 * 96 * size**2, 0, 2 * size**2, 2 * size, 2))
    places = plan_moves.list_of(call, plan_moves.choose(call, plan.Device()))[route, :, :, 0]
    asked = 0
    for chunk in places:
        chunk = np.append(chunk, np.full(-len(chunk) % 32, plan_moves.PAST)).reshape(-1, 32)
        for warp in chunk:
            asked += len(np.unique(warp[warp >= 0] * 2 // 32))
    # A warp's 64 bytes lie in three sectors where they do not begin with one.
    assert asked <= most * 1.5 * (size**2 * 2 / 32) + len(places)


def test_a_grid_that_is_too_large_is_refused():
    call = moved(cross(1, 1), (2**30, 2), (4, 0, 2, 2, 2))
    with pytest.raises(ValueError, match=r"^gather: b \* k \* d \* l must be small enough"):
        plan_moves.choose(call, plan.Device())
