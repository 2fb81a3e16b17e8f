"""That the tests would notice: kernels that are wrong on purpose."""

import ctypes

import numpy as np
import pytest
from harness import Backend
from strategies import make_problem, with_gradients
from test_scan import Checked

from selscan.backends import cpu

RESULTS = (
    "y", "last_state", "du", "ddelta", "dA", "dB", "dC", "dD", "dz", "ddelta_bias",
    "dinitial_state",
)  # fmt: skip


@pytest.fixture
def after_launch(monkeypatch):
    """Have a function look at the addresses of the operands after each kernel."""

    def install(change):
        launch = cpu.launch

        def changed(plan, addresses, runs_on):
            launch(plan, addresses, runs_on)
            change(addresses)

        monkeypatch.setattr(cpu, "launch", changed)

    return install


def first_element(address):
    return ctypes.cast(address, ctypes.POINTER(ctypes.c_float))


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("name", RESULTS)
def test_one_element_that_is_slightly_wrong_is_noticed(after_launch, name, framework):
    def change(addresses):
        if name in addresses:
            first_element(addresses[name])[0] *= 1.001

    Checked(make_problem()).assert_matches_reference(Backend("cpu", framework))
    after_launch(change)
    with pytest.raises(AssertionError, match=r"1 of \d+ numbers are wrong"):
        Checked(make_problem()).assert_matches_reference(Backend("cpu", framework))


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_elements_left_unwritten_are_noticed(monkeypatch, framework):
    monkeypatch.setattr(cpu, "launch", lambda plan, addresses, stream: None)
    y, last = Backend("cpu", framework).scan(**make_problem())
    grads = Backend("cpu", framework).scan_backward(**with_gradients(make_problem()))
    for result in (y, last, *grads):
        assert np.isnan(result).all()


@pytest.mark.parametrize("offset", [-1, 2 * 5 * 9])
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_elements_written_outside_are_noticed(after_launch, allocator, framework, offset):
    def change(addresses):
        first_element(addresses["y"])[offset] = 0

    after_launch(change)
    Backend("cpu", framework).scan(**make_problem(b=2, d=5, l=9))
    overruns, allocator.overruns = allocator.overruns, 0
    assert overruns == 1


def test_inputs_that_are_written_are_noticed(after_launch):
    def change(addresses):
        first_element(addresses["B"])[3] = 0

    after_launch(change)
    with pytest.raises(AssertionError, match=r"inputs were written: \['B'\]"):
        Backend("cpu", "numpy").scan(**make_problem())
