"""vmap: one call, in which the new axis is part of the batch or of the channels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


class Place(NamedTuple):
    """Where an array has its batch and its channels (or groups of them); None: it has none."""

    b: int | None
    d: int | None
    r: int | None = None  # of kept states: vectors of the channels of a group


def over_batches(operation, places):
    """An operation on arrays, which returns a list, that vmap makes one larger call of.

    `places` takes shapes and dtypes without the new axis, and gives a Place for each of them and
    for each result. The new axis becomes part of the batch; where an array that is mapped over has
    none (A, say), part of the channels; and where one has no channels either, there is a call for
    each.
    """
    mapped = custom_vmap(operation)

    @mapped.def_vmap
    def rule(size, is_batched, *arrays):
        given, made = places(*map(one, arrays, is_batched))
        for axis in (0, 1):  # of a Place
            old = [place[axis] for place in given]
            needed = [at for at, new in zip(old, is_batched, strict=True) if new]
            if None not in needed + [place[axis] for place in made]:
                joined = map(join, arrays, old, is_batched, [size] * len(old))
                results = mapped(*joined)
                results = [split(x, p[axis], size) for x, p in zip(results, made, strict=True)]
                break
        else:
            results = one_by_one(mapped, is_batched, arrays)
        return results, [True] * len(results)

    return mapped


def one(array, is_batched):
    """What an operation gets without the new axis."""
    return jax.ShapeDtypeStruct(array.shape[is_batched:], array.dtype)


def join(array, axis, is_batched, size):
    """The array with its first axis, or copies of it if it is not batched, as part of another."""
    if axis is None:
        return array
    if not is_batched:
        array = jnp.broadcast_to(array, (size, *array.shape))
    array = jnp.moveaxis(array, 0, axis)
    return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])


def split(array, axis, size):
    """The way back."""
    parts = size, array.shape[axis] // size
    array = array.reshape(*array.shape[:axis], *parts, *array.shape[axis + 1 :])
    return jnp.moveaxis(array, axis, 0)


def one_by_one(operation, is_batched, arrays):
    """A call for each."""
    pairs = list(zip(arrays, is_batched, strict=True))
    mapped = [x for x, new in pairs if new]

    def call(some):
        found = iter(some)
        return operation(*(next(found) if new else x for x, new in pairs))

    return jax.lax.map(call, mapped)
