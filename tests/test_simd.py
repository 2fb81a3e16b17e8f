"""The vector instructions one by one: memory, sums across lanes, transposes."""

import numpy as np
import pytest
from fences import fenced
from numba import njit
from vectors import REALS, address, lanes

from selscan.backends.cpu import simd, vector_math

MOST = max(map(lanes, REALS))

real = pytest.mark.parametrize("real", REALS)


def numbers(real, count, start=1):
    """Small integers: their sums are exact."""
    return np.arange(start, start + count).astype(real)


@njit
def copy(real, source, target):
    simd.store(target, simd.load(real, source))


@njit
def copy_first(real, source, count, target):
    simd.store(target, simd.load_first(real, source, count))


@njit
def write_first(real, source, target, count):
    simd.store_first(target, simd.load(real, source), count)


@njit
def spread(real, source, target):
    simd.store(target, simd.broadcast(real, source))


@njit
def fill(real, value, target):
    simd.store(target, simd.splat(real, value))


@njit
def constants(real):
    return simd.width(real), simd.itemsize(real)


@njit
def peek(real, source):
    return simd.peek(real, source)


@njit
def poke(target, value):
    simd.poke(target, value)


@njit
def sum_lanes(real, source):
    return vector_math.sum_lanes(simd.load(real, source))


@njit
def four_sums(real, x, y, u, v, target):
    parts = vector_math.interleave_sums(
        simd.load(real, x), simd.load(real, y), simd.load(real, u), simd.load(real, v)
    )
    vector_math.store_interleaved(target, parts)


@njit
def add_pair(real, x, y, target):
    vector_math.add_pair(target, simd.load(real, x), simd.load(real, y))


@njit
def transpose(real, source, source_step, target, target_step):
    vector_math.transpose(real, source, source_step, target, target_step)


@njit
def transpose_part(real, source, source_step, rows, columns, target, target_step, full):
    vector_math.transpose_part(real, source, source_step, rows, columns, target, target_step, full)


def test_vectors_are_as_wide_as_the_cpu():
    assert lanes(np.float32) == simd.BITS // 32
    assert lanes(np.float64) == max(4, simd.BITS // 64)


@real
def test_width_and_itemsize_are_those_of_the_type(real):
    assert constants(real(0)) == (lanes(real), np.dtype(real).itemsize)


@real
@pytest.mark.parametrize("shift", [0, 1, 4, 8, 60])
def test_load_and_store_need_no_alignment(real, shift):
    memory = np.zeros(1024, np.uint8)
    source, target = memory[shift:], memory[512 + shift :]
    values = numbers(real, lanes(real))
    source[: values.nbytes] = values.view(np.uint8)

    copy(real(0), address(source), address(target))

    assert target[: values.nbytes].tobytes() == values.tobytes()
    assert not target[values.nbytes :].any()


@real
def test_load_and_store_keep_every_bit(real):
    special = [np.nan, np.inf, -np.inf, -0.0, np.finfo(real).smallest_subnormal, np.finfo(real).max]
    source = np.resize(np.array(special, real), lanes(real))
    target = np.empty_like(source)

    copy(real(0), address(source), address(target))

    assert target.tobytes() == source.tobytes()


@real
@pytest.mark.parametrize("count", range(MOST + 1))
def test_load_first_has_zeros_behind(real, count):
    w = lanes(real)
    source, target = numbers(real, w), np.full(w, np.nan, real)

    copy_first(real(0), address(source), count, address(target))

    assert np.array_equal(target, np.where(np.arange(w) < count, source, 0))


@real
@pytest.mark.parametrize("count", range(MOST + 1))
def test_store_first_leaves_what_is_behind(real, count):
    w = lanes(real)
    source, target = numbers(real, w), np.full(w, -1, real)

    write_first(real(0), address(source), address(target), count)

    assert np.array_equal(target, np.where(np.arange(w) < count, source, -1))


@pytest.fixture
def edge():
    """A page behind which no memory must be touched."""
    with fenced(1) as page:
        yield page


@real
@pytest.mark.parametrize("count", [0, 1, 3, MOST - 1])
def test_load_first_touches_no_memory_behind(real, count, edge):
    count = min(count, lanes(real) - 1)
    end = edge[edge.size - count * np.dtype(real).itemsize :].view(real)
    end[...] = numbers(real, count)
    target = np.full(lanes(real), np.nan, real)

    copy_first(real(0), address(edge) + edge.size - end.nbytes, count, address(target))

    assert np.array_equal(target[:count], end)
    assert not target[count:].any()


@real
@pytest.mark.parametrize("count", [0, 1, 3, MOST - 1])
def test_store_first_touches_no_memory_behind(real, count, edge):
    count = min(count, lanes(real) - 1)
    end = edge[edge.size - count * np.dtype(real).itemsize :].view(real)
    source = numbers(real, lanes(real))

    write_first(real(0), address(source), address(edge) + edge.size - end.nbytes, count)

    assert np.array_equal(end, source[:count])


@real
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_broadcast_reads_one_element(real, shift, edge):
    end = edge[edge.size - shift - np.dtype(real).itemsize :][: np.dtype(real).itemsize]
    end[...] = np.array([2.5], real).view(np.uint8)
    target = np.full(lanes(real), np.nan, real)

    spread(real(0), address(end), address(target))

    assert np.all(target == 2.5)


@real
@pytest.mark.parametrize("value", [0.1, np.float32(0.1), 3])
def test_splat_has_the_value_as_the_type_of_the_vector(real, value):
    target = np.full(lanes(real), np.nan, real)

    fill(real(0), value, address(target))

    assert np.all(target == real(value))


@real
@pytest.mark.parametrize("shift", [0, 1])
def test_peek_reads_what_poke_writes(real, shift):
    memory = np.zeros(64, np.uint8)

    poke(address(memory) + shift, real(0.1))

    assert peek(real(0), address(memory) + shift) == real(0.1)
    assert np.count_nonzero(memory) <= np.dtype(real).itemsize


@real
def test_sum_lanes_adds_all(real):
    x = numbers(real, lanes(real))

    assert sum_lanes(real(0), address(x)) == x.sum()


@real
@pytest.mark.parametrize("lane", range(MOST))
def test_sum_lanes_passes_nan_on(real, lane):
    x = numbers(real, lanes(real))
    x[lane % lanes(real)] = np.nan

    assert np.isnan(sum_lanes(real(0), address(x)))


@real
def test_interleaved_sums_are_those_of_four_vectors(real):
    w = lanes(real)
    vectors = numbers(real, 4 * w).reshape(4, w) * np.array([[1], [-2], [3], [5]], real)
    target = np.full(5, -1, real)

    four_sums(real(0), *map(address, vectors), address(target))

    assert np.array_equal(target, [*vectors.sum(1), -1])


@real
def test_add_pair_adds_the_sums_of_two_vectors_to_neighbours(real):
    x, y = numbers(real, lanes(real)), -2 * numbers(real, lanes(real), 100)
    target = np.array([5, 7, -1], real)

    add_pair(real(0), address(x), address(y), address(target))

    assert np.array_equal(target, [5 + x.sum(), 7 + y.sum(), -1])


@real
@pytest.mark.parametrize(("source_pad", "target_pad"), [(0, 0), (3, 0), (0, 5), (1, 1)])
def test_transpose_of_a_square_block(real, source_pad, target_pad):
    w, size = lanes(real), np.dtype(real).itemsize
    source = numbers(real, w * (w + source_pad)).reshape(w, -1)
    target = np.full((w, w + target_pad), -1, real)

    steps = source.shape[1] * size, target.shape[1] * size
    transpose(real(0), address(source), steps[0], address(target), steps[1])

    assert np.array_equal(target[:, :w], source[:, :w].T)
    assert np.all(target[:, w:] == -1)


@real
def test_transpose_with_negative_steps(real):
    w, size = lanes(real), np.dtype(real).itemsize
    source = numbers(real, w * w).reshape(w, w)
    target = np.empty_like(source)

    transpose(real(0), address(source[-1]), -w * size, address(target[-1]), -w * size)

    assert np.array_equal(target[::-1], source[::-1].T)


@real
@pytest.mark.parametrize("full", [0, 1])
@pytest.mark.parametrize("rows", sorted({0, 1, 2, 3, MOST // 2 + 1, MOST}))
@pytest.mark.parametrize("columns", sorted({0, 1, 2, 3, MOST // 2 + 1, MOST}))
def test_transpose_part_of_any_size(real, rows, columns, full):
    w, size = lanes(real), np.dtype(real).itemsize
    rows, columns = min(rows, w), min(columns, w)
    source = numbers(real, rows * columns).reshape(rows, columns)
    target = np.full((w, w), -1, real)

    transpose_part(
        real(0), address(source), columns * size, rows, columns, address(target), w * size, full
    )

    expected = np.full((w, w), -1, real)
    expected[:columns, rows:] = 0 if full else -1
    expected[:columns, :rows] = source.T
    assert np.array_equal(target, expected)
