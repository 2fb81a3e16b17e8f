"""Options and backends: wrong values and wrong types."""

import contextlib
import re

import pytest
from calls import call, refused

import selscan
from selscan import backends

BACKENDS = "one of cpu, cupy, numba_cuda"


def test_a_cpu_backend_is_refused_for_cuda_arrays():
    expected = "scan: backend must be one for arrays on cuda:1; got 'cpu', which works on cpu"

    with pytest.raises(ValueError, match=f"^{re.escape(expected)} arrays.$"):
        backends.choose("scan", "scan", "cpu", "cuda:1")


@pytest.fixture
def broken_import(monkeypatch):
    """A backend whose import fails."""

    def fail(*args):
        raise ImportError("libsomething.so.1: cannot open shared object file")

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    backends.forget()
    yield
    backends.forget()


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
    assert cpu == ("cpu", False, reason, "", ())


def test_list_backends_lists_all_of_them():
    infos = selscan.list_backends()

    assert [info.name for info in infos] == [*backends.DEVICES]
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
