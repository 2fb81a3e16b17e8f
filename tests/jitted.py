"""The CPU backend under jax.jit, as tests see a backend: NumPy arrays in and out."""

import functools

import jax
import numpy as np
from harness import to_numpy

import selscan
from selscan.ops import scan2d

GRADIENTS = selscan.ScanGrads._fields


class Jitted:
    """The public functions under jax.jit, their gradients by jax.vjp; `transform` goes first."""

    name, framework = "cpu", "jax"

    def __init__(self, transform=lambda function: function):
        self._transform = transform

    def scan(self, **problem):
        """y and the last state."""
        return self._run(functools.partial(selscan.scan, return_last_state=True), problem)

    def scan_backward(self, dy, dlast_state=None, **problem):
        """ScanGrads."""
        arrays, options = split(problem)
        has_last = dlast_state is not None
        options |= {"return_last_state": has_last, "out_dtype": dy.dtype.name}

        def results(arrays):
            return selscan.scan(**arrays, **options)

        def gradients(arrays, incoming):
            found = pull_back(results, arrays, incoming)
            return [found.get(name) for name in GRADIENTS]

        dtype = state_dtype(problem)
        incoming = (dy, np.conj(dlast_state).astype(dtype)) if has_last else dy
        return selscan.ScanGrads(*self._jit(gradients, arrays, incoming))

    def scan_step(self, state, **problem):
        """y and the new state."""
        return self._run(selscan.scan_step, {"state": state} | problem)

    def scan2d(self, **problem):
        """y."""
        return self._run(lambda **x: (scan_of(x["path"])(**x),), problem)[0]

    def scan2d_backward(self, dy, **problem):
        """Gradients in the order of the inputs."""
        arrays, options = split(problem)

        def gradients(arrays, dy):
            def results(x):
                return scan_of(options["path"])(**x, **options, out_dtype=dy.dtype)

            found = pull_back(results, arrays, dy)
            return [found.get(name) for name in scan2d.ARGUMENTS]

        return self._jit(gradients, arrays, dy)

    def _run(self, function, problem):
        arrays, options = split(problem)
        return self._jit(lambda arrays: function(**arrays, **options), arrays)

    def _jit(self, function, *arguments):
        with jax.enable_x64(True):
            results = jax.jit(self._transform(function))(*arguments)
        return tuple(map(to_numpy, results))


def split(problem):
    """The arrays, and the options; a path may be an array, and is an option all the same."""
    arrays = {x: v for x, v in problem.items() if isinstance(v, np.ndarray) and x != "path"}
    return arrays, {x: v for x, v in problem.items() if x not in arrays and v is not None}


def scan_of(path):
    """The public function for maps of as many axes."""
    return selscan.scan2d if path.depth is None else selscan.scan3d


def pull_back(function, arrays, incoming):
    """Gradients by name as `scan_backward` defines them, of all but integers."""
    fixed = {x: v for x, v in arrays.items() if v.dtype.kind in "iu"}
    others = {x: v for x, v in arrays.items() if x not in fixed}
    _, pull = jax.vjp(lambda x: function({**fixed, **x}), others)
    return {name: x.conj() for name, x in pull(incoming)[0].items()}


def state_dtype(problem):
    """The dtype of the last state."""
    dtypes = [np.float32, *(x.dtype for x in split(problem)[0].values() if x.dtype.kind in "fc")]
    wide = any(np.dtype(x).char in "dD" for x in dtypes)
    if np.iscomplexobj(problem["A"]):
        return np.complex128 if wide else np.complex64
    return np.float64 if wide else np.float32
