"""Orders per sample of the CUDA backend, in the emulator: moves, scans, and wrong numbers."""

import numpy as np
import pytest
from moving import numbers
from path_strategies import orders

from selscan.backends.cupy.plan_moves import Mapping
from selscan.paths.per_sample import Orders

from . import KernelError, moves, sample_orders
from .sample_orders import check_moves, check_scan

# Sizes of maps, tables of them, of both dtypes, dense and not.
TABLES = {
    "padding, every pixel": ((3, 5), orders((3, 5), k=3, dtype="int32")),
    "one row, int64": ((1, 40), orders((1, 40), b=3, k=1, l=40)),
    "every other step": ((5, 7), np.repeat(orders((5, 7), l=9), 2, axis=2)[..., ::2]),
    "three dimensions": ((2, 3, 4), orders((2, 3, 4), l=20).transpose(1, 0, 2)),
    "nothing but padding": ((2, 2), np.full((2, 1, 5), -1)),
}
every_table = pytest.mark.parametrize(("size", "table"), TABLES.values(), ids=TABLES)


@every_table
def test_moves_match_the_reference(size, table):
    check_moves(table, size)


@pytest.mark.parametrize("dtype", ["float32", "int64", "complex128"])
def test_other_dtypes_and_chunks_match_the_reference(dtype):
    size, table = TABLES["padding, every pixel"]
    check_moves(table, size, dtype, d=7, mapping=Mapping(4, 4, 2, 6))


@every_table
def test_scans_match_the_reference(size, table):
    check_scan(table, size, d=5)


def test_routes_apart_in_other_forms_match_the_reference():
    size, table = TABLES["padding, every pixel"]
    forms = ("sliced", "channels last", "in order", "maps")
    check_scan(table, size, d=5, n=3, dtype="bfloat16", forms=forms, per_route=True, merge=False)


RANGE, ONCE = "padding or a pixel number everywhere", "visit a pixel at most once"


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(
    ("number", "message"), [(15, RANGE), (-2, RANGE), (2**33, RANGE), (1, ONCE)]
)
def test_a_wrong_number_ends_the_launch(dtype, number, message):
    table = np.tile(np.arange(15, dtype=dtype), (2, 2, 1))
    if number > np.iinfo(dtype).max:
        number = -(2**31)
    table[1, 1, 7] = number

    with pytest.raises(KernelError, match=message):
        moves.gather(numbers((2, 3, 3, 5), "float16"), Orders(2, 15, (3, 5)), order=table)


@pytest.mark.parametrize("pixel", [5, 300_000])
def test_more_pixels_than_there_are_bits_are_checked_all(pixel):
    x, path = numbers((1, 1, 1, 400_000), "float16"), Orders(1, 3, (1, 400_000))
    table = np.array([[[pixel, 399_999, -1]]])
    found = moves.gather(x, path, order=table)

    table[..., 2] = pixel

    assert np.array_equal(found[0, 0, 0], [x[0, 0, 0, pixel], x[0, 0, 0, -1], 0])
    with pytest.raises(KernelError, match=ONCE):
        moves.gather(x, path, order=table)


@pytest.mark.parametrize("case", [sample_orders.check_moved, sample_orders.check_scanned])
def test_every_order_of_threads_gives_the_same_bits(case):
    case()
