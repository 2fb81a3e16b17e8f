"""A backend as the tests see it: NumPy arrays in and out, whatever framework it is fed with."""

from typing import NamedTuple

import numpy as np

import selscan


class Backend(NamedTuple):
    """A backend of selscan and the framework of the arrays that it is given."""

    name: str
    framework: str

    def array(self, value):
        """A NumPy array as one of the framework, on the same memory; other values as they are."""
        if self.framework == "numpy" or not isinstance(value, np.ndarray):
            return value
        import torch

        tensor = torch.from_numpy(value)
        return tensor if self.name == "cpu" else tensor.cuda()

    def scan(self, **problem):
        """y and the last state."""
        return self._call(selscan.scan, problem | {"return_last_state": True})

    def scan_backward(self, **problem):
        """ScanGrads; dy and dlast_state are part of the problem."""
        return selscan.ScanGrads(*self._call(selscan.scan_backward, problem))

    def scan_step(self, state, **problem):
        """y and the state, which is written in place."""
        return self._call(selscan.scan_step, {"state": state} | problem, written={"state"})

    def _call(self, function, arguments, written=()):
        """Results as NumPy arrays; the inputs must not have changed."""
        inputs = {x: v for x, v in arguments.items() if isinstance(v, np.ndarray)}
        before = {x: v.tobytes() for x, v in inputs.items() if x not in written}
        given = {x: self.array(v) for x, v in arguments.items()}
        results = function(**given, backend=self.name)
        changed = [x for x, copy in before.items() if inputs[x].tobytes() != copy]
        assert not changed, f"inputs were written: {changed}"
        return tuple(map(_to_numpy, results))


def _to_numpy(array):
    if array is None or isinstance(array, np.ndarray):
        return array
    return array.detach().cpu().numpy()
