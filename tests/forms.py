"""Forms in memory: functions that return an array of the same values with other strides."""

import numpy as np


def _gaps(shape, dtype):
    """What must not be read: NaN, in both parts, or a number that is nowhere else."""
    return np.full(shape, -77 if dtype.kind == "i" else dtype.type(1) * dtype.type(np.nan), dtype)


def sliced(x):
    """A view inside a larger array of NaN."""
    larger = _gaps([size + 3 for size in x.shape], x.dtype)
    inside = larger[(slice(1, -2),) * x.ndim]
    inside[...] = x
    return inside


def transposed(x):
    """The order of Fortran."""
    return x.T.copy().T


def channels_last(x):
    """(b, d, l) in the memory order (b, l, d)."""
    after = min(1, x.ndim - 1)
    return np.moveaxis(np.moveaxis(x, -1, after).copy(), after, -1)


def every_other(x):
    """Every second element of an array that has NaN between them."""
    larger = _gaps((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    larger[..., ::2] = x
    return larger[..., ::2]


def every_other_row(x):
    """The same along the first axis."""
    larger = _gaps((2 * x.shape[0], *x.shape[1:]), x.dtype)
    larger[::2] = x
    return larger[::2]


def behind_one(x):
    """One element behind an aligned address."""
    return _at(x, x.itemsize)


def behind_a_byte(x):
    """At an odd address."""
    return _at(x, 1)


def _at(x, offset):
    memory = np.full(x.nbytes + 64 + offset, 0xFF, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view = memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def backwards(x):
    """Negative strides along every axis."""
    flip = (slice(None, None, -1),) * x.ndim
    return x[flip].copy()[flip]


def backwards_in_the_last_axis(x):
    """A negative stride along the last axis."""
    return x[..., ::-1].copy()[..., ::-1]


def read_only(x):
    """An array that refuses to be written."""
    x = x.copy()
    x.flags.writeable = False
    return x


# Forms that torch.from_numpy takes without a copy or a warning, and the others.
ANY_FRAMEWORK = (sliced, transposed, channels_last, every_other, every_other_row, behind_one)
NUMPY_ONLY = (behind_a_byte, backwards, backwards_in_the_last_axis, read_only)
