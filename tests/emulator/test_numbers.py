"""Numbers in kernels: half and bfloat16 to the bit, functions, vector types, atomics."""

import ml_dtypes
import numpy as np
import pytest

from . import Module, pointers
from .demos import KERNELS

HALVES = {"__half": np.float16, "__nv_bfloat16": ml_dtypes.bfloat16}
NAN = 0x7FFF  # CUDA's, which has no sign and no payload
TEMPLATES = [
    *(f"narrow<{t}, {f}>" for t in HALVES for f in ("float", "double", "int")),
    *(f"{kernel}<{t}>" for t in HALVES for kernel in ("widen", "arithmetic")),
]
NAMES = ["by_name", "functions", "integers", "layouts", "atomics", "policies"]


@pytest.fixture(scope="module")
def kernel():
    """A kernel of numbers.cu by name."""
    code = (KERNELS / "numbers.cu").read_text(encoding="utf-8")
    return Module(code, TEMPLATES + NAMES, file="numbers.cu").get_function


@pytest.fixture(autouse=True)
def quiet():
    """Overflow and NaN are among what is asked for."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def apply(kernel):
    """An elementwise kernel's results, in `rows` arrays like the input."""

    def run(name, *arrays, dtype, rows=1):
        n = arrays[0].size
        out = np.zeros((rows, n), dtype)
        kernel(name)((-(-n // 256),), (256,), (*pointers(*arrays, out), np.int32(n)))
        return out

    return run


def every_number(dtype):
    """All 65536."""
    return np.arange(65536, dtype=np.uint16).view(dtype)


def floats(dtype):
    """Bits at random: also NaN, infinity and subnormals. And each tie of `dtype`, and beside it."""
    drawn = np.random.default_rng(0).integers(0, 2**32, 300_000, np.uint32).view(np.float32)
    around = np.random.default_rng(1).integers(0x2F000000, 0x48000000, 300_000, np.uint32)
    numbers = np.sort(every_number(dtype).astype(np.float32))
    numbers = numbers[np.isfinite(numbers)]
    ties = (numbers[1:].astype(np.float64) + numbers[:-1]) / 2
    ties = ties.astype(np.float32)
    largest = np.float32(ml_dtypes.finfo(dtype).max)
    edge = np.float32([largest * 1.001, largest * 1.0039, 3.4e38, np.inf, np.nan, 0])
    odd = np.array([1, 0x7FFFFF, 0x7F800001], np.uint32)  # subnormals, a signalling NaN
    parts = [drawn, around.view(np.float32), ties, edge, odd.view(np.float32)]
    parts += [np.nextafter(ties, np.float32(side)) for side in (-np.inf, np.inf)]
    found = np.concatenate(parts)
    return np.concatenate([found, -found])


def same_bits(found, expected):
    """Equal to the bit; NaN where NaN is expected."""
    nan = np.isnan(expected)
    bits = expected.view(np.uint16)
    return np.array_equal(found[~nan], bits[~nan]) and (found[nan] == NAN).all()


@pytest.mark.parametrize("name", HALVES)
def test_all_16_bit_numbers_widen_to_the_bit(apply, name):
    numbers = every_number(HALVES[name])

    found = apply(f"widen<{name}>", numbers, dtype=np.float32)[0].view(np.uint32)

    expected = numbers.astype(np.float32).view(np.uint32)
    if name == "__half":  # of which a GPU keeps no payload
        expected[np.isnan(numbers)] = 0x7FFFFFFF
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", HALVES)
def test_floats_narrow_to_the_bit(apply, name):
    x = floats(HALVES[name])

    found = apply(f"narrow<{name}, float>", x, dtype=np.uint16)[0]

    assert same_bits(found, x.astype(HALVES[name]))


@pytest.mark.parametrize("name", HALVES)
def test_all_16_bit_numbers_come_back(apply, name):
    numbers = every_number(HALVES[name])

    found = apply(f"narrow<{name}, float>", numbers.astype(np.float32), dtype=np.uint16)[0]

    assert same_bits(found, numbers)


@pytest.mark.parametrize(("name", "bits"), [("__half", 11), ("__nv_bfloat16", 8)])
def test_doubles_and_integers_are_rounded_once(apply, name, bits):
    unit = 2.0 ** (1 - bits)  # of numbers from 1 to 2
    tie, little = 1 + unit / 2, 2.0**-50
    x = np.array([tie - little, tie, tie + little, -tie - little, 1 + 2 * unit - little, np.nan])
    expected = np.array([1, 1, 1 + unit, -1 - unit, 1 + 2 * unit, np.nan], HALVES[name])

    assert same_bits(apply(f"narrow<{name}, double>", x, dtype=np.uint16)[0], expected)
    integers = np.array([0, -7, 2**bits + 1, 2**bits + 3], np.int32)
    rounded = np.array([0, -7, 2**bits, 2**bits + 4], HALVES[name])
    assert same_bits(apply(f"narrow<{name}, int>", integers, dtype=np.uint16)[0], rounded)


def test_doubles_narrow_to_half_as_numpy_does(apply):
    x = floats(np.float16).astype(np.float64)
    x = np.concatenate([x, np.nextafter(x, np.inf), np.nextafter(x, -np.inf), [1e300, -1e-300]])

    found = apply("narrow<__half, double>", x, dtype=np.uint16)[0]

    assert same_bits(found, x.astype(np.float16))


@pytest.mark.parametrize("name", HALVES)
def test_arithmetic_is_that_of_the_type(apply, name):
    dtype = HALVES[name]
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 65536, (2, 100_000)).astype(np.uint16).view(dtype)
    b[:500] = a[:500]

    found = apply(f"arithmetic<{name}>", a, b, dtype=np.uint16, rows=7)

    compared = (a < b) + 2 * (a == b) + 4 * (a >= b)
    expected = [a + b, a - b, a * b, a / b, -a, compared.astype(dtype), (a + b) * b]
    for i, (row, wanted) in enumerate(zip(found, expected, strict=True)):
        assert same_bits(row, wanted), i


def test_functions_of_the_headers_agree_with_the_operators(kernel):
    v = np.array([1.0009, -3.1416], np.float32)
    halves, found = np.zeros(16, np.uint16), np.zeros(7, np.float32)

    kernel("by_name")((1,), (1,), pointers(v, halves, found))

    half, bfloat16 = v.astype(np.float16), v.astype(ml_dtypes.bfloat16)
    assert halves.tolist() == [*half.view(np.uint16), *bfloat16.view(np.uint16)] * 4
    assert found.tolist() == [
        *(1 + 2.0**-10, 1 + 2.0**-7),
        *(np.float32(half[0]), np.float32(half[1])),
        *(np.float32(bfloat16[0]), np.float32(bfloat16[0]), 1),
    ]


def flush(x):
    """Subnormal floats as zeros."""
    return np.where(np.abs(x) < 2.0**-126, np.copysign(0, x), x)


def test_functions_are_those_of_the_library(apply):
    rng = np.random.default_rng(0)
    special = [0, -0.0, 1, np.inf, -np.inf, np.nan]
    tiny = [1e-40, -1e-40, 2.0**-126, 1e-45, -140, -200, 200]
    x = np.concatenate([rng.standard_normal(500), 40 * rng.standard_normal(500), special, tiny])
    x = x.astype(np.float32)

    found = apply("functions", x, dtype=np.float32, rows=17)

    x = x.astype(np.float64)
    expected = [
        *(np.exp2(x), np.exp(x), np.log(x), np.log2(x), np.exp(x), np.log1p(x)),
        *(1 / np.sqrt(x), 1 / x, x * x + 1, np.where(x > 0, np.minimum(x, 1), 0)),
        *(np.fmax(x, 0), np.fmin(x, 1), np.fmax(x, 1)),
        *(np.exp2(flush(x)), np.log2(flush(x)), 1 / flush(x), np.tanh(x)),
    ]
    expected = [wanted.astype(np.float32).astype(np.float64) for wanted in expected]
    for i in (13, 15):  # .ftz flushes results, too
        expected[i] = flush(expected[i])
    for i, (row, wanted) in enumerate(zip(found, expected, strict=True)):
        # The product in __expf is rounded: 1.2 units in the last place for each unit of x.
        bound = 1e-6 + (1e-7 * np.abs(x) if i == 1 else 0)
        close = np.abs(row - wanted) <= bound * np.abs(wanted) + 1.5e-45
        agrees = close | (row == wanted) | (np.isnan(row) & np.isnan(wanted))
        assert agrees.all(), (i, x[~agrees], row[~agrees], wanted[~agrees])


def test_a_large_divisor_is_beyond_the_fast_division(apply):
    x = np.array([2.0**126, 2.0**126.5, -(2.0**127), np.inf], np.float32)

    found = apply("functions", x, dtype=np.float32, rows=17)[7]

    assert found.tolist() == [2.0**-126, 0, 0, 0]


def test_integer_functions(kernel):
    out = np.zeros(15, np.int64)

    kernel("integers")((1,), (1,), pointers(out))

    assert out.tolist() == [
        *(2, 2**32 - 1, -1, 3, 8 + 64, 31 + 100 * 32 + 10000 * 23, 4),
        *(0x80000001, 0x60000000, 15, -1, -(2**31), 0x3F800000, 1, 12345),
    ]


def test_vector_types_have_cudas_size_and_alignment(kernel):
    out = np.zeros((24, 2), np.int32)

    kernel("layouts")((1,), (1,), pointers(out))

    assert out.tolist() == [
        *([1, 1], [2, 2], [3, 1], [4, 4]),  # char1, char2, uchar3, uchar4
        *([4, 4], [8, 8], [8, 8], [12, 4]),  # short2, ushort4, int2, int3
        *([16, 16], [8, 8], [12, 4], [16, 16]),  # int4, uint2, uint3, uint4
        *([16, 16], [16, 16], [32, 16], [4, 4]),  # long2, longlong2, ulonglong4, float1
        *([8, 8], [12, 4], [16, 16], [16, 16]),  # float2, float3, float4, double2
        *([32, 16], [2, 2], [4, 4], [4, 4]),  # double4, half, half2, bfloat162
    ]


def test_atomics_return_the_old_value(kernel):
    i, u = np.array([10], np.int32), np.array([0xFF], np.uint32)
    l, f, d = np.array([2**62], np.uint64), np.array([1], np.float32), np.array([2.0])
    old = np.zeros(18)

    kernel("atomics")((1,), (1,), pointers(i, u, l, f, d, old))

    assert old[:7].tolist() == [10, 7, 3, -100, 7, 12, 5]
    assert old[7:13].tolist() == [0xFF, 0xFC, 0xFF, 0, 1, 0]
    assert old[13:].tolist() == [2.0**62, 2.0**62, 1, 1.5, 2]
    assert (i[0], u[0], l[0], f[0], d[0]) == (5, 2**32 - 1, 2**63, 9, 2.25)


def test_loads_and_stores_with_a_policy_are_loads_and_stores(kernel):
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    out = np.zeros((6, 4), np.float32)

    kernel("policies")((1,), (1,), pointers(x, out))

    assert np.array_equal(out, x[[0, 1, 2, 3, 3, 2]])
