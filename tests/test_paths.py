"""Paths visit the pixels in the order that the papers' implementations and the twins have."""

import copy
import dataclasses
import pickle
from pathlib import Path as File

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from path_strategies import SIZES, extra, made_by, made_in_3d, paths, tables

import reference.paths
import reference.paths3d
import selscan.paths
from selscan.paths import MAKERS, MAKERS_3D, Path

GOLDEN = dict(np.load(File(__file__).parent / "golden/scan_orders.npz"))
# VMamba has four routes in each of these; the others are routes of LocalMamba by name.
FOUR = {
    "cross": ("h", "v", "h_flip", "v_flip"),
    "bidirectional": ("h", "h", "h_flip", "h_flip"),
    "unidirectional": ("h", "h", "h", "h"),
}
# A maker, the golden group it belongs to, and the rows of that which are its routes.
MAKER_ROWS = [
    ("unidirectional", "unidirectional", [0]),
    ("bidirectional", "bidirectional", [0, 2]),
    ("cross", "cross", [0, 1, 2, 3]),
    ("atrous", "atrous_step2", [0, 1, 2, 3]),
]
NAMES = st.lists(
    st.sampled_from(["h", "v", "w1", "w2", "w7", "w20"]).flatmap(
        lambda name: st.sampled_from([name, f"{name}_flip"])
    ),
    min_size=1,
    max_size=4,
)


def test_the_golden_orders_are_there():
    groups = [key.split("/")[0] for key in GOLDEN]

    assert {group: groups.count(group) for group in groups} == {
        "cross": 4,
        "unidirectional": 4,
        "bidirectional": 4,
        "atrous_step2": 4,
        "window": 40,
    }


@pytest.mark.parametrize("of", [Path.of, reference.paths.of], ids=["selscan", "reference"])
@pytest.mark.parametrize("key", [key for key in GOLDEN if not key.startswith("atrous")])
def test_routes_by_name_have_the_official_order(of, key):
    group, size, *route = key.split("/")

    path = of(*map(int, size.split("x")), *FOUR.get(group, route))

    assert_array_equal(path.table, np.atleast_2d(GOLDEN[key]))


@pytest.mark.parametrize("twin", [selscan.paths, reference.paths])
@pytest.mark.parametrize(("maker", "group", "rows"), MAKER_ROWS)
@pytest.mark.parametrize("size", ["4x4", "7x7", "6x10", "5x7"])
def test_a_maker_has_the_official_order(twin, maker, group, rows, size):
    path = getattr(twin, maker)(*map(int, size.split("x")))

    assert_array_equal(path.table, GOLDEN[f"{group}/{size}"][rows])


@pytest.mark.parametrize("twin", [selscan.paths, reference.paths])
@pytest.mark.parametrize("window", [2, 7])
@pytest.mark.parametrize("size", ["4x4", "7x7", "14x14", "6x10", "5x7"])
def test_windows_have_the_official_order(twin, window, size):
    path = twin.window(*map(int, size.split("x")), window)

    for route, name in zip(path.table, [f"w{window}", f"w{window}_flip"], strict=True):
        assert_array_equal(route, GOLDEN[f"window/{size}/{name}"])


@pytest.mark.parametrize("name", MAKERS)
@given(data=st.data())
def test_a_maker_and_its_twin_agree(name, data):
    sizes = data.draw(made_by(name))

    assert_array_equal(MAKERS[name](*sizes).table, getattr(reference.paths, name)(*sizes).table)


@given(SIZES, SIZES, NAMES, st.booleans())
def test_routes_by_name_and_their_twins_agree(height, width, names, joined):
    path = Path.of(height, width, *names, joined=joined)
    twin = reference.paths.of(height, width, *names, joined=joined)

    assert_array_equal(path.table, twin.table)
    assert (path.height, path.width, path.joined) == (height, width, joined)


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"atrous"}))
@given(data=st.data())
def test_each_route_visits_every_pixel_once(name, data):
    path = MAKERS[name](*data.draw(made_by(name)))

    visited = [np.sort(route[route >= 0]) for route in path.table]
    assert_array_equal(visited, np.tile(np.arange(path.height * path.width), (path.routes, 1)))


@pytest.mark.parametrize("name", MAKERS_3D)
@given(data=st.data())
def test_a_maker_in_3d_and_its_twin_agree_and_visit_each_pixel_once(name, data):
    size = data.draw(made_in_3d(name))

    path = MAKERS_3D[name](*size)

    twin = getattr(reference.paths3d, name)(*size)
    assert path.size == twin.size == size[:3]
    assert_array_equal(path.table, twin.table)
    visited = [np.sort(route[route >= 0]) for route in path.table]
    assert_array_equal(visited, np.tile(np.arange(path.pixels), (path.routes, 1)))


def moves(path):
    """Steps from pixel to pixel along each axis, of all routes."""
    places = np.stack(np.unravel_index(path.table, path.size), axis=-1)
    return abs(np.diff(places, axis=1)).sum(axis=-1)


@pytest.mark.parametrize("size", [(2, 2), (8, 8), (16, 16), (2, 2, 2), (4, 4, 4), (8, 8, 8)])
def test_the_curve_of_hilbert_goes_from_neighbour_to_neighbour(size):
    maker = selscan.paths.hilbert if len(size) == 2 else selscan.paths.hilbert3d

    assert (moves(maker(*size)) == 1).all()


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (3, 4, 5), (2, 3, 1)])
def test_a_snake_goes_from_neighbour_to_neighbour(size):
    maker = selscan.paths.snake if len(size) == 2 else selscan.paths.snake3d

    assert (moves(maker(*size)) == 1).all()


@given(made_by("atrous"))
def test_atrous_routes_visit_every_pixel_once_together(sizes):
    path = selscan.paths.atrous(*sizes)

    visited = np.sort(path.table[path.table >= 0])
    assert_array_equal(visited, np.arange(path.height * path.width))


@given(tables())
def test_the_inverse_has_the_position_of_each_pixel_on_each_route(drawn):
    table, pixels = drawn
    path = Path(table, 1, pixels)

    found = [[[*route, pixel].index(pixel) for pixel in range(pixels)] for route in table.tolist()]
    assert_array_equal(path.inverse, np.where(np.equal(found, path.length), -1, found))
    assert (path.routes, path.length) == table.shape


@given(tables())
def test_scatter_reads_the_inverse(drawn):
    table, pixels = drawn
    path = Path(table, 1, pixels)
    y = np.arange(1, 1 + 2 * table.size).reshape(1, path.routes, 2, path.length)

    at = path.inverse[None, :, None]
    read = np.where(at < 0, 0, np.take_along_axis(y, at.clip(0), axis=3))
    assert_array_equal(read[..., None, :], reference.scatter(y, path, merge=False))


@given(paths(), st.booleans(), st.integers(0, 2**32 - 1))
def test_gather_and_scatter_are_adjoint(path, merge, seed):
    rng = np.random.default_rng(seed)
    k = () if merge else (path.routes,)
    x = rng.integers(-9, 9, (2, *k, 3, *path.size))
    y = rng.integers(-9, 9, (2, path.routes, 3, path.length))

    gathered, scattered = reference.gather(x, path), reference.scatter(y, path, merge)
    assert np.vdot(gathered, y) == np.vdot(x, scattered)  # integers: exact


@pytest.mark.parametrize("array", ["table", "inverse"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_path_is_plain_int32_and_read_only(name, array):
    values = getattr(MAKERS[name](3, 5, *extra(MAKERS[name])), array)

    assert type(values) is np.ndarray
    assert values.dtype == np.int32
    assert values.flags.c_contiguous
    assert not values.flags.writeable


@pytest.mark.parametrize("dtype", ["i1", ">i4", "i8", "u1", "u8"])
def test_a_table_may_have_any_integer_dtype_and_strides(dtype):
    table = np.arange(24, dtype=dtype).reshape(4, 6)[::-2, ::2]

    path = Path(table, 3, 8)

    assert_array_equal(path.table, table)
    assert path.table.dtype == np.int32


def test_a_path_keeps_a_copy_of_the_table():
    table = np.array([[0, 1, 2]], np.int32)
    path = Path(table, 1, 3)

    table[0, 0] = 2

    assert_array_equal(path.table, [[0, 1, 2]])


def test_a_path_cannot_be_changed():
    path = selscan.paths.cross(2, 3)

    with pytest.raises(dataclasses.FrozenInstanceError):
        path.height = 3


CROSS = selscan.paths.cross(2, 3)
OTHERS = {
    "height and width": Path(CROSS.table, 3, 2),
    "width": Path(CROSS.table, 2, 4),
    "joined": Path(CROSS.table, 2, 3, joined=True),
    "order": Path(CROSS.table[::-1], 2, 3),
    "routes": Path(CROSS.table[:2], 2, 3),
    "length": Path(CROSS.table[:, :5], 2, 3),
    "depth": Path(CROSS.table, 2, 3, depth=1),
}


def test_paths_with_the_same_content_are_equal():
    path = Path(CROSS.table, 2, 3)

    assert path is not CROSS
    assert path == CROSS
    assert hash(path) == hash(CROSS)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_paths_with_different_content_are_not_equal(other, monkeypatch):
    assert other != CROSS
    assert hash(other) != hash(CROSS)

    monkeypatch.setitem(vars(other), "_hash", hash(CROSS))
    assert other != CROSS


@pytest.mark.parametrize("other", [None, "cross", 0])
def test_a_path_is_not_equal_to_something_else(other):
    assert other != CROSS


@pytest.mark.parametrize("name", MAKERS)
def test_a_maker_returns_the_same_path_again(name):
    sizes = (3, 5, *extra(MAKERS[name]))

    assert MAKERS[name](*sizes) is MAKERS[name](*map(np.int64, sizes))


@pytest.mark.parametrize(
    "remake", [copy.copy, copy.deepcopy, lambda path: pickle.loads(pickle.dumps(path))]
)
def test_copies_and_pickles_of_a_path_are_equal_and_read_only(remake):
    path = Path.of(3, 2, "v", "w2", joined=True)
    hash(path)

    made = remake(path)

    assert made == path
    assert hash(made) == hash(path)
    assert not made.table.flags.writeable
    assert not made.inverse.flags.writeable


def test_replace_joins_the_routes():
    path = dataclasses.replace(selscan.paths.cross(2, 3), joined=True)

    assert path == Path.of(2, 3, "h", "v", "h_flip", "v_flip", joined=True)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (selscan.paths.cross(5, 7), "<Path: 4 routes of 35 steps over 5 x 7 pixels>"),
        (selscan.paths.unidirectional(1, 1), "<Path: 1 route of 1 step over 1 x 1 pixels>"),
        (
            Path.of(4, 5, "hwt", depth=3),
            "<Path: 1 route of 60 steps over 3 x 4 x 5 pixels>",
        ),
        (
            Path.of(4, 4, "v", "w3", joined=True),
            "<Path: 2 routes of 36 steps over 4 x 4 pixels, joined>",
        ),
    ],
)
def test_the_repr_of_a_path_is_short(path, text):
    assert repr(path) == text


@given(path=paths())
def test_a_path_is_read_from_its_text(path):
    assert Path.from_text(path.text) == path
    assert Path.from_text(path.text) is Path.from_text(path.text)


def test_the_text_of_a_regular_path_is_short():
    assert len(MAKERS["cross"](56, 56).text) < 1000
