"""Formats of numbers: every conversion rounds once, to nearest, ties to even; what it keeps."""

from typing import NamedTuple
from unittest import mock

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from rounding import (
    all_of,
    as_float64,
    assert_same_numbers,
    nearly_ties,
    rounded,
    sizes_of,
    ties_of,
)
from vectors import REALS, address, lanes

from selscan.backends.cpu import formats
from selscan.backends.cpu.simd import itemsize, load, poke, store, width


class Format(NamedTuple):
    """A format of numbers, with or without the CPU's own instructions for float16."""

    dtype: np.dtype
    marker: np.generic
    half: bool = False


FORMATS = {
    "float16": Format(np.dtype(np.float16), formats.F16),
    "float16 in hardware": Format(np.dtype(np.float16), formats.F16, True),
    "bfloat16": Format(np.dtype(ml_dtypes.bfloat16), formats.BF16),
    "float32": Format(np.dtype(np.float32), formats.F32),
    "float64": Format(np.dtype(np.float64), formats.F64),
}
SIXTEEN = [name for name, f in FORMATS.items() if f.dtype.itemsize == 2]
ONE_BY_ONE, VECTORS = "one by one", "vectors"

real = pytest.mark.parametrize("real", REALS)
way = pytest.mark.parametrize("way", [ONE_BY_ONE, VECTORS])
every = pytest.mark.parametrize("name", FORMATS)
sixteen = pytest.mark.parametrize("name", SIXTEEN)


def loops():
    """Compiled anew for each way of converting float16."""

    @njit
    def read_one_by_one(real, marker, source, size, target, count):
        for i in range(count):
            poke(target + i * itemsize(real), formats.peek_as(real, marker, source + i * size))

    @njit
    def read_vectors(real, marker, source, size, target, count):
        for i in range(0, count, width(real)):
            store(target + i * itemsize(real), formats.load_as(real, marker, source + i * size))

    @njit
    def write_one_by_one(real, marker, source, size, target, count):
        for i in range(count):
            value = formats.peek_as(real, real, source + i * itemsize(real))
            formats.poke_as(marker, target + i * size, value)

    @njit
    def write_vectors(real, marker, source, size, target, count):
        for i in range(0, count, width(real)):
            formats.store_as(marker, target + i * size, load(real, source + i * itemsize(real)))

    reads = {ONE_BY_ONE: read_one_by_one, VECTORS: read_vectors}
    return reads, {ONE_BY_ONE: write_one_by_one, VECTORS: write_vectors}


READS, WRITES = {}, {}
for _half in (False, True):
    READS[_half], WRITES[_half] = loops()


def run(loop, name, real, source, target):
    """Convert between two arrays, one of the format, the other of the type of the arithmetic."""
    form, count = FORMATS[name], source.size
    if form.half and not formats.HAS_HALF:
        pytest.skip("this CPU has no instructions for float16")
    with mock.patch.object(formats, "HAS_HALF", form.half):
        size = form.dtype.itemsize
        loop(real(0), form.marker, address(source), size, address(target), count)
    return target


def widened(name, way, real, x):
    """Numbers of a format as the kernels read them."""
    x = np.pad(x, (0, -x.size % lanes(real)))
    return run(READS[FORMATS[name].half][way], name, real, x, np.empty(x.size, real))


def narrowed(name, way, x):
    """Numbers as the kernels write them."""
    form, padded = FORMATS[name], np.pad(x, (0, -x.size % lanes(x.dtype)))
    target = np.empty(padded.size, form.dtype)
    return run(WRITES[form.half][way], name, x.dtype.type, padded, target)[: x.size]


def around_all(name, real):
    """Every number, every tie, and the neighbours of both, of both signs."""
    dtype = FORMATS[name].dtype
    with np.errstate(over="ignore"):  # what would come after the largest bfloat16
        points = np.concatenate([sizes_of(dtype), ties_of(dtype)]).astype(real)
    near = [np.nextafter(points, real(x)) for x in (-np.inf, np.inf)]
    x = np.concatenate([points, *near])
    return np.concatenate([x, -x])


@real
@way
@sixteen
def test_every_16_bit_number_is_read_exactly(name, way, real):
    x = all_of(FORMATS[name].dtype)

    assert_same_numbers(widened(name, way, real, x), x)


@real
@way
@sixteen
def test_every_16_bit_number_is_written_as_it_was_read(name, way, real):
    x = all_of(FORMATS[name].dtype)

    assert_same_numbers(narrowed(name, way, widened(name, way, real, x)), x)


@real
@way
@sixteen
def test_numbers_and_ties_of_16_bits_and_their_neighbours_are_rounded(name, way, real):
    x = around_all(name, real)

    assert_same_numbers(narrowed(name, way, x), rounded(x, FORMATS[name].dtype))


@way
@sixteen
def test_float64_is_rounded_to_16_bits_once(name, way):
    dtype = FORMATS[name].dtype
    x = nearly_ties(dtype)
    expected = rounded(x, dtype)

    found = narrowed(name, way, x)

    assert_same_numbers(found, expected)
    assert np.all(rounded(x.astype(np.float32), dtype) != expected)  # what rounding twice gives


@way
@pytest.mark.parametrize("x", [1e300, 1e39, -1e300, 1e-300, -1e-300, 5e-324, 1e-46, -1e-46])
@sixteen
def test_float64_out_of_the_range_of_float32_is_infinite_or_zero(name, way, x):
    found = narrowed(name, way, np.array([x]))

    assert_same_numbers(found, np.copysign([np.inf if abs(x) > 1 else 0.0], x))


@way
@every
@pytest.mark.parametrize(
    ("real", "bits"),
    [
        *((np.float32, np.uint32(b)) for b in (0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF)),
        *((np.float64, np.uint64(b << 32 | 1)) for b in (0x7FF00000, 0x7FF7FFFF, 0x7FFFFFFF)),
    ],
)
def test_nan_stays_nan_whatever_its_bits(name, way, real, bits):
    x = np.array([bits, bits | 1 << (bits.nbytes * 8 - 1)], bits.dtype).view(real)

    assert np.isnan(as_float64(narrowed(name, way, x))).all()


@way
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_nan_of_the_format_is_read_as_nan(name, way):
    x = np.array([np.nan, -np.nan], FORMATS[name].dtype)

    assert np.isnan(widened(name, way, np.float32, x)[:2]).all()
    assert np.isnan(widened(name, way, np.float64, x)[:2]).all()


def numbers(real):
    """Lists of numbers: special, simple, and any bits, as an array."""
    bits = 8 * np.dtype(real).itemsize
    unsigned = np.dtype(f"uint{bits}")
    patterns = st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40)
    near = st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=40)
    return st.one_of(
        patterns.map(lambda x: np.array(x, unsigned).view(real)),
        near.map(lambda x: np.array(x).astype(real)),
    )


@real
@way
@every
@given(data=st.data())
def test_numbers_are_written_to_the_nearest_of_the_format(name, way, real, data):
    x = data.draw(numbers(real))

    assert_same_numbers(narrowed(name, way, x), rounded(x, FORMATS[name].dtype))


@real
@way
@pytest.mark.parametrize("name", ["float32", "float64"])
@given(data=st.data())
def test_wide_numbers_are_read_to_the_nearest_of_the_arithmetic(name, way, real, data):
    x = data.draw(numbers(FORMATS[name].dtype.type))

    assert_same_numbers(widened(name, way, real, x)[: x.size], rounded(x, real))


# By code, as kernels call them.


@njit
def read(real, code, source):
    return formats.read(real, code, source)


@njit
def write(code, target, value):
    formats.write(code, target, value)


@njit
def size_of(code):
    return formats.size_of(code)


@njit
def read_integer(code, source):
    return formats.read_integer(code, source)


CODES = {name: code for name, code in formats.CODES.items() if not name.startswith("int")}


def part_of(name):
    """The NumPy dtype of a number, or of a part of a complex one."""
    return np.dtype(
        {"bfloat16": ml_dtypes.bfloat16, "complex64": "f4", "complex128": "f8"}.get(name, name)
    )


@real
@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("shift", [0, 1])
def test_write_and_read_know_every_code_and_need_no_alignment(name, real, shift):
    memory, part = np.zeros(16, np.uint8), part_of(name)

    write(CODES[name], address(memory) + shift, real(-1.5))

    end = shift + part.itemsize
    assert memory[shift:end].tobytes() == part.type(-1.5).tobytes()
    assert not memory[end:].any()
    assert read(real(0), CODES[name], address(memory) + shift) == -1.5


@pytest.mark.parametrize("name", CODES)
def test_the_size_of_a_complex_number_is_that_of_a_part(name):
    assert size_of(CODES[name]) == part_of(name).itemsize


def test_complex_codes_are_those_of_their_parts_and_a_bit():
    assert formats.CODES["complex64"] & formats.COMPLEX
    assert formats.CODES["complex128"] & formats.COMPLEX
    assert not any(formats.CODES[x] & formats.COMPLEX for x in CODES if "complex" not in x)


@pytest.mark.parametrize("name", ["int32", "int64"])
@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("value", [0, 1, -1, -7, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)])
def test_integers_of_any_sign_are_read_at_any_address(name, shift, value):
    memory, size = np.full(16, 0x5A, np.uint8), np.dtype(name).itemsize
    value = np.array(value).astype(name)  # those of int64 wrap around
    memory[shift : shift + size] = np.frombuffer(value.tobytes(), np.uint8)

    found = read_integer(formats.CODES[name], address(memory) + shift)

    assert found == value
    assert isinstance(found, int)
