"""Compilation that takes long is announced."""

import contextlib
import io
import re
import threading
from unittest import mock

import numpy as np
import pytest

from selscan.backends.cpu import notice, run
from selscan.backends.cpu.coefficients import CONSTANT, SHARED
from selscan.backends.cpu.planes import COMPLEX_STATES, REAL_STATES


class Kernel:
    """An entry point of which `compile` is all that counts."""

    def __init__(self, compile):
        self.compile = compile
        self._cache = mock.Mock(alone=contextlib.nullcontext, is_there=False)


@pytest.fixture
def no_addresses(monkeypatch):
    """A Kernel has no address, and is not kept."""
    monkeypatch.setattr(run, "_addresses", {})
    monkeypatch.setattr(run, "address_of", lambda entry: 0)


class Noted(io.StringIO):
    """A stream that says when something was written."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def write(self, text):
        super().write(text)
        self.written.set()


@pytest.mark.usefixtures("no_addresses")
def test_a_long_compilation_is_announced_on_stderr(monkeypatch):
    stream = Noted()
    monkeypatch.setattr(notice, "SECONDS", 0)
    kernel = Kernel(lambda signature: stream.written.wait(60))

    with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(io.StringIO()) as out:
        run._compile({kernel: ()}, "forward kernel for float32")

    text = "selscan: compiling the CPU's forward kernel for float32, once on this machine"
    assert re.fullmatch(rf"{text} \.\.\. done in \d+ s\n", stream.getvalue())
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ((REAL_STATES, SHARED, SHARED), " (real)"),
        ((REAL_STATES, CONSTANT, SHARED), " (real, B constant in time)"),
        ((REAL_STATES, SHARED, CONSTANT), " (real, C constant in time)"),
        ((COMPLEX_STATES, CONSTANT, CONSTANT), " (complex, B and C constant in time)"),
        ((), ""),
    ],
)
def test_the_announcement_names_the_form(kinds, text):
    assert notice.form_of("x", np.float64(0), kinds) == f"x kernel for float64{text}"


@pytest.mark.usefixtures("no_addresses")
def test_a_short_compilation_is_not_announced(monkeypatch):
    stream, before = Noted(), threading.active_count()
    monkeypatch.setattr(notice, "SECONDS", 3600)

    with contextlib.redirect_stderr(stream):
        run._compile({Kernel(lambda signature: None): ()}, "kernel")

    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(60)
    assert threading.active_count() <= before
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("no_addresses")
def test_kernels_that_are_loaded_are_not_announced_however_long_it_takes(monkeypatch):
    stream = Noted()
    monkeypatch.setattr(notice, "SECONDS", 0)
    kernel = Kernel(lambda signature: stream.written.wait(0.2))
    kernel._cache.is_there = True

    with contextlib.redirect_stderr(stream):
        run._compile({kernel: ()}, "kernel")

    assert stream.getvalue() == ""


@pytest.mark.usefixtures("no_addresses")
def test_a_compilation_that_fails_after_its_announcement_says_so(monkeypatch):
    stream = Noted()
    monkeypatch.setattr(notice, "SECONDS", 0)

    def fail(signature):
        stream.written.wait(60)
        raise ZeroDivisionError

    with contextlib.redirect_stderr(stream), pytest.raises(ZeroDivisionError):
        run._compile({Kernel(fail): ()}, "kernel")

    assert stream.getvalue().endswith(" ... failed in 0 s\n")


@pytest.mark.usefixtures("no_addresses")
def test_a_failed_compilation_ends_its_timer(monkeypatch):
    monkeypatch.setattr(notice, "SECONDS", 3600)

    def fail(signature):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run._compile({Kernel(fail): ()}, "kernel")

    for thread in threading.enumerate():
        assert not isinstance(thread, threading.Timer) or thread.finished.is_set()
