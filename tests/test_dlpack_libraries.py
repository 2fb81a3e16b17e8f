"""DLPack: how results find the way back into their library, and its dtypes."""

import sys
import types

import numpy as np
import pytest
from calls import INPUTS, argument, call, refused
from numpy.testing import assert_array_equal
from producers import Counted, Shared

import selscan

REQUIRED = ("u", "delta", "A", "B", "C")


class NoWayBack:
    """DLPack out, and nothing in."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return 1, 0


@pytest.mark.parametrize(("function", "name"), [("scan", "u"), ("scan_step", "state")])
def test_a_library_that_takes_nothing_back_is_refused(function, name):
    given = {name: NoWayBack(argument(function, name))}

    message = refused(TypeError, function, "dlpack", **given)

    assert message == (
        f"{function}: {name} must be an array of a library that takes results back; got a "
        "test_dlpack_libraries.NoWayBack, and neither its __array_namespace__() nor the module "
        "test_dlpack_libraries has a from_dlpack."
    )


def library(name, monkeypatch, **functions):
    """A class of arrays in a module of that name."""
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(**functions))
    return type("Array", (NoWayBack,), {"__module__": f"{name}.core"})


def test_results_go_to_the_top_module_of_a_library(monkeypatch):
    kind = library("topmost", monkeypatch, from_dlpack=lambda x: ("mine", np.from_dlpack(x)))

    mine, y = selscan.scan(**{x: kind(argument("scan", x)) for x in REQUIRED})

    assert mine == "mine"
    assert_array_equal(y, selscan.scan(*(argument("scan", x) for x in REQUIRED)))


def test_a_library_whose_from_dlpack_takes_capsules_is_served(monkeypatch):
    torch = pytest.importorskip("torch")
    place = types.SimpleNamespace(from_dlpack=torch.utils.dlpack.from_dlpack)
    experimental = types.SimpleNamespace(dlpack=place)  # where TensorFlow has it
    kind = library("capsules", monkeypatch, experimental=experimental)

    y = selscan.scan(**{x: kind(argument("scan", x)) for x in REQUIRED})

    assert type(y) is torch.Tensor


def test_arrays_of_one_library_need_not_be_of_one_class():
    given = Counted(argument("scan", "delta"))

    y, _ = call("scan", "dlpack", delta=given)

    assert type(y) is Shared


def test_a_dtype_that_a_library_does_not_take_back_is_refused_before_any_work(monkeypatch):
    kind = library("narrow", monkeypatch, from_dlpack=np.from_dlpack)
    inputs = {x: kind(argument("scan", x)) for x in INPUTS["scan"]}

    message = refused(TypeError, "scan", **inputs, out_dtype="bfloat16")

    assert message.startswith(
        "scan: out_dtype must be of a dtype that its library takes back; got bfloat16, for which "
        "from_dlpack raised "
    )


class Dtype:
    """As libraries have them, which NumPy does not know."""

    def __init__(self, text, name=None):
        self.text = text
        if name is not None:
            self.name = name

    def __str__(self):
        return self.text


@pytest.mark.parametrize(
    "dtype",
    ["float64", np.float64, Dtype("mlx.core.float64"), Dtype("<dtype: 'float64'>", "float64"),
     Dtype("paddle.float64", "FLOAT64")],
)  # fmt: skip
def test_out_dtype_may_be_the_librarys_own(dtype):
    y, _ = call("scan", "dlpack", out_dtype=dtype)

    assert y.array.dtype == np.float64


@pytest.mark.parametrize("dtype", [Dtype("int8"), Dtype("x", "y"), "mlx.core.float64", 3])
def test_what_is_no_dtype_of_a_library_is_refused(dtype):
    message = refused(TypeError, "scan", "dlpack", out_dtype=dtype)

    assert message.startswith("scan: out_dtype must be float16, bfloat16, float32 or float64; got ")


def test_array_api_strict_gets_its_own_arrays_back():
    xp = pytest.importorskip("array_api_strict")
    inputs = {x: xp.asarray(argument("scan", x)) for x in INPUTS["scan"]}

    y, last = call("scan", **inputs, out_dtype=xp.float64)

    assert y.dtype == xp.float64
    assert last.dtype == xp.float32
    assert xp.all(xp.astype(y, xp.float32) == xp.asarray(call("scan")[0]))
