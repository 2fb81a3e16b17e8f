"""Arrays as kernels index them: an operand at some address, with axes in the order of the kernel.

A View is made once for a plan; only its address is not known then.
"""

from typing import NamedTuple

import numpy as np

from . import gpu


class View(NamedTuple):
    """An array without its address."""

    name: str | None  # of the address; None: not given
    shape: tuple
    steps: tuple  # bytes
    dtype: str
    offset: int = 0  # bytes from the address

    def at(self, axis, index):
        """The part with one index of an axis, which it loses."""
        moved = self.offset + index * self.steps[axis]
        shape, steps = (x[:axis] + x[axis + 1 :] for x in (self.shape, self.steps))
        return self._replace(shape=shape, steps=steps, offset=moved)

    def turned(self):
        """With the last axis, time, in reverse."""
        last, step = self.shape[-1], self.steps[-1]
        moved = self.offset + (last - 1) * step
        return self._replace(steps=(*self.steps[:-1], -step), offset=moved)

    def array(self, addresses):
        """The device array; without elements where the address is not known."""
        dtype = memory_dtype(self.dtype)
        if self.name not in addresses:
            here = next(iter(addresses.values()))  # any address: nothing is read
            return gpu.array_at(here, (0,) * len(self.shape), (0,) * len(self.shape), dtype)
        return gpu.array_at(addresses[self.name] + self.offset, self.shape, self.steps, dtype)


def memory_dtype(name):
    """NumPy's dtype by which a kernel reads one: bfloat16 as its bits, in uint16."""
    return np.dtype("uint16" if name == "bfloat16" else name)


def of_operand(name, operands, keys, **sizes):
    """The View of an operand, its axes in the order of `keys`, letters of Axes.

    Of an axis that it lacks it has `sizes`, in steps of zero bytes; `sizes` need only name those.
    """
    if name not in operands:
        return absent(len(keys))
    layout, axes = operands[name]
    where = [getattr(axes, key) for key in keys]
    shape = tuple(
        sizes.get(key, 1) if axis is None else layout.shape[axis]
        for key, axis in zip(keys, where, strict=True)
    )
    steps = tuple(0 if axis is None else layout.steps[axis] for axis in where)
    return View(name, shape, steps, layout.dtype)


def absent(ndim, dtype="float32"):
    """What is not given."""
    return View(None, (0,) * ndim, (0,) * ndim, dtype)


def dense(name, shape, dtype, offset=0):
    """A View of memory in C order."""
    unit = np.dtype(dtype).itemsize
    steps = []
    for size in reversed(shape):
        steps.insert(0, unit)
        unit *= size
    return View(name, tuple(shape), tuple(steps), dtype, offset)
