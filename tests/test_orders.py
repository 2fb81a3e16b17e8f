"""Orders per sample: a table (b, k, l) in the place of a path."""

import numpy as np
import pytest
from harness import to_numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from map_strategies import make_map_problem, with_dy
from moving import assert_same, numbers
from path_strategies import orders
from producers import Shared
from tolerances import arithmetic, assert_within

import reference
import selscan
from reference import sample_by_sample
from selscan import backends
from selscan.backends import cpu
from selscan.ops import scan2d as ops2d
from selscan.paths import Path

torch = pytest.importorskip("torch")
OPTIONS = ("delta_softplus", "merge", "out_dtype")


@st.composite
def tables(draw):
    """A table over small maps, and their size."""
    size = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    b, k, seed = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 999))
    table = orders(size, b, k, draw(st.integers(1, 20)), seed, draw(st.sampled_from(["i4", "i8"])))
    if draw(st.booleans()):
        table = np.repeat(table, 2, axis=2)[..., ::2]
    return table, size


@settings(max_examples=25)
@given(tables(), st.sampled_from(["float32", "bfloat16", "int64"]), st.booleans(), st.booleans())
def test_what_is_gathered_and_scattered_is_that_of_the_reference(found, dtype, per_route, merge):
    (table, size), d = found, 3
    b, k, l = table.shape
    x = numbers((b, k, d, *size) if per_route else (b, d, *size), dtype)
    y = numbers((b, k, d, l), dtype, seed=1)

    gathered = selscan.gather(x, table, size=size)
    scattered = selscan.scatter(y, table, merge, size=size)

    assert_same(gathered, sample_by_sample(reference.gather, table, size, x=x))
    assert_same(scattered, sample_by_sample(reference.scatter, table, size, y=y, merge=merge))


@settings(max_examples=15)
@given(
    tables(),
    st.tuples(*[st.sampled_from(["maps", "channels last", "in order", "sliced"])] * 4),
    st.sampled_from([1, 3, 5]),
    st.booleans(),
    st.booleans(),
)
def test_a_scan_and_its_gradients_are_those_of_the_reference(found, forms, n, per_route, merge):
    table, size = found
    *depth, height, width = size
    like = Path(table[0], height, width, False, *depth)
    made = {"b": len(table), "d": 5, "n": n, "forms": forms, "per_route": per_route, "merge": merge}
    problem = make_map_problem(like, **made)
    problem.pop("path")
    inputs = {x: torch.from_numpy(v.copy()) for x, v in problem.items() if x not in OPTIONS}
    inputs = {x: v.requires_grad_() for x, v in inputs.items()}
    options = {x: problem[x] for x in OPTIONS if x in problem}
    scan = selscan.scan2d if len(size) == 2 else selscan.scan3d
    problem["dy"] = with_dy(problem | {"path": like})["dy"]

    y = scan(**inputs, **options, path=torch.from_numpy(table.copy()))
    grads = torch.autograd.grad(y, list(inputs.values()), torch.from_numpy(problem["dy"]))

    forward = {x: v for x, v in problem.items() if x != "dy"}
    want = sample_by_sample(reference.scan2d, table, size, **forward)
    bound = sample_by_sample(reference.scan2d_error_bound, table, size, **forward)
    assert_within(y.detach().numpy(), want, bound, arithmetic(problem))
    want = sample_by_sample(reference.scan2d_backward, table, size, **problem)
    bound = sample_by_sample(reference.scan2d_backward_error_bound, table, size, **problem)
    for name, grad in zip(inputs, grads, strict=True):
        of = getattr(want, name), getattr(bound, name)
        assert_within(grad.numpy(), *of, arithmetic(problem))


def scan_of_ones(table, array=np.asarray, **options):
    """A small scan2d over maps of 3 x 4 pixels, in float32."""
    b, k = table.shape[:2]
    u = np.arange(b * 24, dtype=np.float32).reshape(b, 2, 3, 4)
    maps, A = np.ones((b, k, 2, 3, 4), np.float32), -np.ones((k, 2, 2), np.float32)
    return selscan.scan2d(*map(array, (u, maps, A, maps, maps)), path=table, **options)


RANGE = "-1 for padding or a pixel number from 0 to 11 everywhere; got {} in route 1, step 2 of "
ONCE = "routes that visit a pixel at most once; got pixel {} twice in route 1 of "
WRONG = {
    12: f"{RANGE}sample 1.",
    -2: f"{RANGE}sample 1.",
    2**33: f"{RANGE}sample 1.",
    1: f"{ONCE}sample 1, at steps 1 and 2.",
}


@pytest.mark.parametrize("number", WRONG)
@pytest.mark.parametrize("array", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_a_wrong_number_is_refused_and_found(number, array):
    table = np.tile(np.arange(12), (2, 2, 1))
    table[1, 1, 2] = number

    with pytest.raises(ValueError, match="of sample 1") as error:
        scan_of_ones(array(table), array)

    assert str(error.value) == f"scan2d: path must be {WRONG[number].format(number)}"
    with pytest.raises(ValueError, match=r"^scatter: path must be .* of sample 1"):
        selscan.scatter(array(np.ones((2, 2, 1, 12))), table, size=(3, 4))


def test_every_thread_says_what_is_wrong(scan_threads):
    scan_threads(3)
    table = np.tile(np.arange(12), (9, 2, 1))
    right = scan_of_ones(table)

    table[8, 1, 11] = -7

    assert np.isfinite(right).all()
    with pytest.raises(ValueError, match="got -7 in route 1, step 11 of sample 8"):
        scan_of_ones(table)


def test_another_table_is_no_other_plan():
    first, second = orders((3, 4)), orders((3, 4), seed=1)
    want = [scan_of_ones(x) for x in (first, second)]
    ops2d.prepare_forward.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        plans = []
        plan = cpu.forward_plan
        patch.setattr(cpu, "forward_plan", lambda *x: plans.append(x) or plan(*x))
        got = [scan_of_ones(x) for x in (first, second)]

    assert len(plans) == 1
    assert not np.array_equal(*want)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_order_for_all_samples_is_a_path():
    table = orders((3, 4), b=1)
    path = Path(table[0], 3, 4)
    u = np.ones((3, 2, 3, 4), np.float32)

    every = np.broadcast_to(table, (3, *table.shape[1:]))

    assert_same(selscan.gather(u, every), selscan.gather(u, path))


def test_gradients_of_moves_are_moves_of_the_same_orders():
    table = torch.from_numpy(orders((3, 4)))
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)

    def moved(x):
        return selscan.scatter(selscan.gather(x, table) ** 2, table, False, size=(3, 4))

    assert torch.autograd.gradcheck(moved, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(moved, x)
    mapped = torch.func.vmap(selscan.gather)(torch.stack([x, x + 1]), torch.stack([table] * 2))
    assert torch.equal(mapped[1], selscan.gather(x + 1, table))


def test_orders_are_operands_of_a_graph():
    torch.compiler.reset()

    @torch.compile(fullgraph=True, backend="aot_eager")
    def compiled(u, table):
        y = scan_of_ones(table, torch.from_numpy)
        return y + selscan.scatter(selscan.gather(u, table), table, size=(3, 4))

    u = torch.rand(2, 2, 3, 4)
    for seed in (0, 1):
        table = torch.from_numpy(orders((3, 4), seed=seed))
        want = scan_of_ones(table, torch.from_numpy)
        want = want + selscan.scatter(selscan.gather(u, table), table, size=(3, 4))
        torch.testing.assert_close(compiled(u, table), want, rtol=0, atol=0)
    with pytest.raises(ValueError, match="of sample 0"):
        compiled(u, table + 12)


def test_under_a_compiler_a_table_of_any_library_is_one_for_all_samples():
    torch.compiler.reset()
    u, table = torch.rand(2, 2, 3, 4), orders((3, 4))[0]
    want = selscan.gather(u, table)

    for path in (table, torch.from_numpy(table)):
        compiled = torch.compile(
            lambda u, path=path: selscan.gather(u, path), fullgraph=True, backend="aot_eager"
        )
        assert torch.equal(compiled(u), want)
    row = torch.compile(lambda u: selscan.gather(u, table[0]), backend="aot_eager")
    assert torch.equal(row(u), selscan.gather(u, table[0]))


def test_orders_are_operands_of_the_operators():
    u, table = torch.rand(2, 2, 3, 4), torch.from_numpy(orders((3, 4)))
    y = selscan.gather(u, table)

    torch.library.opcheck(torch.ops.selscan.gather, (u, "", None, table, [3, 4]))
    torch.library.opcheck(torch.ops.selscan.scatter, (y, "", True, None, table, [3, 4]))
    mapped = torch.func.vmap(torch.ops.selscan.gather, (None, None, None, 0, None))
    assert torch.equal(
        mapped(u, "", None, table.flip(0)[None], [3, 4])[0], selscan.gather(u, table.flip(0))
    )
    maps, A = torch.ones(2, 2, 2, 3, 4), -torch.ones(2, 2, 2)
    inputs = u.requires_grad_(), maps, A, maps, maps, None, None
    torch.library.opcheck(
        torch.ops.selscan.scan2d, (*inputs, "", True, True, None, None, table, [3, 4])
    )


def test_jax_compiles_differentiates_and_maps_over_orders():
    jax = pytest.importorskip("jax")
    table = orders((3, 4), dtype=np.int32)
    x = np.random.default_rng(0).random((2, 3, 3, 4), np.float32)

    @jax.jit
    def loss(x, table):
        return (selscan.gather(x, table) ** 2).sum()

    want = selscan.scatter(2 * selscan.gather(x, table), table, size=(3, 4))
    np.testing.assert_allclose(jax.grad(loss)(x, table), want, rtol=1e-6)
    mapped = jax.vmap(selscan.gather)(np.stack([x, x]), np.stack([table, table[::-1]]))
    np.testing.assert_array_equal(mapped[1], selscan.gather(x, table[::-1]))
    scan = jax.jit(lambda table: scan_of_ones(table, jax.numpy.asarray))
    np.testing.assert_array_equal(scan(table), scan_of_ones(table))
    grad = jax.grad(lambda u: scan_of_ones(table, lambda x: u * jax.numpy.asarray(x)).sum())(1.0)
    one = torch.ones((), requires_grad=True)
    scan_of_ones(table, lambda x: one * torch.from_numpy(x)).sum().backward()
    np.testing.assert_allclose(grad, one.grad, rtol=1e-5)
    with pytest.raises((ValueError, RuntimeError), match="path must be -1 for padding or pixel"):
        jax.block_until_ready(loss(x, table + 12))


class Guest(Shared):
    """An array of a library with DLPack that says what it looks like."""

    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)


@pytest.mark.parametrize("library", ["jax", "dlpack"])
def test_guests_bring_orders_or_take_those_of_numpy(library):
    table = orders((3, 4), dtype=np.int32)
    array = pytest.importorskip("jax").numpy.asarray if library == "jax" else Guest

    for found in (scan_of_ones(array(table), array), scan_of_ones(table, array)):
        np.testing.assert_array_equal(to_numpy(found), scan_of_ones(table))
    x = np.ones((2, 1, 3, 4), np.float32)
    gathered = selscan.gather(array(x), array(table))
    np.testing.assert_array_equal(to_numpy(gathered), selscan.gather(x, table))


def test_a_backend_without_orders_says_so():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "SERVES", cpu.SERVES - {"orders_per_sample"})
        backends.forget()
        with pytest.raises(selscan.BackendUnavailable, match="has orders_per_sample; move the"):
            scan_of_ones(orders((3, 4)))
    backends.forget()
