"""Axes of a mesh that arrays vary over in jax.shard_map, which JAX has in their types."""

import inspect

import jax

from ..arrays.numpy import numpy_dtype

# The name of these axes in the versions of jax that have them.
_NAMES = ("manual_axis_type", "vma")
_NAME = next((x for x in _NAMES if x in inspect.signature(jax.ShapeDtypeStruct).parameters), None)


def _type(array):
    return None if _NAME is None else getattr(jax.typeof(array), _NAME, None)


def varies(array):
    """Whether an array differs between devices."""
    return bool(_axes(array))


def _axes(array):
    found = _type(array)
    return getattr(found, "varying", found) or frozenset()


def alike(arrays):
    """The arrays, each of which varies over all axes that one of them does."""
    everything = frozenset().union(*map(_axes, arrays))
    return [_cast(x, tuple(sorted(everything - _axes(x)))) for x in arrays]


def _cast(array, axes):
    if not axes:
        return array
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(array, axes, to="varying")
    return jax.lax.pvary(array, axes)


def struct(shape, dtype, like):
    """A result that varies as `like` does."""
    more = {}
    if varies(like):
        mesh = jax.sharding.get_abstract_mesh()
        whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        more = {_NAME: _type(like), "sharding": whole}
    return jax.ShapeDtypeStruct(shape, numpy_dtype(dtype), **more)
