"""What may be given as a path is the same as the Path that it stands for."""

import functools

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_array_equal
from path_strategies import paths

import selscan
from selscan.paths import Path, cross, cross3d, hilbert, hilbert3d, window

torch = pytest.importorskip("torch")
X = np.arange(2 * 3 * 5 * 7.0).reshape(2, 3, 5, 7)
CROSS = cross(5, 7)
FOUR = ["h", "v", "h_flip", "v_flip"]
SAME = {
    "name": "cross",
    "names": FOUR,
    "tuple of names": tuple(FOUR),
    "maker": cross,
    "function of a table": lambda h, w: cross(h, w).table.tolist(),
    "partial": functools.partial(lambda names, h, w: Path.of(h, w, *names), FOUR),
    "array": CROSS.table,
    "unsigned": CROSS.table.astype("u1"),
    "strided": np.repeat(CROSS.table.astype(">i8"), 2, axis=1)[:, ::2],
    "lists": CROSS.table.tolist(),
    "tuples": tuple(map(tuple, CROSS.table.tolist())),
    "tensor": torch.tensor(CROSS.table),
}


@pytest.mark.parametrize("path", SAME.values(), ids=SAME)
def test_what_stands_for_a_path_moves_as_it_does(path):
    y = selscan.gather(X, path)

    assert_array_equal(y, selscan.gather(X, CROSS))
    assert_array_equal(selscan.scatter(y, path, size=(5, 7)), 4 * X)
    assert_array_equal(selscan.scatter(torch.tensor(y), path, size=[5, 7]), 4 * X)


@pytest.mark.parametrize("path", SAME.values(), ids=SAME)
def test_what_stands_for_a_path_is_scanned_as_it_is(path):
    rng = np.random.default_rng(0)
    delta, A = rng.random((2, 4, 3, 5, 7)), -rng.random((4, 3, 2))
    B, C = rng.random((2, 2, 4, 2, 5, 7))

    y = selscan.scan2d(X, delta, A, B, C, path=path)

    assert_array_equal(y, selscan.scan2d(X, delta, A, B, C, path=CROSS))


@given(paths())
def test_any_table_is_a_path(path):
    x = np.arange(path.pixels).reshape(1, 1, *path.size)

    for table in (path.table, path.table.tolist()):
        found = selscan.gather(x, table, size=path.size)
        assert_array_equal(found, selscan.gather(x, path))


def test_a_row_is_a_path_of_one_route():
    assert_array_equal(selscan.gather(X, [34, -1, 0])[0, 0, 0], [34, 0, 0])
    assert_array_equal(selscan.gather(X, np.array([8]))[0, 0, 0], [8])


def test_maps_for_each_route_take_a_size():
    x = np.repeat(X[:, None], 4, axis=1)

    assert_array_equal(selscan.gather(x, "cross", size=(5, 7)), selscan.gather(X, CROSS))


def test_equal_tables_are_one_path():
    from selscan.ops.given_path import path_over

    found = [path_over("gather", CROSS.table.tolist(), (5, 7)) for _ in range(2)]

    assert found[0] is found[1]
    assert path_over("gather", "hilbert", (5, 7)) is hilbert(5, 7)


@pytest.mark.parametrize(
    ("name", "dynamic"), [("name", False), ("function of a table", True), ("lists", True)]
)
def test_paths_of_all_kinds_are_constants_of_a_graph(name, dynamic):
    torch.compiler.reset()
    function = torch.compile(
        lambda x: selscan.gather(x, SAME[name]) + 1,
        fullgraph=True,
        backend="aot_eager",
        dynamic=dynamic,
    )

    assert_array_equal(function(torch.tensor(X)), selscan.gather(X, CROSS) + 1)


@pytest.mark.parametrize(
    "path",
    ["hilbert", window(5, 7, 2), ["h", "w2"], lambda h, w: np.arange(h * w)[::-1], [[0, 1, 2]]],
    ids=["name", "Path", "names", "function", "lists"],
)
def test_a_mixer_takes_anything_as_a_path(path):
    torch.manual_seed(0)
    mixer = selscan.nn.Mixer2d(4, path, d_state=2)
    x = torch.randn(1, 5, 7, 4)

    y = mixer(x)

    assert y.shape == x.shape
    unfused = selscan.nn.set_fused(mixer, False)(x)
    torch.testing.assert_close(y, unfused, rtol=1e-4, atol=1e-5)


IN_3D = {
    "name": "cross3d",
    "names": ["thw", "twh", "hwt", "thw_flip", "twh_flip", "hwt_flip"],
    "maker": cross3d,
    "function of a table": lambda t, h, w: cross3d(t, h, w).table,
    "lists": cross3d(2, 3, 4).table.tolist(),
}


@pytest.mark.parametrize("path", IN_3D.values(), ids=IN_3D)
def test_what_stands_for_a_path_in_3d_is_scanned_as_it_is(path):
    rng = np.random.default_rng(0)
    u = np.arange(48.0).reshape(1, 2, 2, 3, 4)
    delta, A = rng.random((1, 6, 2, 2, 3, 4)), -rng.random((6, 2, 2))
    B, C = rng.random((2, 1, 6, 2, 2, 3, 4))

    y = selscan.scan3d(u, delta, A, B, C, path=path)

    assert_array_equal(y, selscan.scan3d(u, delta, A, B, C, path=cross3d(2, 3, 4)))
    gathered = selscan.gather(u, path, size=(2, 3, 4))
    assert_array_equal(selscan.scatter(gathered, path, size=(2, 3, 4)), 6 * u)


@pytest.mark.parametrize(
    "path",
    [cross3d, "tri_orientated", lambda t, h, w: np.arange(1, t * h * w, 2), hilbert3d(3, 2, 4)],
    ids=["maker", "name", "partial", "Path"],
)
@pytest.mark.parametrize("gate", [True, False])
def test_a_mixer_of_volumes_is_gather_scan_and_scatter(path, gate):
    torch.manual_seed(0)
    mixer = selscan.nn.Mixer3d(4, path, d_state=2, gate=gate)
    x = torch.randn(1, 3, 2, 4, 4, requires_grad=True)

    fused = torch.autograd.grad(mixer(x).square().sum(), [x, *mixer.parameters()])
    other = selscan.nn.set_fused(mixer, False)
    apart = torch.autograd.grad(other(x).square().sum(), [x, *mixer.parameters()])

    assert mixer(x).shape == x.shape
    torch.testing.assert_close(fused, apart, rtol=1e-3, atol=1e-4)


def test_a_notebook_shows_the_picture_of_a_path_that_is_not_huge():
    assert CROSS._repr_svg_() == CROSS.draw()
    assert cross(224, 224)._repr_svg_() is None
