"""What a backend is, and how one is chosen by operator, device and wish."""

import contextlib
import importlib
import inspect
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from calls import call, refused
from strategies import make_problem

import reference
import selscan
from selscan import backends
from selscan.machine import backends as shown

BACKENDS = list(backends.DEVICES)
FUNCTIONS = {name for functions in backends.OPERATORS.values() for name in functions}


@pytest.fixture
def forget(monkeypatch):
    """What was found out about backends is found out again, before and after."""
    backends.forget()
    yield
    monkeypatch.undo()
    backends.forget()


@pytest.fixture
def fake(forget, monkeypatch, tmp_path):
    """A package in a folder of its own, and the one line that adds it, in front of the others."""
    (tmp_path / "fake").mkdir()
    shutil.copy(Path(__file__).with_name("fake_backend.py"), tmp_path / "fake" / "__init__.py")
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(tmp_path)])
    monkeypatch.setattr(backends, "DEVICES", {"fake": "cpu"} | backends.DEVICES)
    yield importlib.import_module("selscan.backends.fake")
    del sys.modules["selscan.backends.fake"], backends.fake


@pytest.fixture
def broken(fake, monkeypatch):
    """The same, where it cannot run."""

    def check():
        raise selscan.BackendUnavailable("selscan: the fake backend needs luck.")

    monkeypatch.setattr(fake, "check", check)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_keeps_the_protocol(name):
    module = importlib.import_module(f"selscan.backends.{name}")
    needed = {"check", "detail", "launch"}
    needed |= {x for operator in module.SERVES for x in backends.OPERATORS[operator]}

    assert isinstance(module.SERVES, frozenset)
    assert backends.OPERATORS.keys() >= module.SERVES
    for function in needed:
        written = inspect.signature(getattr(backends.Backend, function)).parameters
        found = inspect.signature(getattr(module, function)).parameters
        assert [*found] == [x for x in written if x != "self"], function
        assert getattr(module, function).__doc__, function


def test_the_protocol_has_all_that_operators_need():
    assert all(inspect.getdoc(getattr(backends.Backend, name)) for name in FUNCTIONS)


@pytest.mark.parametrize("name", BACKENDS)
def test_who_keeps_states_for_a_gradient_has_the_forward_too(name):
    serves = importlib.import_module(f"selscan.backends.{name}").SERVES

    for operator in ("scan", "scan2d"):
        assert operator in serves or f"{operator}_backward" not in serves


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_a_backend_of_one_operator_scans_with_right_numbers(layout):
    problem = make_problem(d=6, g=2, layout=layout)
    inputs = {name: x for name, x in problem.items() if name not in ("dy", "dlast_state")}

    y, last_state = selscan.scan(**inputs, return_last_state=True)

    want, want_last = reference.scan(**inputs, return_last_state=True)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last_state, want_last, rtol=1e-5, atol=1e-5)


def launches(fake, monkeypatch):
    """The functions that the fake backend is asked for."""
    seen, launch = [], fake.launch
    monkeypatch.setattr(fake, "launch", lambda *given: [seen.append("fake"), launch(*given)])
    return seen


@pytest.mark.parametrize("function", ["scan_backward", "scan_step", "scan2d", "gather", "scatter"])
def test_what_it_lacks_falls_to_the_next(fake, monkeypatch, function):
    seen = launches(fake, monkeypatch)

    call("scan")
    call(function)

    assert seen == ["fake"]


def test_a_scan_that_is_recorded_needs_a_gradient(fake, monkeypatch):
    torch = pytest.importorskip("torch")
    seen = launches(fake, monkeypatch)

    u = torch.ones(1, 2, 4, requires_grad=True)
    y = selscan.scan(u, u, -torch.ones(2, 3), torch.ones(1, 3, 4), torch.ones(1, 3, 4))
    y.sum().backward()

    assert seen == []
    assert u.grad is not None


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("function", ["scan_backward", "scan_step", "scan2d", "gather", "scatter"])
@pytest.mark.parametrize("way", ["backend", "use", "SELSCAN_BACKEND"])
def test_one_that_was_named_and_lacks_the_operator_raises(monkeypatch, function, way):
    given = {"backend": "fake"} if way == "backend" else {}
    source = "the backend of selscan.use" if way == "use" else way
    if way == "SELSCAN_BACKEND":
        monkeypatch.setenv(way, "fake")

    with selscan.use("fake") if way == "use" else contextlib.nullcontext():
        message = refused(selscan.BackendUnavailable, function, **given)

    assert message == (f"{function}: {source} must be one that has {function} (cpu); got 'fake'.")


@pytest.mark.usefixtures("broken")
def test_one_that_cannot_run_leaves_the_call_to_the_next():
    call("scan")


@pytest.mark.usefixtures("broken")
def test_one_that_was_named_and_cannot_run_raises_and_names_the_others():
    message = refused(selscan.BackendUnavailable, "scan", backend="fake")

    assert message == (
        "scan: backend 'fake' cannot be used: the fake backend needs luck. There is cpu for cpu "
        "arrays."
    )


@pytest.mark.usefixtures("fake")
def test_lists_say_what_it_has():
    info = selscan.list_backends()[0]

    assert info == ("fake", True, "", "a loop", ("scan",))
    assert dict(shown())["fake"].startswith("usable; a loop; without scan_backward, scan_step, ")


@pytest.mark.usefixtures("broken")
def test_lists_say_why_it_cannot_run():
    info = selscan.list_backends()[0]

    assert info == ("fake", False, "the fake backend needs luck", "", ("scan",))
    assert dict(shown())["fake"].startswith("not usable: the fake backend needs luck; without ")


def test_hardware_that_cannot_be_asked_is_listed_as_such(fake, monkeypatch):
    def detail():
        raise RuntimeError("the driver is gone")

    monkeypatch.setattr(fake, "detail", detail)

    info = selscan.list_backends()[0]

    assert info.usable
    assert info.detail == "its hardware cannot be asked: RuntimeError: the driver is gone"
