"""Slices of batch and channels: each number in one of them, and whole groups or parts of one."""

from types import SimpleNamespace

import numpy as np
import pytest

from selscan.distributed.slices import cut, ranges


@pytest.mark.parametrize("wanted", [1, 2, 3, 7, 16, 100])
@pytest.mark.parametrize(
    ("batch", "groups", "dim"), [(1, 1, 1), (1, 1, 100), (3, 2, 34), (5, 4, 12), (2, 3, 99)]
)
def test_each_number_is_in_one_slice(batch, groups, dim, wanted):
    slices, whole = cut(SimpleNamespace(batch=batch, groups=groups, dim=dim), wanted)

    seen, size = np.zeros((batch, dim), int), dim // groups
    for x in slices:
        seen[x.b, x.d] += 1
        groups_of_channels = {i // size for i in range(x.d.start, x.d.stop)}
        assert groups_of_channels == set(range(x.g.start, x.g.stop))
        assert len(groups_of_channels) == 1 or whole
    assert (seen == 1).all()
    assert len(slices) <= 2 * wanted + groups
    assert len(slices) >= min(wanted, batch)


@pytest.mark.parametrize(("batch", "groups", "dim"), [(0, 1, 4), (2, 1, 0), (2, 3, 0)])
def test_nothing_is_one_slice_or_more_of_nothing(batch, groups, dim):
    slices, _ = cut(SimpleNamespace(batch=batch, groups=groups, dim=dim), 8)

    assert slices
    for x in slices:
        assert (x.b.stop - x.b.start) * (x.d.stop - x.d.start) == 0


def test_ranges_end_at_multiples_of_a_unit():
    assert ranges(50, 3, 16) == [slice(0, 16), slice(16, 32), slice(32, 50)]
    assert ranges(5, 9) == [slice(i, i + 1) for i in range(5)]
