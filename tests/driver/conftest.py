"""Tests with the true CuPy on the driver; elsewhere they skip."""

import numpy as np
import pytest

import driver
from driver import kernels


def pytest_collection_modifyitems(config, items):
    """Skip where the plugin has not put the driver in its place, and say how it is done."""
    if config.pluginmanager.has_plugin("driver.plugin"):
        return
    skip = pytest.mark.skip(reason="with `PYTHONPATH=tests pytest -p driver.plugin tests/driver`")
    for item in items:
        if __package__ in item.nodeid.split("/"):
            item.add_marker(skip)


@pytest.fixture
def cupy():
    """CuPy, whose kernels run in the emulator; in the end no rule of launches may be broken."""
    import cupy

    driver.faults()
    driver.run_with(kernels.emulate)
    kernels.launches.clear()
    yield cupy
    cupy.cuda.Device(0).use()
    faults = driver.faults()
    driver.run_with(None)
    assert faults == []
    assert driver.functions_missing() == []


@pytest.fixture
def place(cupy):
    """A problem with its arrays on the current device; `offset` elements behind where CuPy's begin.

    By copies alone: CuPy's own kernels are not emulated.
    """

    def of_array(array, offset):
        memory = cupy.empty(array.size + offset, array.dtype)
        memory.set(np.concatenate((np.zeros(offset, array.dtype), array.ravel())))
        return memory[offset:].reshape(array.shape)

    def of_problem(problem, offset=0):
        return {
            name: of_array(value, offset) if isinstance(value, np.ndarray) else value
            for name, value in problem.items()
        }

    return of_problem
