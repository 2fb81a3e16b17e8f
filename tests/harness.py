"""A backend as the tests see it: NumPy arrays in and out, whatever framework it is fed with."""

import contextlib
from typing import NamedTuple

import ml_dtypes
import numpy as np
from producers import Shared

import selscan
from selscan.ops import scan, scan2d

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class Backend(NamedTuple):
    """A backend of selscan and the framework of the arrays that it is given."""

    name: str
    framework: str

    def array(self, value):
        """A NumPy array as one of the framework, on the same memory; other values as they are."""
        if self.framework == "numpy" or not isinstance(value, np.ndarray):
            return value
        if self.framework == "jax":
            import jax

            with self.precision():
                return jax.device_put(value)  # JAX has one order of memory
        if self.framework == "numba":
            return simulated_array(value)
        if self.framework == "dlpack":
            return Shared(value if value.dtype != BFLOAT16 else to_tensor(value))
        tensor = to_tensor(value)
        return tensor if self.name == "cpu" else tensor.cuda()

    def precision(self):
        """A context in which the framework has all dtypes."""
        if self.framework != "jax":
            return contextlib.nullcontext()
        import jax

        return jax.enable_x64(True)

    def scan(self, **problem):
        """y and the last state."""
        return self._call(selscan.scan, problem | {"return_last_state": True})

    def scan_backward(self, **problem):
        """ScanGrads; dy and dlast_state are part of the problem."""
        return selscan.ScanGrads(*self._call(selscan.scan_backward, problem))

    def scan_step(self, state, **problem):
        """y and the state, which is written in place where the framework has that."""
        return self._call(selscan.scan_step, {"state": state} | problem, written={"state"})

    def scan2d(self, **problem):
        """y."""
        return self._call(lambda path, **x: (scan_of(path)(path=path, **x),), problem)[0]

    def scan2d_backward(self, dy, **problem):
        """Gradients in the order of the inputs: by torch, or as its operator has them."""
        return self._call(scan2d_gradients, {"dy": dy} | problem)

    def _call(self, function, arguments, written=()):
        """Results as NumPy arrays; the inputs must not have changed."""
        inputs = {x: v for x, v in arguments.items() if isinstance(v, np.ndarray)}
        before = {x: v.tobytes() for x, v in inputs.items() if x not in written}
        given = {x: self.array(v) for x, v in arguments.items()}
        with self.precision():
            results = function(**given, backend=self.name)
        if self.name != "cpu":  # the device has copies
            for x in inputs:
                inputs[x][...] = to_numpy(given[x])
        changed = [x for x, copy in before.items() if inputs[x].tobytes() != copy]
        assert not changed, f"inputs were written: {changed}"
        return tuple(map(to_numpy, results))


def scan_of(path):
    """scan2d, or scan3d for a path with a depth."""
    return getattr(selscan, scan2d.name_of(path))


def scan2d_gradients(dy, path, backend, delta_softplus, merge, **arrays):
    """The gradients of scan2d, for which only torch has a public function."""
    given = [arrays.get(name) for name in scan2d.ARGUMENTS]
    if hasattr(dy, "requires_grad"):
        return _torch_gradients(dy, given, path, backend, delta_softplus, merge)
    function = scan2d.name_of(path)
    options = scan2d.switches(function, path, delta_softplus, merge)
    framework = scan.framework_for("scan2d", dy, "dy")
    request = scan.request(
        function, framework, given, options, backend, "scan2d_backward", scan2d.ARGUMENTS
    )
    return scan2d.backward(request, given, dy)


def _torch_gradients(dy, given, path, backend, delta_softplus, merge):
    import torch

    leaves = [x if x is None else x.detach().requires_grad_() for x in given]
    *first, bias = leaves
    options = {"delta_softplus": delta_softplus, "merge": merge, "backend": backend}
    y = scan_of(path)(*first, delta_bias=bias, path=path, out_dtype=dy.dtype, **options)
    wanted = [x for x in leaves if x is not None]
    found = iter(torch.autograd.grad(y, wanted, dy))
    return tuple(x if x is None else next(found) for x in leaves)


def to_tensor(value):
    """A NumPy array as a torch tensor on the same memory."""
    import torch

    if value.dtype == BFLOAT16:  # which torch does not know from NumPy
        return torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(value)


def simulated_array(value):
    """A NumPy array as a device array of Numba's simulator, on the same memory."""
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(value)


def to_numpy(array):
    """A result as a NumPy array; None as it is."""
    if array is None or isinstance(array, np.ndarray):
        return array
    if hasattr(array, "copy_to_host"):
        return array.copy_to_host()
    if isinstance(array, Shared):
        return to_numpy(array.array)
    if not hasattr(array, "detach"):
        return np.asarray(array)
    import torch

    tensor = array.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()
