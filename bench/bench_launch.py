"""asv: what the host does for a call on a GPU, by the true CuPy on the driver of tests/driver."""

import contextlib
from unittest import mock

from bench.parts import launch


class Launch:
    """Small calls of CuPy arrays, and of tensors on the CPU that pass for ones on a GPU."""

    params = (("tensors", "CuPy arrays"), ("scan", "scan_step"))
    param_names = ("arrays", "call")

    def setup(self, arrays, call):
        """Put the driver in its place and warm up; without CuPy there is nothing to time."""
        own, reason = launch.driver()
        if own is None:
            raise NotImplementedError(reason)
        self.patches = contextlib.ExitStack()
        array = launch.array_of_cupy
        if arrays == "tensors":
            array = launch.tensor
            launch.tensors_pass_for_cuda(
                lambda *what: self.patches.enter_context(mock.patch.object(*what))
            )
        self.call = launch.functions(array)[call]
        self.call()

    def teardown(self, arrays, call):
        """Tensors on the CPU are ones again."""
        if hasattr(self, "patches"):
            self.patches.close()

    def time_call(self, arrays, call):
        """Kernels do nothing."""
        self.call()
