"""JAX arrays: precision, devices, transforms, and memory that JAX may reuse."""

import types

import numpy as np
import pytest
from calls import INPUTS, STEP_SHAPES, argument, arguments, call, refused
from numpy.testing import assert_array_equal
from processes import run_python

import selscan
from selscan.arrays import guests
from selscan.arrays import jax as arrays

jax = pytest.importorskip("jax")


@pytest.mark.parametrize(("function", "first"), [("scan", "u"), ("scan_step", "state")])
def test_a_tracer_among_arrays_of_another_library_is_refused(function, first):
    inputs = arguments(function)

    with pytest.raises(TypeError) as caught:
        jax.jit(lambda delta: getattr(selscan, function)(**inputs | {"delta": delta}))(
            inputs["delta"]
        )

    assert str(caught.value) == (
        f"{function}: delta must be a NumPy array like {first}; got a jax.DynamicJaxprTracer. "
        f"Under jax.jit and other transforms pass jax.numpy.asarray({first}) as well."
    )


@pytest.mark.parametrize("dtype", ["float64", np.float64, "complex128"])
def test_wide_numbers_are_refused_while_x64_is_off(dtype):
    with jax.enable_x64(True):
        given = argument("scan", "A", "jax", dtype)

    message = refused(TypeError, "scan", "jax", A=given)

    assert message == (
        "scan: A must be float32, complex64 or narrower while jax_enable_x64 is off; got "
        f"{np.dtype(dtype)}."
    )


@pytest.mark.parametrize("dtype", ["float64", np.float64, jax.numpy.float64])
def test_a_wide_out_dtype_is_refused_while_x64_is_off(dtype):
    message = refused(TypeError, "scan", "jax", out_dtype=dtype)

    assert message == (
        "scan: out_dtype must be float32 or narrower while jax_enable_x64 is off; got float64."
    )


def test_a_wide_out_dtype_is_what_it_says_while_x64_is_on():
    with jax.enable_x64(True):
        y, last = call("scan", "jax", out_dtype=jax.numpy.float64)

    assert (y.dtype, last.dtype) == (np.float64, np.float32)


def test_a_step_leaves_the_state_as_it_is_and_returns_a_new_one():
    state = argument("scan_step", "state", "jax")

    _, new = call("scan_step", "jax", state=state)

    assert_array_equal(state, 1)
    assert_array_equal(new, call("scan_step")[1])


@pytest.mark.parametrize("n", [3, 16, 17])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_a_step_is_right_in_both_kernels(wrap, n):
    rng = np.random.default_rng(0)
    shapes = (2, 5, n), (2, 5), (2, 5), (5, n), (2, n), (2, n)
    state, *others = [rng.random(x, np.float32) for x in shapes]
    given = jax.numpy.asarray(state)

    got = wrap(selscan.scan_step)(given, *map(jax.numpy.asarray, others))

    assert_array_equal(given, state)
    for x, want in zip(got, selscan.scan_step(state, *others), strict=True):
        assert_array_equal(x, want)


def test_a_step_does_not_copy_the_state_first(monkeypatch):
    allocated = []
    allocate = guests.GuestArrays.allocate

    def count(output):
        allocated.append(output.layout.shape)
        return allocate(output)

    monkeypatch.setattr(guests.GuestArrays, "allocate", staticmethod(count))

    call("scan_step", "jax")

    assert sorted(allocated) == sorted([STEP_SHAPES["u"], STEP_SHAPES["state"]])


@pytest.mark.parametrize("function", INPUTS)
def test_the_same_bits_as_often_as_a_function_is_called(function):
    first, second = call(function, "jax"), call(function, "jax")

    for x, y in zip(first, second, strict=True):
        assert_array_equal(x, y)


def test_a_result_that_jax_may_reuse_is_nobody_elses():
    y, _ = call("scan", "jax")
    want = np.array(y)

    more = jax.jit(lambda x: x + 1, donate_argnums=0)(y)
    again, _ = call("scan", "jax")

    assert_array_equal(more, want + 1)
    assert_array_equal(again, want)


def test_an_input_that_is_still_being_computed_is_waited_for():
    @jax.jit
    def slow(x):
        ones = jax.lax.fori_loop(0, 300, lambda _, m: m @ m / 300, jax.numpy.ones((300, 300)))
        return x * ones[0, 0]

    slow(argument("scan", "u", "jax")).block_until_ready()
    u = slow(argument("scan", "u", "jax"))
    assert not u.is_ready()

    y, _ = call("scan", "jax", u=u)

    assert_array_equal(y, call("scan")[0])


def test_a_deleted_array_is_refused():
    given = argument("scan", "u", "jax")
    given.delete()

    message = refused(TypeError, "scan", "jax", u=given)

    assert message == (
        "scan: u must be an array that shares its memory; got a jaxlib.ArrayImpl, which raised "
        "RuntimeError: Array has been deleted with shape=float32[2,4,5]."
    )


def test_a_key_is_refused():
    message = refused(TypeError, "scan", "jax", D=jax.random.key(0))

    assert message.startswith(
        "scan: D must be an array that shares its memory; got a jax.PRNGKeyArray, which raised "
    )


@pytest.mark.parametrize(("platform", "device"), [("gpu", "cuda:1"), ("cuda", "cuda:1")])
def test_an_array_on_a_gpu_is_told_by_its_platform(platform, device):
    there = types.SimpleNamespace(platform=platform, id=1)
    array = types.SimpleNamespace(devices=lambda: [there])

    assert arrays.JaxArrays._view("u", array).device == device


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cuda:0", "scan: backend 'cupy' cannot be used: {}."),
        ("tpu:0", "scan: no backend works on tpu arrays; move them to the CPU."),
    ],
)
def test_arrays_on_other_devices_are_refused(device, expected, monkeypatch, missing):
    there = staticmethod(lambda name, array: guests.Elsewhere(device))
    monkeypatch.setattr(arrays.JaxArrays, "_view", there)

    assert refused(selscan.BackendUnavailable, "scan", "jax") == expected.format(missing)


def test_arrays_on_a_gpu_are_refused_where_one_can_be_used(monkeypatch, devices):
    there = staticmethod(lambda name, array: guests.Elsewhere("cuda:0"))
    monkeypatch.setattr(arrays.JaxArrays, "_view", there)

    message = refused(selscan.BackendUnavailable, "scan", "jax")

    assert message == (
        "scan: a JAX array on cuda:0 cannot be used in this version; pass torch tensors or CuPy "
        "arrays, or move the arrays to the CPU."
    )
    assert devices.launches == []


TWO_DEVICES = """
import jax
from jax.sharding import NamedSharding, PartitionSpec

first, second = jax.devices()
arrays = [jax.numpy.asarray(x) for x in (u, delta, A, B, C)]
y = selscan.scan(*arrays)
print(y.device.id, y.committed)
there = [jax.device_put(x, second) for x in arrays]
y = selscan.scan(*there)
print(y.device.id, y.committed)
print(np.array_equal(y, selscan.scan(u, delta, A, B, C)))
with jax.default_device(second):
    y = selscan.scan(*arrays)
print(y.device.id, y.committed)
mesh = jax.make_mesh((2,), ("i",))
for spec in (PartitionSpec("i"), PartitionSpec()):
    try:
        selscan.scan(jax.device_put(arrays[0], NamedSharding(mesh, spec)), *arrays[1:])
    except ValueError as error:
        print(error)
"""


def test_results_are_where_u_is_and_sharded_arrays_are_refused():
    done = run_python(TWO_DEVICES, XLA_FLAGS="--xla_force_host_platform_device_count=2")

    sharded = (
        "scan: u must be on one device; got an array on 2 devices. Pass it through jax.device_put."
    )
    assert done.stdout.splitlines() == [
        "0 False",
        "1 True",
        "True",
        "0 False",
        sharded,
        sharded,
    ], done.stderr
