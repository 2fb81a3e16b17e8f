"""JAX's arrays; jax itself is handed in by who found it."""

import functools

import numpy as np

from ..messages import is_tracer
from .guests import Elsewhere, GuestArrays


class JaxArrays(GuestArrays):
    """jax.Array with values, on one device."""

    name = "jax"
    title = "a JAX array"
    immutable = True

    def __init__(self, jax):
        self._jax = jax

    def like(self, layout, dtype=None):
        """In C order, the only one that XLA takes without a copy."""
        return self.output(layout.shape, dtype or layout.dtype)

    def _knows(self, array):
        return isinstance(array, self._jax.Array) and not is_tracer(type(array))

    def _check_place(self, function, name, array):
        count = array.sharding.num_devices
        if count > 1:
            raise ValueError(
                f"{function}: {name} must be on one device; got an array on {count} devices. "
                "Pass it through jax.device_put."
            )

    @staticmethod
    def _view(name, array):
        [device] = array.devices()
        if device.platform != "cpu":
            kind = "cuda" if device.platform == "gpu" else device.platform
            return Elsewhere(f"{kind}:{device.id}")
        return np.asarray(array)  # waits until it is computed; read-only, on JAX's memory

    def _check_dtype(self, function, name, dtype):
        if dtype.char in "dD" and not self._jax.config.jax_enable_x64:
            allowed = "float32" if name == "out_dtype" else "float32, complex64"
            raise TypeError(
                f"{function}: {name} must be {allowed} or narrower while jax_enable_x64 is off; "
                f"got {dtype}."
            )

    def hand_out(self, like, arrays):
        """On the device of `like`, and committed to it if `like` is."""
        [device] = like.devices()
        put = functools.partial(self._jax.device_put, tuple(arrays), may_alias=True)
        if like.committed:
            return put(device)
        with self._jax.default_device(device):
            return put()
