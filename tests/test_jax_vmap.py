"""vmap over any arguments: one larger call where that can be, and the numbers of a loop."""

import functools

import numpy as np
import pytest

import selscan
from selscan.paths import Path

jax = pytest.importorskip("jax")

from jax import numpy as jnp  # noqa: E402

SIZE = 3
B, D, L, N = 2, 6, 7, 4
SHAPES = {
    "u": (B, D, L),
    "delta": (B, D, L),
    "A": (D, N),
    "B": (B, N, L),
    "C": (B, 2, N, L),
    "D": (D,),
    "z": (B, D, L),
    "delta_bias": (D,),
    "initial_state": (B, D, N),
    "seq_idx": (B, L),
}
ALL = frozenset(SHAPES)
SEQUENCES = frozenset(("u", "delta", "B", "C", "z", "initial_state", "seq_idx"))
MAPPED = {
    "u": {"u"},
    "sequences": SEQUENCES,
    "A": {"A"},
    "constant B": {"B"},
    "all but numbers of sequences": ALL - {"seq_idx"},
    "numbers of sequences": {"seq_idx"},
    "A and numbers of sequences": {"A", "seq_idx"},
    "all": ALL,
}
# Those that neither batch nor channels can take up, channels not where B and C are constant.
ONE_BY_ONE = ("constant B", "A and numbers of sequences", "all")


def numbers(name, shape):
    rng = np.random.default_rng(sum(map(ord, name)))
    if name == "seq_idx":
        return jnp.asarray(rng.integers(0, 2, shape).astype(np.int32))
    x = rng.normal(size=shape).astype(np.float32)
    return jnp.asarray(-abs(x) if name == "A" else x)


def arrays_of(mapped, shapes):
    return {x: numbers(x, (SIZE,) * (x in mapped) + shape) for x, shape in shapes.items()}


def scan_and_gradients(arrays, **options):
    """y, the last state, and the gradient of a function of both."""
    fixed = {x: v for x, v in arrays.items() if x == "seq_idx"}

    def loss(others):
        results = selscan.scan(
            **others, **fixed, delta_softplus=True, return_last_state=True, **options
        )
        return sum(jnp.sin(x).sum() for x in results), results

    others = {x: v for x, v in arrays.items() if x not in fixed}
    gradients, results = jax.grad(loss, has_aux=True)(others)
    return results, gradients


def assert_like_a_loop(function, arrays, mapped):
    axes = {x: 0 if x in mapped else None for x in arrays}
    got = jax.jit(jax.vmap(function, (axes,)))(arrays)
    single = jax.jit(function)
    parts = [
        single({x: v[i] if x in mapped else v for x, v in arrays.items()}) for i in range(SIZE)
    ]
    want = jax.tree.map(lambda *x: jnp.stack(x), *parts)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, got, want)


@pytest.mark.parametrize("name", MAPPED)
def test_vmap_is_a_loop(name):
    shapes = SHAPES | dict.fromkeys("BC", (D, N) if name == "constant B" else (B, 2, N, L))

    assert_like_a_loop(scan_and_gradients, arrays_of(MAPPED[name], shapes), MAPPED[name])


def test_vmap_of_channels_last_is_a_loop():
    last = {"u", "delta", "z", "B", "C"}
    shapes = SHAPES | {"B": (B, N, L), "C": (B, N, L)}
    shapes = {x: (s[0], s[2], s[1]) if x in last else s for x, s in shapes.items()}
    function = functools.partial(scan_and_gradients, layout="bld")

    for mapped in (SEQUENCES, ALL - {"seq_idx"}):
        assert_like_a_loop(function, arrays_of(mapped, shapes), mapped)


@pytest.mark.parametrize("name", MAPPED)
def test_vmap_is_one_call_where_it_can_be(name):
    shapes = SHAPES | dict.fromkeys("BC", (D, N) if name == "constant B" else (B, 2, N, L))
    arrays = arrays_of(MAPPED[name], shapes)
    axes = {x: 0 if x in MAPPED[name] else None for x in arrays}

    program = str(jax.make_jaxpr(jax.vmap(scan_and_gradients, (axes,)))(arrays))

    assert ("scan[" in program) == (name in ONE_BY_ONE)


def test_vmaps_nest():
    arrays = {x: jnp.stack([v, 2 * v]) for x, v in arrays_of({"u", "delta"}, SHAPES).items()}
    arrays = {x: v if x in ("u", "A") else v[0] for x, v in arrays.items()}
    arrays.pop("seq_idx")
    shared = {x: v for x, v in arrays.items() if x not in ("u", "delta", "A")}
    shared["B"] = jnp.stack([shared["B"]] * 2, 1)

    def function(u, delta, A):
        return selscan.scan(u, delta, A, **shared)

    inner = jax.vmap(function, (0, 0, None))
    got = jax.vmap(inner, (0, None, 0))(arrays["u"], arrays["delta"], arrays["A"])

    for i in range(2):
        for j in range(SIZE):
            want = function(arrays["u"][i, j], arrays["delta"][j], arrays["A"][i])
            np.testing.assert_allclose(got[i, j], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mapped", [("state", "u", "delta", "B", "C"), ("A", "B"), ("u",)], ids=str)
def test_vmap_of_a_step_is_a_loop(mapped):
    shapes = {"state": (B, D, N), "u": (B, D), "delta": (B, D), "A": (D, N)}
    shapes |= {"B": (B, N), "C": (D, N)}

    def step(arrays):
        return selscan.scan_step(**arrays, delta_softplus=True)

    assert_like_a_loop(step, arrays_of(mapped, shapes), mapped)


@pytest.mark.parametrize("mapped", [("u", "delta", "B", "C"), ("A",), ("u",)], ids=str)
@pytest.mark.parametrize("joined", [True, False])
def test_vmap_of_a_map_is_a_loop(mapped, joined):
    path = Path.of(3, 4, "w2", "v_flip", joined=joined)
    k, l = path.table.shape
    k, l = (1, k * l) if joined else (k, l)
    shapes = {"u": (B, D, 3, 4), "delta": (B, k, D, l), "A": (k, D, N)}
    shapes |= {"B": (B, k, N, l), "C": (B, k, N, l)}

    def gradients(arrays):
        return jax.grad(lambda x: jnp.sin(selscan.scan2d(**x, path=path)).sum())(arrays)

    assert_like_a_loop(gradients, arrays_of(mapped, shapes), mapped)


def test_vmap_of_gather_and_scatter_is_a_loop():
    path = Path.of(3, 4, "w2", "v_flip")

    def there_and_back(arrays):
        y = selscan.gather(arrays["x"], path)
        return y, selscan.scatter(jnp.sin(y), path), selscan.scatter(y, path, merge=False)

    assert_like_a_loop(there_and_back, arrays_of({"x"}, {"x": (B, D, 3, 4)}), {"x"})


def test_a_jacobian_by_vmap_of_the_backward():
    arrays = {x: numbers(x, SHAPES[x]) for x in ("u", "delta", "A", "B")}
    function = functools.partial(selscan.scan, C=arrays["B"])

    jacobian = jax.jacrev(lambda A: function(**arrays | {"A": A})[0, 0])(arrays["A"])

    for t in range(L):
        want = jax.grad(lambda A, t=t: function(**arrays | {"A": A})[0, 0, t])(arrays["A"])
        np.testing.assert_allclose(jacobian[t], want, rtol=1e-5, atol=1e-6)
