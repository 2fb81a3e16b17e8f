"""DLPack: capsules of every kind, devices, and what a producer may get wrong."""

import gc
import sys

import ml_dtypes
import numpy as np
import pytest
from calls import INPUTS, argument, call, refused
from numpy.testing import assert_array_equal
from producers import COPIED, READ_ONLY, Counted, Shared

import selscan
from selscan.arrays import dlpack

SHAPE = (2, 4, 5)
KINDS = {
    "newest": {},
    "legacy": {"legacy": True},
    "read-only": {"flags": READ_ONLY},
    "copied": {"flags": COPIED},
    "offset": {"offset": 24},
    "no strides": {"legacy": True, "strides": False},
}
# What the capsule says that its elements are, and how the refusal ends.
STRANGE = {
    "float8": (10, 8, 1),
    "two lanes": (2, 32, 2),
    "int128": (0, 128, 1),
    "opaque": (3, 64, 1),
}


def numbers(dtype="float32"):
    return np.random.default_rng(0).normal(size=SHAPE).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", ml_dtypes.bfloat16, "float16", "complex64"]
)
def test_a_capsule_of_any_kind_is_read_in_place(kind, dtype):
    array = numbers(dtype)

    view = dlpack.view(Counted(array, **KINDS[kind]))

    assert view.dtype == array.dtype
    assert view.__array_interface__["data"][0] == array.__array_interface__["data"][0]
    assert view.strides == array.strides
    assert_array_equal(view, array)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_an_array_can_be_written_where_its_capsule_says_so(kind, dtype):
    array = numbers(dtype)[:, ::-1]

    view = dlpack.view(Counted(array, **KINDS[kind] | {"strides": True}), in_place=True)

    assert view.flags.writeable == (kind in ("newest", "offset"))
    assert view.dtype == array.dtype
    assert view.strides == array.strides
    assert_array_equal(view, array)
    assert np.shares_memory(view, array)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_the_type_in_a_capsule_is_what_it_was_when_it_is_deleted(legacy, dtype):
    producer = Counted(numbers(dtype), legacy=legacy)

    view = dlpack.view(producer)

    [managed] = producer._alive.values()
    code, bits, lanes = producer._type
    assert (managed.tensor.code, managed.tensor.bits, managed.tensor.lanes) == (code, bits, lanes)
    assert view.shape == SHAPE


@pytest.mark.parametrize("kind", KINDS)
def test_a_capsule_is_deleted_once_after_a_call(kind):
    given = {x: Counted(argument("scan", x), **KINDS[kind]) for x in INPUTS["scan"]}

    results = call("scan", "dlpack", **given)
    gc.collect()

    assert {(x.made, x.deleted) for x in given.values()} == {(1, 1)}
    assert {type(x) for x in results} == {Shared}


@pytest.mark.parametrize("wrong", [{"layout": "dbl"}, {"D": np.ones(4)}, {"backend": "cupy"}])
def test_a_capsule_is_deleted_once_after_a_refusal(wrong):
    given = {x: Counted(argument("scan", x)) for x in INPUTS["scan"]}

    with pytest.raises((TypeError, ValueError)):
        call("scan", "dlpack", **given | wrong)
    gc.collect()

    assert all(x.made == x.deleted for x in given.values())


@pytest.mark.parametrize("type_", STRANGE.values(), ids=STRANGE)
def test_elements_that_numpy_does_not_have_are_refused(type_):
    given = Counted(np.ones(4), type_=type_)

    message = refused(TypeError, "scan", "dlpack", D=given)
    gc.collect()

    assert message.startswith(
        "scan: D must be an array that shares its memory; got a producers.Counted, which raised "
    )
    assert "Unsupported" in message or "lanes" in message
    assert given.made == given.deleted == 1


def test_a_capsule_of_a_later_dlpack_is_refused():
    given = Counted(np.ones(4, ml_dtypes.bfloat16), major=2)

    message = refused(TypeError, "scan", "dlpack", D=given)
    gc.collect()

    assert message.startswith(
        "scan: D must be an array that shares its memory; got a producers.Counted, which raised "
        "BufferError: "
    )
    assert "major version" in message
    assert given.made == given.deleted == 1


def test_what_is_no_capsule_is_refused():
    class NoCapsule(Shared):
        """Returns itself."""

        __module__ = "producers"

        def __dlpack__(self, **_):
            return self

    message = refused(TypeError, "scan", "dlpack", D=NoCapsule(np.ones(4)))

    assert "got a producers.NoCapsule, which raised ValueError: " in message


@pytest.mark.parametrize("method", ["__dlpack__", "__dlpack_device__"])
@pytest.mark.parametrize("name", ["u", "D"])
def test_what_a_producer_raises_is_said(method, name):
    def fails(self, **_):
        raise BufferError("the tensor requires a gradient.")

    failing = type("Failing", (Shared,), {method: fails, "__module__": "producers"})

    message = refused(TypeError, "scan", "dlpack", **{name: failing(argument("scan", name))})

    assert message == (
        f"scan: {name} must be an array that shares its memory; got a producers.Failing, which "
        "raised BufferError: the tensor requires a gradient."
    )


class Elsewhere(Shared):
    """An array whose memory must not be touched from here."""

    __module__ = "producers"
    device = 2, 0

    def __dlpack__(self, **_):
        raise AssertionError("asked for memory on another device")

    def __dlpack_device__(self):
        return self.device


def test_arrays_on_cuda_are_refused_where_something_is_missing(missing):
    message = refused(selscan.BackendUnavailable, "scan", "dlpack", u=Elsewhere(numbers()))

    assert message == f"scan: backend 'cupy' cannot be used: {missing}."


@pytest.mark.parametrize(("device", "name"), [((8, 0), "metal"), ((99, 1), "DLPack device 99")])
def test_arrays_on_a_device_that_no_backend_serves_are_refused(device, name, monkeypatch):
    monkeypatch.setattr(Elsewhere, "device", device)

    message = refused(selscan.BackendUnavailable, "scan", "dlpack", u=Elsewhere(numbers()))

    assert message == f"scan: no backend works on {name} arrays; move them to the CPU."


@pytest.mark.parametrize(
    ("function", "name"), [("scan", "D"), ("scan_backward", "dy"), ("scan_step", "A")]
)
def test_arrays_on_two_devices_are_refused(function, name):
    given = Elsewhere(argument(function, name))

    message = refused(ValueError, function, "dlpack", **{name: given})

    assert message == f"{function}: {name} must be on cpu like u; got cuda:0."


@pytest.mark.usefixtures("missing")
def test_the_cpu_backend_does_not_take_arrays_on_cuda():
    message = refused(ValueError, "scan", "dlpack", u=Elsewhere(numbers()), backend="cpu")

    assert message == (
        "scan: backend must be one for arrays on cuda:0; got 'cpu', which works on cpu arrays."
    )


def test_a_state_is_written_in_place():
    memory = np.zeros((2, 4, 3), np.float32)
    state = Counted(memory)

    y, new = call("scan_step", "dlpack", state=state)

    assert new is state
    assert_array_equal(memory, call("scan_step", state=np.zeros_like(memory))[1])
    assert type(y) is Shared


@pytest.mark.parametrize("kind", ["read-only", "copied", "legacy"])
def test_a_state_that_its_library_does_not_let_write_is_refused(kind):
    state = Counted(argument("scan_step", "state"), **KINDS[kind])

    message = refused(ValueError, "scan_step", "dlpack", state=state)

    assert message == (
        "scan_step: state must be writable, it is updated in place; got an array that its library "
        "shares for reading only. Pass it to selscan.scan as initial_state."
    )
    assert_array_equal(state.array, 1)


def test_a_state_that_its_library_would_copy_is_refused():
    class Copying(Shared):
        """As a library that has to."""

        __module__ = "producers"

        def __dlpack__(self, *, copy=None, **keywords):
            if copy is False:
                raise BufferError("cannot share without a copy")
            return self.array.copy().__dlpack__(**keywords)

    state = Copying(argument("scan_step", "state"))

    message = refused(TypeError, "scan_step", "dlpack", state=state)

    assert message.endswith("which raised BufferError: cannot share without a copy.")


def test_without_ml_dtypes_bfloat16_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)

    message = refused(TypeError, "scan", "dlpack", D=Counted(np.ones(4, ml_dtypes.bfloat16)))

    assert message.startswith("scan: D must be an array that shares its memory; ")
    assert "pip install ml_dtypes" in message
