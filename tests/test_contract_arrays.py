"""What every argument may be, whatever its place: dtypes, arrays, nothing."""

import numpy as np
import pytest
from bad_arrays import OF_A, REAL
from calls import INPUTS, argument, call, refused

from selscan.ops.contract import REQUIRED

EVERY_INPUT = [(function, name) for function, names in INPUTS.items() for name in names]


@pytest.mark.parametrize(("function", "name"), EVERY_INPUT)
def test_the_dtype_of_every_input_is_checked(function, name):
    given = argument(function, name).astype(np.int32)

    message = refused(TypeError, function, **{name: given})

    allowed = OF_A if name == "A" else REAL
    expected = f"{name} must be {allowed}; got int32. Convert it to float32."
    assert message == f"{function}: {expected}"


@pytest.mark.parametrize(("function", "name"), EVERY_INPUT)
def test_every_input_must_be_an_array(function, name):
    message = refused(TypeError, function, **{name: "u"})

    assert message.startswith(f"{function}: {name} must be a NumPy array")
    assert message.endswith("; got 'u' (str).")


@pytest.mark.parametrize(("function", "name"), [x for x in EVERY_INPUT if x[1] in REQUIRED])
def test_a_required_input_must_not_be_none(function, name):
    message = refused(TypeError, function, **{name: None})

    assert message.startswith(f"{function}: {name} must be a NumPy array")
    assert message.endswith("; got None.")


@pytest.mark.parametrize(("function", "name"), [x for x in EVERY_INPUT if x[1] not in REQUIRED])
def test_an_optional_input_may_be_none(function, name):
    call(function, **{name: None})


def test_a_view_of_another_class_is_an_array():
    class Named(np.ndarray):
        """As numpy.memmap is, say."""

    y, _ = call("scan", u=np.ones((2, 4, 5), np.float32).view(Named))

    assert type(y) is np.ndarray


class OnCuda:
    """As arrays of libraries without DLPack are."""

    __cuda_array_interface__ = {"shape": (2, 4, 5)}  # noqa: RUF012 - an attribute of instances


def test_a_cuda_array_is_refused():
    message = refused(TypeError, "scan", u=OnCuda())

    assert message == (
        "scan: u must be a NumPy array, a torch tensor, a JAX array or another one with DLPack; "
        "got a test_contract_arrays.OnCuda. Pass cupy.asarray(u)."
    )


def test_a_cuda_array_among_numpy_arrays_is_refused():
    message = refused(TypeError, "scan", delta=OnCuda())

    assert message == "scan: delta must be a NumPy array; got a test_contract_arrays.OnCuda."
