"""Options and backends: wrong values and wrong types."""

import contextlib
import re

import numpy as np
import pytest
from calls import OPTIONS, call, refused

import selscan
from selscan import backends

FLAGS = [
    (function, name)
    for function, options in OPTIONS.items()
    for name, value in options.items()
    if isinstance(value, bool)
]
BACKENDS = "one of cpu, cupy, numba_cuda"


@pytest.mark.parametrize(("function", "name"), FLAGS)
@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("no", "'no' (str)"),
        (1, "1 (int)"),
        (0.0, "0.0 (float)"),
        (None, "None"),
        (np.True_, "a numpy.bool"),
        (np.ones(3, bool), "a numpy.ndarray"),
        ([True], "a list"),
    ],
)
def test_a_switch_must_be_a_bool(function, name, value, got):
    message = refused(TypeError, function, **{name: value})

    assert message == f"{function}: {name} must be True or False; got {got}."


@pytest.mark.parametrize("function", ["scan", "scan_backward"])
@pytest.mark.parametrize("value", ["bdn", "BDL", "", "ndl "])
def test_an_unknown_layout_is_refused(function, value):
    message = refused(ValueError, function, layout=value)

    assert message == f"{function}: layout must be 'bdl' or 'bld'; got {value!r}."


@pytest.mark.parametrize("function", ["scan", "scan_backward"])
@pytest.mark.parametrize(
    ("value", "got"), [(None, "None"), (b"bdl", "b'bdl' (bytes)"), (("b", "d", "l"), "a tuple")]
)
def test_a_layout_must_be_a_string(function, value, got):
    message = refused(TypeError, function, layout=value)

    assert message == f"{function}: layout must be 'bdl' or 'bld'; got {got}."


@pytest.mark.parametrize(
    ("function", "name", "value", "got"),
    [
        ("scan", "seq_idx", np.zeros((2, 5), np.int32), "a numpy.ndarray"),
        ("scan_backward", "seq_idx", np.zeros((2, 5), np.int32), "a numpy.ndarray"),
        ("scan", "out_dtype", "float16", "'float16' (str)"),
        ("scan", "out_dtype", np.float64, "a type"),
    ],
)
def test_what_is_not_built_says_so(function, name, value, got):
    message = refused(ValueError, function, **{name: value})

    assert message == f"{function}: {name} must be None; got {got}. It is not supported yet."


@pytest.mark.parametrize("function", ["scan", "scan_backward", "scan_step"])
@pytest.mark.parametrize("value", ["cuda", "CPU", "", "numba"])
def test_an_unknown_backend_is_refused(function, value):
    message = refused(ValueError, function, backend=value)

    assert message == f"{function}: backend must be {BACKENDS}; got {value!r}."


@pytest.mark.parametrize("function", ["scan", "scan_backward", "scan_step"])
@pytest.mark.parametrize(("value", "got"), [(1, "int"), (b"cpu", "bytes"), (["cpu"], "list")])
def test_a_backend_must_be_a_string(function, value, got):
    message = refused(TypeError, function, backend=value)

    assert message == f"{function}: backend must be {BACKENDS}; got an object of type {got}."


@pytest.mark.parametrize("function", ["scan", "scan_backward", "scan_step"])
@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["cupy", "numba_cuda"])
def test_a_backend_of_another_device_is_refused(function, framework, name):
    message = refused(ValueError, function, framework, backend=name)

    assert message == (
        f"{function}: backend must be one for arrays on cpu; got {name!r}, "
        "which works on cuda arrays."
    )


def test_a_cpu_backend_is_refused_for_cuda_arrays():
    expected = "scan: backend must be one for arrays on cuda:1; got 'cpu', which works on cpu"

    with pytest.raises(ValueError, match=f"^{re.escape(expected)} arrays.$"):
        backends.choose("scan", "cpu", "cuda:1")


@pytest.mark.parametrize(
    ("name", "library"), [("cupy", "CUDA through CuPy"), ("numba_cuda", "CUDA through Numba")]
)
def test_a_backend_that_is_not_part_of_this_version_says_so(name, library):
    with pytest.raises(selscan.BackendUnavailable) as error:
        backends.choose("scan", name, "cuda:0")

    assert str(error.value) == (
        f"scan: backend {name!r} cannot be used: {library} is not part of this version; "
        "move the arrays to the CPU."
    )


@pytest.fixture
def broken_import(monkeypatch):
    """A backend whose import fails."""

    def fail(*args):
        raise ImportError("libsomething.so.1: cannot open shared object file")

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    backends._import.cache_clear()
    yield
    backends._import.cache_clear()


@pytest.mark.usefixtures("broken_import")
def test_a_backend_that_cannot_be_imported_says_why():
    with pytest.raises(selscan.BackendUnavailable) as error:
        call("scan")

    assert str(error.value) == (
        "scan: backend 'cpu' cannot be used: "
        "ImportError: libsomething.so.1: cannot open shared object file."
    )


@pytest.mark.usefixtures("broken_import")
def test_list_backends_says_why_one_cannot_be_used():
    [cpu] = [info for info in selscan.list_backends() if info.name == "cpu"]

    reason = "ImportError: libsomething.so.1: cannot open shared object file"
    assert cpu == ("cpu", False, reason, "")


def test_list_backends_lists_all_of_them():
    infos = selscan.list_backends()

    assert tuple(info.name for info in infos) == backends.NAMES
    assert [info.usable for info in infos] == [not info.reason for info in infos]


def test_selscan_backend_chooses(monkeypatch):
    monkeypatch.setenv("SELSCAN_BACKEND", "cpu")

    call("scan")


def test_an_empty_selscan_backend_does_not_choose(monkeypatch):
    monkeypatch.setenv("SELSCAN_BACKEND", "")

    call("scan")


def test_an_unknown_selscan_backend_is_refused(monkeypatch):
    monkeypatch.setenv("SELSCAN_BACKEND", "gpu")

    message = refused(ValueError, "scan")

    assert message == f"scan: SELSCAN_BACKEND must be {BACKENDS}; got 'gpu'."


def test_a_selscan_backend_of_another_device_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("SELSCAN_BACKEND", "cupy")

    message = refused(ValueError, "scan_step")

    assert message == (
        "scan_step: SELSCAN_BACKEND must be one for arrays on cpu; got 'cupy', "
        "which works on cuda arrays."
    )


def test_use_goes_before_selscan_backend(monkeypatch):
    monkeypatch.setenv("SELSCAN_BACKEND", "numba_cuda")
    with selscan.use("cupy"):
        message = refused(ValueError, "scan")

    assert message == (
        "scan: the backend of selscan.use must be one for arrays on cpu; got 'cupy', "
        "which works on cuda arrays."
    )


def test_the_argument_goes_before_use():
    with selscan.use("cupy"):
        call("scan", backend="cpu")


def test_use_ends_with_its_block():
    with contextlib.suppress(KeyError), selscan.use("cupy"):
        raise KeyError

    call("scan")


def test_use_nests():
    with selscan.use("cupy"):
        with selscan.use("cpu"):
            call("scan")
        message = refused(ValueError, "scan")

    assert "got 'cupy'" in message


@pytest.mark.parametrize(
    ("error", "value", "got"),
    [(ValueError, "gpu", "'gpu'"), (TypeError, None, "an object of type NoneType")],
)
def test_use_refuses_an_unknown_backend_at_once(error, value, got):
    with pytest.raises(error) as caught:
        selscan.use(value)

    assert str(caught.value) == f"use: name must be {BACKENDS}; got {got}."
