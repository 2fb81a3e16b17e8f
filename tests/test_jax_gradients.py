"""Gradients in JAX: against finite differences, through its transforms, and what is refused."""

import functools

import numpy as np
import pytest
from rounding import assert_same_numbers, problem_of_ties, rounded
from strategies import make_problem

import selscan
from selscan.paths import bidirectional, cross

jax = pytest.importorskip("jax")

from jax import numpy as jnp  # noqa: E402
from jax.test_util import check_grads  # noqa: E402
from jitted import split  # noqa: E402

LAYOUTS = ({}, {"layout": "bld", "reverse": True}, {"seq_idx": "two"}, {"dtype": "complex128"})
PATH = cross(3, 4)
REVERSE_ONLY = "forward-mode automatic differentiation is not supported; use jax.grad or jax.vjp."
ONCE = (
    "double backward is not supported; to use gradients as constants, call "
    "jax.lax.stop_gradient on them."
)


@pytest.fixture(autouse=True)
def precision():
    with jax.enable_x64(True):
        yield


def inputs_of(**options):
    """The differentiable inputs, and a function of them that returns y and the last state."""
    problem = make_problem(**{"b": 2, "d": 3, "n": 2, "l": 5, "dtype": "float64"} | options)
    arrays, others = split(problem)
    seq_idx = jnp.asarray(arrays.pop("seq_idx")) if "seq_idx" in arrays else None

    def function(arrays):
        return selscan.scan(**arrays, **others, seq_idx=seq_idx, return_last_state=True)

    return {x: jnp.asarray(v) for x, v in arrays.items()}, function


def map_inputs():
    rng = np.random.default_rng(0)
    shapes = {"u": (1, 2, 3, 4), "delta": (1, 4, 2, 3, 4), "A": (4, 2, 2), "D": (4, 2)}
    shapes |= dict.fromkeys("BC", (1, 4, 2, 3, 4))
    arrays = {x: jnp.asarray(rng.normal(size=s)) for x, s in shapes.items()}
    return arrays, functools.partial(lambda x: selscan.scan2d(**x, path=PATH, delta_softplus=True))


def total(function):
    """The sum of the squares of all results."""
    return lambda x: sum((abs(y) ** 2).sum() for y in jax.tree.leaves(function(x)))


def moves():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 3, 4)))
    y = selscan.gather(x, PATH)
    yield "gather", x, lambda x: selscan.gather(x, PATH)
    yield "scatter", y, lambda y: selscan.scatter(y, PATH)
    yield "scatter apart", y, lambda y: selscan.scatter(y, PATH, merge=False)
    yield "gather apart", jnp.stack([x] * 4, 1), lambda x: selscan.gather(x, PATH)


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_gradients_are_those_of_finite_differences(options):
    arrays, function = inputs_of(**options)

    check_grads(jax.jit(function), (arrays,), order=1, modes=["rev"])


def test_gradients_of_a_step_are_those_of_finite_differences():
    arrays, _ = inputs_of(l=1)
    state = arrays.pop("initial_state")
    arrays = {x: v[..., 0] if x in ("u", "delta", "z", "B", "C") else v for x, v in arrays.items()}

    check_grads(
        jax.jit(lambda state, x: selscan.scan_step(state, **x, delta_softplus=True)),
        (state, arrays),
        order=1,
        modes=["rev"],
    )


def test_gradients_of_maps_are_those_of_finite_differences():
    arrays, function = map_inputs()

    check_grads(jax.jit(function), (arrays,), order=1, modes=["rev"])


@pytest.mark.parametrize("move", [*moves()], ids=lambda x: x[0])
def test_gather_and_scatter_have_gradients_of_every_order(move):
    _, array, function = move

    check_grads(lambda x: function(x) ** 3, (array,), order=2, modes=["rev"])


def test_the_gradient_of_a_complex_number_is_as_jax_defines_it():
    arrays, function = inputs_of(dtype="complex128", l=3)

    def loss(A):
        y, last = function(arrays | {"A": A})
        return (y**2).sum() + (abs(last) ** 2).sum()

    gradient, A, step = jax.grad(loss)(arrays["A"]), arrays["A"], 1e-6
    for direction in (1, 1j):
        moved = jnp.zeros_like(A).at[0, 0].set(step * direction)
        slope = (loss(A + moved) - loss(A - moved)) / (2 * step)
        assert float(slope) == pytest.approx(float((gradient[0, 0] * direction).real), rel=1e-6)


def test_a_gradient_takes_two_kernels():
    """The forward keeps states for the backward."""
    arrays, function = inputs_of()

    program = jax.jit(jax.value_and_grad(total(function))).lower(arrays).as_text()

    assert program.count("@selscan_cpu") == 2


def test_checkpoint_changes_no_gradient():
    arrays, function = inputs_of()

    want = jax.grad(total(function))(arrays)
    got = jax.jit(jax.grad(jax.checkpoint(total(function))))(arrays)

    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12), got, want)


def test_scan_backward_is_traced_as_well():
    problem = make_problem(b=2, d=5, n=3, l=7, dtype="complex64")
    arrays, options = split(problem)
    dy = np.ones_like(arrays["u"])
    want = selscan.scan_backward(dy, **arrays, **options)

    got = jax.jit(lambda dy, x: selscan.scan_backward(dy, **x, **options))(dy, arrays)

    for x, y in zip(got, want, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


def forward_modes():
    yield "jvp", lambda f, x: jax.jvp(f, (x,), (x,))
    yield "jvp of jit", lambda f, x: jax.jvp(jax.jit(f), (x,), (x,))
    yield "jit of jvp", lambda f, x: jax.jit(lambda x: jax.jvp(f, (x,), (x,)))(x)
    yield "jacfwd", lambda f, x: jax.jacfwd(f)(x)
    yield "linearize", lambda f, x: jax.linearize(f, x)[1](x)
    yield "vmap of jvp", lambda f, x: jax.vmap(lambda x: jax.jvp(f, (x,), (x,)))(x[None])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_traced_sums_in_float64_are_rounded_to_16_bits_once(dtype):
    dtype = jnp.dtype(dtype)
    ties, problem = problem_of_ties(dtype)

    with jax.enable_x64(True):
        found = np.asarray(jax.jit(selscan.scan_backward)(**problem).C[0, 0])

    normal = np.abs(ties) >= float(jnp.finfo(dtype).tiny)  # XLA flushes others
    assert_same_numbers(found[normal], rounded(ties, dtype)[normal])


@pytest.mark.parametrize("mode", [*forward_modes()], ids=lambda x: x[0])
@pytest.mark.parametrize("function", ["scan", "scan2d", "gather"])
def test_forward_mode_is_refused(function, mode):
    def of_maps(u):
        arrays, call = map_inputs()
        return call(arrays | {"u": u})

    def of_sequences(u):
        arrays, call = inputs_of()
        return call(arrays | {"u": u})[0]

    functions = {
        "scan": (of_sequences, inputs_of()[0]["u"]),
        "scan2d": (of_maps, map_inputs()[0]["u"]),
        "gather": (lambda x: selscan.gather(x, PATH), jnp.ones((1, 2, 3, 4))),
    }

    with pytest.raises(NotImplementedError) as caught:
        mode[1](*functions[function])

    assert str(caught.value) == f"{function}: {REVERSE_ONLY}"


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.checkpoint], ids=["plain", "checkpoint"])
def test_a_second_derivative_is_refused(wrap, jit):
    arrays, function = inputs_of()
    first = jax.grad(wrap(lambda u: total(function)(arrays | {"u": u})))
    second = jax.grad(lambda u: first(u).sum())

    with pytest.raises(RuntimeError) as caught:
        (jax.jit(second) if jit else second)(arrays["u"])

    assert str(caught.value) == f"scan: {ONCE}"


def test_a_gradient_may_be_used_as_a_constant():
    arrays, function = inputs_of()

    def loss(u):
        gradient = jax.grad(lambda u: total(function)(arrays | {"u": u}))(jax.lax.stop_gradient(u))
        return (u * jax.lax.stop_gradient(gradient)).sum()

    np.testing.assert_array_equal(
        jax.grad(loss)(arrays["u"]), jax.grad(total(function))(arrays)["u"]
    )


def test_gradients_go_through_a_scan_of_scans():
    arrays, function = inputs_of(l=4)

    def loss(u, steps):
        def step(u, _):
            return jnp.tanh(function(arrays | {"u": u})[0]), u.sum()

        return jax.lax.scan(step, u, None, length=steps)[1].sum()

    def unrolled(u):
        sums = 0
        for _ in range(3):
            sums, u = sums + u.sum(), jnp.tanh(function(arrays | {"u": u})[0])
        return sums

    got = jax.jit(jax.grad(loss), static_argnums=1)(arrays["u"], 3)

    np.testing.assert_allclose(got, jax.grad(unrolled)(arrays["u"]), rtol=1e-12)


def test_paths_of_equal_tables_share_a_program():
    """A path is part of the program: no matter which of two equal ones is passed."""
    traced = []

    @functools.partial(jax.jit, static_argnums=1)
    def gather(x, path):
        traced.append(path)
        return selscan.gather(x, path)

    for _ in range(2):
        gather(jnp.ones((1, 1, 2, 3)), bidirectional(2, 3))

    assert len(traced) == 1
