"""What an array may be: dtypes, frameworks, devices, and everything that is not an array."""

import warnings

import ml_dtypes
import numpy as np
import pytest
from calls import INPUTS, argument, call, refused

import selscan
from selscan.ops.contract import REQUIRED

EVERY_INPUT = [(function, name) for function, names in INPUTS.items() for name in names]
SHORT = " 16 bits are not supported yet; convert to float32."
COMPLEX = " Complex A, B and C are not supported yet."
# dtype, what the message says that came
NUMPY_DTYPES = [
    ("bool", "bool."),
    ("int8", "int8."),
    ("int64", "int64."),
    ("uint16", "uint16."),
    ("object", "object."),
    ("S8", "bytes64."),
    ("U2", "str64."),
    ("M8[s]", "datetime64[s]."),
    ("f4,f4", "void64."),
    ("float16", f"float16.{SHORT}"),
    (ml_dtypes.bfloat16, f"bfloat16.{SHORT}"),
    (ml_dtypes.float8_e4m3fn, "float8_e4m3fn."),
    ("complex64", "complex64."),
    ("complex128", "complex128."),
    (">f4", "byte-swapped float32. Pass delta.astype(delta.dtype.newbyteorder('='))."),
    (">i4", "byte-swapped int32. Pass delta.astype(delta.dtype.newbyteorder('='))."),
]
# Values that are no arrays, and how the message calls them.
NOT_ARRAYS = [
    ([1.0], "a list. Pass numpy.asarray({name})."),
    ((1.0, 2.0), "a tuple. Pass numpy.asarray({name})."),
    (np.float32(3), "a numpy.float32. Pass numpy.asarray({name})."),
    (3, "3 (int)."),
    pytest.param(10**5000, "an int.", id="too large to print"),
    (0.5, "0.5 (float)."),
    (True, "True (bool)."),
    ("float32", "'float32' (str)."),
    ("x" * 41, "a str."),
    (b"u", "b'u' (bytes)."),
    (bytearray(8), "a bytearray."),
    (np.float32, "a type."),
    (Ellipsis, "an ellipsis."),
    (memoryview(b"1234"), "a memoryview."),
    (
        np.ones((2, 4, 5), np.float32).__dlpack__(),
        "a PyCapsule. Pass the array, not its DLPack capsule.",
    ),
]


@pytest.mark.parametrize(("dtype", "got"), NUMPY_DTYPES)
def test_a_numpy_dtype_that_is_not_supported_is_refused(dtype, got):
    message = refused(TypeError, "scan", delta=np.zeros((2, 4, 5), dtype))

    assert message == f"scan: delta must be float32 or float64; got {got}"


@pytest.mark.parametrize(("function", "name"), EVERY_INPUT)
def test_the_dtype_of_every_input_is_checked(function, name):
    given = argument(function, name).astype(np.int32)

    message = refused(TypeError, function, **{name: given})

    assert message == f"{function}: {name} must be float32 or float64; got int32."


@pytest.mark.parametrize("name", ["A", "B", "C"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_coefficients_are_said_to_come(name, dtype):
    message = refused(TypeError, "scan", **{name: argument("scan", name).astype(dtype)})

    assert message == f"scan: {name} must be float32 or float64; got {dtype}.{COMPLEX}"


@pytest.mark.parametrize(("value", "got"), NOT_ARRAYS)
def test_what_is_not_an_array_is_refused_as_first_argument(value, got):
    message = refused(TypeError, "scan", u=value)

    expected = f"a NumPy array or a torch tensor; got {got.format(name='u')}"
    assert message == f"scan: u must be {expected}"


@pytest.mark.parametrize(("value", "got"), NOT_ARRAYS)
def test_what_is_not_an_array_is_refused_as_another_argument(value, got):
    message = refused(TypeError, "scan", D=value)

    assert message == f"scan: D must be a NumPy array; got {got.format(name='D')}"


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


def test_a_masked_array_is_refused():
    given = np.ma.masked_array(np.ones((2, 4, 5), np.float32))

    message = refused(TypeError, "scan", u=given)

    assert message == (
        "scan: u must be a NumPy array or a torch tensor; got a numpy.MaskedArray. "
        "Its mask would be lost; pass u.filled(value)."
    )


def test_a_numpy_matrix_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        given = np.matrix(np.ones((4, 3), np.float32))

    message = refused(TypeError, "scan", A=given)

    assert message == (
        "scan: A must be a NumPy array like u; got a numpy.matrix. Pass numpy.asarray(A)."
    )


def test_a_view_of_another_class_is_an_array():
    class Named(np.ndarray):
        """As numpy.memmap is, say."""

    y, _ = call("scan", u=np.ones((2, 4, 5), np.float32).view(Named))

    assert type(y) is np.ndarray


def test_a_jax_array_is_refused():
    jax = pytest.importorskip("jax")

    message = refused(TypeError, "scan", u=jax.numpy.ones((2, 4, 5)))

    assert message == (
        "scan: u must be a NumPy array or a torch tensor; got a jaxlib.ArrayImpl. "
        "Pass numpy.asarray(u)."
    )


def test_a_jax_tracer_is_refused():
    jax = pytest.importorskip("jax")

    with pytest.raises(TypeError, match=r"jax\.jit, jax\.grad and jax\.vmap are not supported yet"):
        jax.jit(lambda u: selscan.scan(u, u, u, u, u))(jax.numpy.ones((2, 4, 5)))


class OnCuda:
    """As CuPy's and Numba's device arrays are."""

    __cuda_array_interface__ = {"shape": (2, 4, 5)}  # noqa: RUF012 - an attribute of instances


def test_a_cuda_array_is_refused():
    message = refused(selscan.BackendUnavailable, "scan", u=OnCuda())

    assert message == (
        "scan: u is a test_contract_arrays.OnCuda on a CUDA device, and this version works on the "
        "CPU only. Copy the arrays to NumPy, or to torch on the CPU."
    )


def test_a_cuda_array_among_numpy_arrays_is_refused():
    message = refused(TypeError, "scan", delta=OnCuda())

    assert message == "scan: delta must be a NumPy array; got a test_contract_arrays.OnCuda."
