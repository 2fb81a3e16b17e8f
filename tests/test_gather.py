"""gather and scatter agree with the reference to the last bit, and are each other's adjoint."""

import forms
import numpy as np
import pytest
from harness import Backend
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import DTYPES, FLOATS, assert_same, maps, moved, numbers, sequences
from path_strategies import made_by, paths

import reference
import selscan
from selscan.paths import MAKERS, Path, atrous, cross, window

# Maps of more than one tile, with sides that are no multiple of one, and a group of columns that is
# longer than the longest; windows and steps with padding.
PATHS = {
    "cross": cross(21, 70),
    "tall": cross(67, 19),
    "narrow": cross(40, 3),
    "atrous": atrous(35, 36),
    "atrous 3": atrous(20, 37, step=3),
    "window": window(20, 23, size=7),
    "wide windows": window(40, 33, size=18),
    "window of all": window(9, 8, size=20),
    "columns and windows": Path.of(33, 18, "v", "w2", "v_flip", "w20_flip", "h"),
    "joined": Path.of(17, 34, "h_flip", "v", joined=True),
    "one pixel": cross(1, 1),
    "half": Path(np.arange(70)[None, ::2], 7, 10),
    "nowhere": Path(np.full((2, 3), -1), 2, 5),
}
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
per_route = pytest.mark.parametrize("per_route", [False, True], ids=["shared", "per route"])
merge = pytest.mark.parametrize("merge", [True, False], ids=["merged", "apart"])


@every_path
@per_route
def test_gather_agrees_with_the_reference(backend, path, per_route):
    x = maps(path, per_route=per_route)

    assert_same(moved(backend, "gather", x, path), reference.gather(x, path))


@every_path
@merge
def test_scatter_agrees_with_the_reference(backend, path, merge):
    y = sequences(path)

    assert_same(moved(backend, "scatter", y, path, merge), reference.scatter(y, path, merge))


@pytest.mark.parametrize("name", sorted(MAKERS))
@settings(max_examples=15)
@given(data=st.data())
def test_the_paths_of_the_makers_agree_with_the_reference(name, data):
    path = MAKERS[name](*data.draw(made_by(name)))
    b, d = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    x, y = maps(path, b=b, d=d), sequences(path, b=b, d=d)

    assert_same(selscan.gather(x, path), reference.gather(x, path))
    assert_same(selscan.scatter(y, path), reference.scatter(y, path))


@given(path=paths(), dtype=st.sampled_from(DTYPES), per_route=st.booleans(), merge=st.booleans())
def test_any_path_and_dtype_agree_with_the_reference(path, dtype, per_route, merge):
    x, y = maps(path, dtype, per_route=per_route), sequences(path, dtype)

    assert_same(selscan.gather(x, path), reference.gather(x, path))
    assert_same(selscan.scatter(y, path, merge), reference.scatter(y, path, merge))


@given(path=paths(), per_route=st.booleans())
def test_each_is_the_adjoint_of_the_other(path, per_route):
    x, y = maps(path, "int64", per_route=per_route), sequences(path, "int64")

    there = (selscan.gather(x, path) * y).sum()
    back = (x * selscan.scatter(y, path, merge=not per_route)).sum()

    assert there == back


@pytest.mark.parametrize("name", sorted(MAKERS))
@given(data=st.data())
def test_what_is_gathered_is_put_back_where_it_was(name, data):
    path = MAKERS[name](*data.draw(made_by(name)))
    x = maps(path)
    visits = (path.inverse >= 0).sum(axis=0).reshape(path.height, path.width)

    assert_same(selscan.scatter(selscan.gather(x, path), path), x * visits.astype(np.float32))


@pytest.mark.parametrize("path", [cross(21, 34), window(14, 21, size=7)], ids=["cross", "window"])
def test_routes_over_all_pixels_are_undone(path):
    x = maps(path, per_route=True)

    assert_same(selscan.scatter(selscan.gather(x, path), path, merge=False), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["cross", "atrous", "window"])
def test_every_dtype_agrees_with_the_reference(name, dtype):
    path = PATHS[name]
    x, y = maps(path, dtype), sequences(path, dtype)

    assert_same(selscan.gather(x, path), reference.gather(x, path))
    for merge in (True, False):
        assert_same(selscan.scatter(y, path, merge), reference.scatter(y, path, merge))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_bits_of_numbers_that_are_not_finite_are_kept(dtype):
    path = cross(33, 34)
    size = np.dtype("float16" if dtype == "bfloat16" else dtype).itemsize
    bits = np.random.default_rng(0).integers(0, 2**63, (1, 2, 33, 34)).astype(f"u{size}")
    x = bits.view(numbers((), dtype).dtype)

    got = selscan.gather(x, path)

    assert_same(got.view(bits.dtype), reference.gather(bits, path))
    apart = selscan.scatter(got, path, merge=False)
    assert_same(apart.view(bits.dtype), np.stack([bits] * 4, axis=1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_16_bits_are_rounded_once(dtype):
    path = Path.of(20, 20, *["v"] * 7)
    rng = np.random.default_rng(0)
    y = rng.standard_normal((2, 7, 3, 400)).astype(numbers((), dtype).dtype)

    got = selscan.scatter(y, path)

    assert_same(got, reference.scatter(y.astype(np.float32), path).astype(y.dtype))


def test_integers_wrap_around():
    path = cross(2, 2)
    y = np.full((1, 4, 1, 4), 100, np.uint8)

    assert selscan.scatter(y, path)[0, 0, 0, 0] == 400 % 256


def test_routes_are_added_up_in_their_order():
    y = np.array([1e8, 1.0, -1e8, 1.0], np.float32).reshape(1, 4, 1, 1)

    assert selscan.scatter(y, cross(1, 1)).item() == 1.0  # 1e8 + 1 is 1e8 in float32


@pytest.mark.parametrize("form", [*forms.ANY_FRAMEWORK, *forms.NUMPY_ONLY])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex128", "int8"])
@pytest.mark.parametrize("name", ["cross", "atrous", "columns and windows"])
def test_strides_are_read_in_place(name, dtype, form):
    path = PATHS[name]
    x, y = maps(path, dtype, d=5), sequences(path, dtype, d=5)

    gathered, scattered = selscan.gather(form(x), path), selscan.scatter(form(y), path)

    assert_same(gathered, reference.gather(x, path))
    assert_same(scattered, reference.scatter(y, path))
    assert gathered.flags.c_contiguous
    assert scattered.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("d", [1, 2, 15, 16, 33, 70])
def test_channels_last_agrees_with_the_reference(d, dtype):
    path = Path.of(9, 20, "v", "h_flip")
    x = np.moveaxis(numbers((2, 9, 20, d), dtype), -1, 1)
    y = np.moveaxis(numbers((2, 2, 180, d), dtype), -1, 2)

    assert_same(selscan.gather(x, path), reference.gather(x, path))
    for merge in (True, False):
        assert_same(selscan.scatter(y, path, merge), reference.scatter(y, path, merge))


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("path", [atrous(6, 8), cross(6, 8)], ids=["apart", "meeting"])
def test_sequences_in_mirror_order_are_read_in_place(path, axis):
    y = np.flip(sequences(path), axis)

    assert_same(selscan.scatter(y, path), reference.scatter(y, path))


def test_routes_that_are_no_whole_number_of_elements_apart_are_read_in_place():
    path = atrous(6, 8)
    y = sequences(path, b=1, d=1)
    memory = np.zeros(path.routes * (y[0, 0].nbytes + 2), np.uint8)
    steps = (memory.nbytes, y[0, 0].nbytes + 2, y[0, 0, 0].nbytes, y.itemsize)
    apart = np.ndarray(y.shape, y.dtype, memory, strides=steps)
    apart[...] = y

    assert_same(selscan.scatter(apart, path), reference.scatter(y, path))


def test_a_map_that_was_broadcast_is_read():
    path = PATHS["cross"]
    x = np.broadcast_to(maps(path, d=1)[:1], (3, 4, 5, path.height, path.width))

    assert_same(selscan.gather(x, path), reference.gather(x, path))


def test_fields_of_a_record_are_read():
    path = cross(4, 20)
    records = np.zeros((2, 3, 4, 20), [("a", "i1"), ("x", "f4")])
    records["x"] = maps(path)

    assert_same(selscan.gather(records["x"], path), reference.gather(records["x"], path))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)], ids=str)
def test_empty_arrays_give_empty_ones(backend, shape):
    path, (b, d) = cross(3, 4), shape

    assert moved(backend, "gather", maps(path, b=b, d=d), path).shape == (b, 4, d, 12)
    assert moved(backend, "scatter", sequences(path, b=b, d=d), path).shape == (b, d, 3, 4)
    apart = moved(backend, "scatter", sequences(path, b=b, d=d), path, False)
    assert apart.shape == (b, 4, d, 3, 4)


def test_what_stands_at_padding_has_no_effect():
    path = window(5, 5, size=4)
    y = sequences(path)
    spoiled = np.where(path.table[None, :, None] < 0, np.nan, y).astype(y.dtype)

    assert_same(selscan.scatter(spoiled, path), selscan.scatter(y, path))


@pytest.mark.parametrize("framework", ["jax", "dlpack"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex128", "int32", "uint8"])
def test_other_frameworks_give_the_same(framework, dtype):
    pytest.importorskip("jax" if framework == "jax" else "torch")
    guest, path = Backend("cpu", framework), PATHS["wide windows"]
    x, y = maps(path, dtype), sequences(path, dtype)

    assert_same(moved(guest, "gather", x, path), reference.gather(x, path))
    assert_same(moved(guest, "scatter", y, path), reference.scatter(y, path))


def test_a_library_that_takes_no_results_back_is_refused_by_the_name_of_the_argument():
    class OneWay:
        """An array that DLPack leads out of only."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    with pytest.raises(TypeError, match=r"^gather: x must be an array of a library that takes"):
        selscan.gather(OneWay(np.ones((1, 1, 2, 2))), cross(2, 2))


def test_a_path_is_moved_along_as_if_it_were_not_joined():
    routes = "h", "v_flip"
    apart, joined = Path.of(6, 7, *routes), Path.of(6, 7, *routes, joined=True)
    x = maps(apart)

    assert_same(selscan.gather(x, joined), selscan.gather(x, apart))
