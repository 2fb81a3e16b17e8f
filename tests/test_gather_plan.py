"""How a path is cut for the kernels: groups of runs, fresh routes, staging, scratch."""

from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given
from moving import DTYPES, assert_same, maps, numbers, sequences
from path_strategies import paths

import reference
import selscan
from selscan.backends.cpu import elements, gather_plan
from selscan.backends.cpu.gather_plan import (
    BLOCK,
    BY_GROUPS,
    COVERED,
    COVERS,
    FIRST,
    FRESH,
    GROUP_FIELDS,
    LARGEST,
    LAST,
    PADDED,
    PLACES,
    STAGED,
    SUMS,
)
from selscan.paths import Path, atrous, bidirectional, cross, window


def walked(groups):
    """The pixels that groups visit, in order."""
    visited = []
    for start, stride, count, position, n in groups.tolist():
        assert position == len(visited)
        runs = range(n) if n > 0 else range(-n - 1, -1, -1)
        visited += [
            start + i + stride * j if start >= 0 else -1 for i in runs for j in range(count)
        ]
    return visited


@given(path=paths())
def test_groups_visit_the_pixels_of_their_route_in_its_order(path):
    for row, first, last in zip(path.table, path.runs.first, path.runs.first[1:], strict=False):
        groups = gather_plan.groups_of(path.runs.table[first:last].tolist())

        assert walked(np.array(groups).reshape(-1, GROUP_FIELDS)) == row.tolist()


def test_columns_are_groups_of_limited_size():
    groups, routes, _ = gather_plan.walks(cross(20, 150), True)

    assert routes[:, BY_GROUPS].all()
    sides = [groups[first:last, 4].tolist() for first, last in routes[:, FIRST : LAST + 1]]
    assert sides == [[1], [LARGEST, LARGEST, 150 - 2 * LARGEST], [1], [-64, -64, -22]]


@pytest.mark.parametrize("path", [window(56, 56, 7), atrous(56, 56), cross(9, 9)], ids=str)
def test_routes_of_short_runs_are_walked_by_the_table(path):
    _, routes, _ = gather_plan.walks(path, True)

    assert not routes[1:2, BY_GROUPS].any()


@pytest.mark.parametrize(
    ("path", "fresh", "covered"),
    [
        (cross(4, 4), [1, 0, 0, 0], True),
        (atrous(4, 6), [1, 1, 1, 1], True),
        (atrous(5, 5), [1, 1, 1, 1], True),
        (Path(np.array([[0, 1], [2, 1], [3, -1]]), 2, 2), [1, 0, 1], False),
        (Path(np.array([[-1], [0]]), 1, 2), [1, 1], False),
    ],
)
def test_a_fresh_route_comes_to_pixels_where_none_was_before(path, fresh, covered):
    _, routes, got = gather_plan.walks(path, True)

    assert routes[:, FRESH].tolist() == fresh
    assert got == covered
    _, routes, got = gather_plan.walks(path, False)
    assert not routes[:, FRESH].any()
    assert not got


def test_routes_know_whether_they_have_padding_and_visit_every_pixel():
    _, routes, _ = gather_plan.walks(Path.of(4, 5, "w2", "v"), True)

    assert routes[:, PADDED].tolist() == [1, 1]  # the second ends in padding
    assert routes[:, COVERS].tolist() == [1, 1]
    _, routes, _ = gather_plan.walks(atrous(4, 4), True)
    assert routes[:, PADDED].tolist() == routes[:, COVERS].tolist() == [0] * 4


def plan_of(kernel, path, array):
    """Of an array in its strides."""
    steps = list(array.strides)
    if kernel == "gather":
        steps = steps if array.ndim == 5 else [steps[0], 0, *steps[1:]]
        steps = [*steps[:3], 0, *steps[3:]]  # a map has no frames
    else:
        steps = [*steps[:3], 0, 0, steps[3]]
    batch, dim, dtype = array.shape[0], array.shape[-3 if kernel == "gather" else 2], array.dtype
    given = {"batch": batch, "dim": dim, "dtype": dtype.name, "steps": tuple(steps)}
    return gather_plan.RoutesPlan(SimpleNamespace(kernel=kernel, path=path, **given))


def test_planes_without_gaps_are_read_where_they_stand():
    path = cross(6, 7)
    for kernel, array in (("gather", maps(path, d=20)), ("merge", sequences(path, d=20))):
        plan = plan_of(kernel, path, array)
        assert not plan.template[STAGED]
        assert plan.template[BLOCK] == 1
        assert plan.tasks == 2 * 20 * (4 if kernel == "gather" else 1)
        wider = np.repeat(array, 2, axis=-1)[..., ::2]
        assert plan_of(kernel, path, wider).template[STAGED]


@pytest.mark.parametrize(
    ("path", "are_apart"),
    [
        (atrous(4, 6), True),
        (Path(np.array([[0, 1], [3, -1]]), 2, 2), True),
        (cross(4, 4), False),
        (Path.of(4, 4, "v"), False),  # a single one is copied by its runs
    ],
)
def test_routes_that_do_not_meet_are_picked_pixel_by_pixel(path, are_apart):
    y = sequences(path, d=20)
    plan = plan_of("merge", path, y)

    assert bool(plan.template[PLACES]) == are_apart
    if are_apart:
        y = y[0, :, 0]
        places = y.strides[0] // 4 * np.arange(path.routes)[:, None] + path.inverse
        visited = path.inverse >= 0
        want = np.where(visited, places, 0).sum(0) - (~visited).all(0)
        np.testing.assert_array_equal(plan.arrays[PLACES], want)
        assert not plan_of("merge", path, np.repeat(y[None, :, None], 2, -1)[..., ::2]).template[
            PLACES
        ]


@pytest.mark.parametrize(
    ("batch", "dim", "side", "block"),
    [(1, 64, 6, 1), (4, 192, 6, 12), (64, 64, 6, 16), (64, 64, 200, 3)],
)
def test_tasks_are_many_and_their_planes_fit_the_cache(batch, dim, side, block):
    x = np.broadcast_to(numbers((1, 1, side, side)), (batch, dim, side, side))
    steps = (x[0].nbytes, 0, x[0, 0].nbytes, 0, *x.strides[2:])
    given = {"kernel": "gather", "batch": batch, "dim": dim, "dtype": "float32", "steps": steps}

    plan = gather_plan.RoutesPlan(SimpleNamespace(path=cross(side, side), **given))

    assert plan.template[BLOCK] == block


@pytest.mark.parametrize(("dtype", "block"), [("float16", 32), ("float32", 16), ("complex128", 4)])
def test_channels_that_are_neighbours_are_staged_together(dtype, block):
    path = cross(6, 7)
    x = np.moveaxis(numbers((2, 6, 7, 40), dtype), -1, 1)

    plan = plan_of("gather", path, x)

    assert plan.template[BLOCK] == block
    assert plan.scratch >= block * 6 * 7 * x.itemsize


def test_staged_planes_stay_in_the_cache():
    path = cross(200, 200)
    x = np.moveaxis(numbers((1, 200, 200, 40)), -1, 1)

    assert plan_of("gather", path, x).template[BLOCK] == 3
    assert plan_of("gather", path, x).scratch <= gather_plan.MOST_BYTES


@pytest.mark.parametrize(("path", "turned"), [(cross(90, 200), 64 * 90), (window(90, 200, 5), 1)])
def test_sums_have_room_for_one_group_that_is_turned(path, turned):
    plan = plan_of("merge", path, sequences(path, b=1, d=1))

    assert plan.scratch == gather_plan.round_up(4 * turned)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_sums_of_16_bits_have_room_of_their_own(dtype):
    path = cross(6, 7)
    narrow = dtype in ("float16", "bfloat16")

    plan = plan_of("merge", path, sequences(path, dtype))

    assert bool(plan.template[SUMS]) == narrow
    assert bool(plan.template[COVERED]) != narrow


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_there_is_a_copy_for_every_size(size):
    marker = gather_plan.COPIED[size]

    assert marker.itemsize == size
    assert elements.side_of(numba.typeof(marker)) in (4, 8, 16)


MANY = {
    "cross": cross(24, 40),
    "bidirectional": bidirectional(24, 40),
    "atrous": atrous(23, 41),
    "window": window(24, 40, 7),
}


@pytest.mark.parametrize("path", MANY.values(), ids=MANY)
def test_the_number_of_threads_does_not_change_a_bit(scan_threads, path):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((2, path.routes, 19, path.length), np.float32)
    x = np.moveaxis(rng.standard_normal((2, path.height, path.width, 37), np.float32), -1, 1)
    found = []
    for count in (1, 2):
        scan_threads(count)
        moved = selscan.scatter(y, path), selscan.scatter(y, path, False), selscan.gather(x, path)
        found.append([z.tobytes() for z in moved])
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("path", MANY.values(), ids=MANY)
def test_the_kernels_of_this_cpu_agree_with_the_reference(path, dtype):
    x = np.moveaxis(numbers((1, path.height, path.width, 18), dtype), -1, 1)
    y = sequences(path, dtype)

    assert_same(selscan.gather(x, path), reference.gather(x, path))
    assert_same(selscan.scatter(y, path), reference.scatter(y, path))
