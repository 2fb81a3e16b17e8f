"""Tiles: every format, size and stride is copied right, and no other memory touched."""

from typing import NamedTuple

import numpy as np
import pytest
from fences import fenced
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from test_formats import CODES, part_of
from vectors import REALS, address, lanes

from selscan.backends.cpu import tiles
from selscan.backends.cpu.formats import size_of
from selscan.backends.cpu.simd import itemsize, width

POISON = 0xA5
MOST = max(map(lanes, REALS))

real = pytest.mark.parametrize("real", REALS)
code = pytest.mark.parametrize("name", CODES)


@njit
def load_tile(real, code, source, row_step, column_step, rows, columns, tile, tile_step, ones):
    """Load a tile after one of ones, in place of `ones`, which leaves them on the stack as well."""
    w, size = width(real), size_of(code)
    tiles.load_tile(real, code, ones, w * size, size, w, w, ones, w * itemsize(real))
    tiles.load_tile(real, code, source, row_step, column_step, rows, columns, tile, tile_step)


@njit
def store_tile(real, code, tile, tile_step, rows, columns, target, row_step, column_step):
    tiles.store_tile(real, code, tile, tile_step, rows, columns, target, row_step, column_step)


@njit
def prefetch_tile(source, row_step, column_step, rows, columns):
    tiles.prefetch_tile(source, row_step, column_step, rows, columns)


@pytest.fixture(scope="module")
def pages():
    """Memory of an array, and of a tile, that ends the process when one is left."""
    with fenced(2**15) as array, fenced(2**14) as tile:
        yield array, tile


class Order(NamedTuple):
    """How an array lies in memory: the steps of its rows and columns, in bytes."""

    rows_are_runs: bool  # elements of a row are closer to each other than those of a column
    apart: int  # elements from one to the next within a run; 0: all at one place
    odd: int  # bytes between two elements beside that
    gap: int | None  # bytes between two runs; None: all at one place
    signs: tuple

    def steps(self, shape, size):
        inner = self.apart * size + self.odd * bool(self.apart)
        count = shape[1 if self.rows_are_runs else 0]
        outer = 0 if self.gap is None else max(size, count * inner) + self.gap
        steps = (outer, inner) if self.rows_are_runs else (inner, outer)
        return tuple(sign * step for sign, step in zip(self.signs, steps, strict=True))


def orders(apart, gaps):
    signs = st.tuples(*[st.sampled_from([1, -1])] * 2)
    return st.builds(Order, st.booleans(), apart, st.sampled_from([0, 0, 1]), gaps, signs)


# Mostly neighbours, which have paths of their own. What is written has memory for each element.
READ = orders(st.sampled_from([1, 1, 1, 2, 0]), st.sampled_from([0, 0, 3, 24, None]))
WRITTEN = orders(st.sampled_from([1, 1, 1, 2]), st.sampled_from([0, 0, 3, 24]))
TIME_IS_CONTIGUOUS, CHANNELS_ARE = (Order(rows, 1, 0, 8, (1, 1)) for rows in (True, False))


def place(memory, shape, dtype, steps, at_end):
    """The address and the array of these steps at one end of the memory."""
    far = [(n - 1) * step for n, step in zip(shape, steps, strict=True)]
    empty = 0 in shape
    low = 0 if empty else sum(min(0, x) for x in far)
    high = 0 if empty else sum(max(0, x) for x in far) + dtype.itemsize
    begin = memory.size - high if at_end else -low
    array = np.empty(shape, dtype) if empty else np.ndarray(shape, dtype, memory, begin, steps)
    return address(memory) + begin, array


def place_tile(memory, real, columns, pad, at_end):
    """The address, the bytes from row to row, and the rows of a tile."""
    dtype, w = np.dtype(real), lanes(real)
    step = (w + pad) * dtype.itemsize
    return *place(memory, (columns, w), dtype, (step, dtype.itemsize), at_end), step


def numbers(shape):
    """Integers from -250 to 250, which all formats have, but 0."""
    i = np.arange(np.prod(shape)).reshape(shape)
    return (i % 250 + 1) * (-1) ** (i // 3)


def assert_loaded(pages, name, real, rows, columns, order, at_end=True, pad=0):
    """All of `load_tile`: values, zeros behind them, and no other byte of either memory."""
    memory, of_tile = pages
    memory[...] = of_tile[...] = POISON
    dtype = part_of(name)
    steps = order.steps((rows, columns), dtype.itemsize)
    source, array = place(memory, (rows, columns), dtype, steps, at_end)
    array[...] = numbers((rows, columns))
    tile, lines, tile_step = place_tile(of_tile, real, columns, pad, at_end)
    before, expected = memory.tobytes(), of_tile.copy()
    _, expected_lines, _ = place_tile(expected, real, columns, pad, at_end)
    expected_lines[...] = 0
    expected_lines[:, :rows] = array.astype(real).T
    ones = np.ones(8 * MOST**2, dtype)

    load_tile(real(0), CODES[name], source, *steps, rows, columns, tile, tile_step, address(ones))

    assert np.array_equal(lines, expected_lines)
    assert np.array_equal(of_tile, expected)
    assert memory.tobytes() == before


def assert_stored(pages, name, real, rows, columns, order, at_end=True, pad=0):
    """All of `store_tile`: values in their places, and no other byte of either memory."""
    memory, of_tile = pages
    memory[...] = of_tile[...] = POISON
    dtype = part_of(name)
    tile, lines, tile_step = place_tile(of_tile, real, columns, pad, at_end)
    lines[...] = numbers(lines.shape)
    steps = order.steps((rows, columns), dtype.itemsize)
    target, array = place(memory, (rows, columns), dtype, steps, at_end)
    before, expected = of_tile.tobytes(), memory.copy()
    _, expected_array = place(expected, (rows, columns), dtype, steps, at_end)
    expected_array[...] = lines[:, :rows].T.astype(dtype)

    store_tile(real(0), CODES[name], tile, tile_step, rows, columns, target, *steps)

    assert np.array_equal(array.astype(real), expected_array.astype(real))
    assert np.array_equal(memory, expected)
    assert of_tile.tobytes() == before


def sizes(real):
    """Rows and columns: none to all lanes, one to more than two blocks."""
    w = lanes(real)
    rows = st.sampled_from([w, w]) | st.integers(0, w)
    return st.tuples(rows, st.integers(1, 2 * w + 1))


@real
@code
@given(data=st.data(), order=READ, at_end=st.booleans(), pad=st.sampled_from([0, 3]))
def test_a_tile_of_any_size_and_strides_is_loaded(pages, name, real, data, order, at_end, pad):
    rows, columns = data.draw(sizes(real))

    assert_loaded(pages, name, real, rows, columns, order, at_end, pad)


@real
@code
@given(data=st.data(), order=WRITTEN, at_end=st.booleans(), pad=st.sampled_from([0, 3]))
def test_a_tile_of_any_size_and_strides_is_stored(pages, name, real, data, order, at_end, pad):
    rows, columns = data.draw(sizes(real))

    assert_stored(pages, name, real, rows, columns, order, at_end, pad)


# Around the width, where the blocks of a tile end, and the last may overlap the one before.
blocks = pytest.mark.parametrize("columns", [(1, -1), (1, 0), (1, 1), (2, -1), (2, 0), (2, 1)])
filled = pytest.mark.parametrize("missing", [0, 1])  # lanes


@real
@code
@blocks
@filled
@pytest.mark.parametrize("sign", [1, -1])
def test_a_tile_of_neighbours_in_time_is_loaded(pages, name, real, columns, missing, sign):
    w = lanes(real)
    columns = columns[0] * w + columns[1]
    order = TIME_IS_CONTIGUOUS._replace(signs=(1, sign))

    assert_loaded(pages, name, real, w - missing, columns, order)
    assert_loaded(pages, name, real, w - missing, columns, order, at_end=False)


@real
@code
@blocks
@filled
def test_a_tile_of_neighbours_in_time_is_stored(pages, name, real, columns, missing):
    w = lanes(real)
    columns = columns[0] * w + columns[1]

    assert_stored(pages, name, real, w - missing, columns, TIME_IS_CONTIGUOUS)
    assert_stored(pages, name, real, w - missing, columns, TIME_IS_CONTIGUOUS, at_end=False)


@real
@code
@filled
def test_a_tile_of_neighbouring_channels_is_loaded_and_stored(pages, name, real, missing):
    rows = lanes(real) - missing

    assert_loaded(pages, name, real, rows, 5, CHANNELS_ARE)
    assert_stored(pages, name, real, rows, 5, CHANNELS_ARE)


@real
@code
def test_a_tile_of_no_rows_is_zeros_without_a_look_at_the_array(pages, name, real):
    _, of_tile = pages
    columns = lanes(real) + 1
    tile, lines, step = place_tile(of_tile, real, columns, 0, True)
    of_tile[...] = POISON
    steps = 0, part_of(name).itemsize
    ones = np.ones(8 * MOST**2, part_of(name))

    load_tile(real(0), CODES[name], 0, *steps, 0, columns, tile, step, address(ones))

    assert not lines.any()


@given(
    order=READ, rows=st.integers(0, 16), columns=st.integers(1, 33), size=st.sampled_from([2, 8])
)
def test_prefetching_touches_no_memory(pages, order, rows, columns, size):
    steps = order.steps((rows, columns), size)

    prefetch_tile(address(pages[0]) - 1, *steps, rows, columns)  # on the fence
