"""Arrays that are sharded over devices: each device runs an operation on its part.

Of an operation that XLA does not know it would else gather all operands. Batch and channels may be
cut, also both; time may not. What channels on several devices have in common is summed over them.
"""

import functools
import itertools
import math
import re
import string

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec

from .manual import varies


def sharded(function, operation, places, channels, time=None):
    """An operation on arrays, which returns a list, that may be cut over devices.

    `places` is as in batching.py, `channels` takes the same and gives the number of channels, of
    their groups, and of those that kept states have in one vector; `time` is an axis of the first
    array that must be whole.
    """
    if jax.local_device_count() == 1:
        return operation
    about = function, operation, places, channels, time

    def infer(mesh, arrays, results):
        return Cut(*about, mesh, arrays).results

    def partition(mesh, arrays, results):
        found = Cut(*about, mesh, arrays)
        return mesh, found.run, found.results, found.arrays

    @functools.wraps(operation)
    def call(*arrays):
        if any(map(varies, arrays)):  # in jax.shard_map all is cut already
            return operation(*arrays)
        results = jax.eval_shape(operation, *arrays)
        cut = custom_partitioning(operation)
        text, sizes = rule_of(arrays, results, *places(*arrays), *channels(*arrays)[:2])
        cut.def_partition(partition, infer, sharding_rule=text, **sizes)
        return cut(*arrays)

    return call


def rule_of(arrays, results, given, made, d, groups):
    """In Shardy's notation: which axes are cut alike. Of others nothing is said; sizes by name."""
    others = map("".join, itertools.product(string.ascii_lowercase, repeat=3))
    sizes = {}

    def factor(axis, size, place):
        if axis == place.b:
            return "b"
        if axis == place.d and size == d:
            if groups == 1:
                return "c"
            sizes.update(g=groups, c=d // groups)
            return "(g c)"
        if axis == place.d and size == groups > 1:
            return "g"
        if axis == place.r and groups == 1 and size % d == 0 < d < size:
            sizes.update(c=d, m=size // d)
            return "(c m)"
        return next(others)

    def side(arrays, places):
        for x, place in zip(arrays, places, strict=True):
            yield " ".join(factor(i, n, place) for i, n in enumerate(x.shape))

    text = " -> ".join([", ".join(side(arrays, given)), ", ".join(side(results, made))])
    alone = set(re.sub(r"\(.*?\)|[->,]", " ", text).split())  # whose size can be seen
    return text, {name: size for name, size in sizes.items() if name not in alone}


class Cut:
    """How a call is cut, which the first array decides."""

    def __init__(self, function, operation, places, channels, time, mesh, arrays):
        self._operation, self._mesh = operation, mesh
        given, made = places(*arrays)
        self._d, self._groups, unit = channels(*arrays)
        spec = entries(arrays[0])
        if time is not None and spec[time]:
            raise ValueError(
                f"{function}: u must be whole along time on each device; got one that is sharded "
                f"there over {', '.join(spec[time])}. Shard the batch or the channels."
            )
        self._over_batch = spec[given[0].b]
        self._over_channels = () if given[0].d is None else spec[given[0].d]
        if arrays[0].shape[given[0].b] % self._parts(self._over_batch):
            self._over_batch = ()
        count = self._parts(self._over_channels)
        by_vectors = self._groups == 1 and self._d % (count * unit) == 0
        if self._groups % count and not by_vectors:
            self._over_channels = ()
        made_shapes = [x.shape for x in jax.eval_shape(operation, *map(whole, arrays))]
        shardings = [self._sharding(x.shape, p) for x, p in zip(arrays, given, strict=True)]
        self.arrays = tuple(shardings)
        self.results = [self._sharding(x, p) for x, p in zip(made_shapes, made, strict=True)]
        self._in_common = [
            p.d is not None and not self._is_cut(x, p)
            for x, p in zip(made_shapes, made, strict=True)
        ]

    def _parts(self, axes):
        return math.prod(self._mesh.shape[name] for name in axes)

    def _axis(self, shape, place):
        """The axis of an array along which channels are cut, or None."""
        if not self._over_channels:
            return None
        size = 1 if place.d is None else shape[place.d]
        return place.d if size in (self._d, self._groups) and size > 1 else place.r

    def _is_cut(self, shape, place):
        return not self._over_channels or self._axis(shape, place) is not None

    def _sharding(self, shape, place):
        spec = [None] * len(shape)
        if place.b is not None:
            spec[place.b] = self._over_batch or None
        axis = self._axis(shape, place)
        if axis is not None:
            spec[axis] = self._over_channels
        return NamedSharding(self._mesh, PartitionSpec(*spec))

    def run(self, *arrays):
        """The operation on the part of a device."""
        results = self._operation(*arrays)
        return [
            jax.lax.psum(x, self._over_channels) if in_common else x
            for x, in_common in zip(results, self._in_common, strict=True)
        ]


def entries(array):
    """For each axis of a sharded array the names of the axes of the mesh that cut it."""
    spec = [*array.sharding.spec] + [None] * len(array.shape)
    found = [() if x is None else x if isinstance(x, tuple) else (x,) for x in spec]
    return found[: len(array.shape)]


def whole(array):
    """The shape and dtype of an array, however it is cut."""
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
