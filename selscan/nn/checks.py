"""Checks of what layers and models are given: tensors, sizes, widths, switches and choices."""

import math

import torch

from ..messages import describe, fail

LARGEST = 2**24  # of a size: a product of two of them stays far below 2**63 bytes


def check_tensor(function, name, value):
    """A tensor of floats: arrays of other libraries and pixels of 8 bits are none."""
    expected = "a torch tensor of floats"
    if not isinstance(value, torch.Tensor):
        hint = f" Pass torch.as_tensor({name})." if hasattr(value, "__array__") else ""
        raise TypeError(f"{function}: {name} must be {expected}; got {describe(value)}.{hint}")
    if not value.is_floating_point():
        got = str(value.dtype).removeprefix("torch.")
        hint = f" Pass {name} / 255, normalised as in training." if got == "uint8" else ""
        raise TypeError(f"{function}: {name} must be {expected}; got one of {got}.{hint}")


def check_count(function, name, value, most=LARGEST, least=1, besides=""):
    """An integer of at least 1: True, 4.0 and "4" are none. `besides` is what else may be said."""
    expected = f"{besides}an integer of at least {least}"
    if type(value) is not int:
        raise TypeError(f"{function}: {name} must be {expected}; got {describe(value)}.")
    if value < least:
        fail(function, name, expected, describe(value))
    if value > most:
        fail(function, name, f"at most {most}", describe(value))


def check_positive(function, name, value):
    """A number above 0 that is finite."""
    expected = "a number above 0"
    if type(value) not in (int, float):
        raise TypeError(f"{function}: {name} must be {expected}; got {describe(value)}.")
    if not 0 < value < math.inf:
        fail(function, name, expected, describe(value))


def check_switch(function, name, value):
    """True or False: a word or an array is a mistake."""
    if value is not True and value is not False:
        raise TypeError(f"{function}: {name} must be True or False; got {describe(value)}.")


def check_choice(function, name, value, choices):
    """One of a few values, and of its type: True is not 1."""
    if not any(type(value) is type(x) and value == x for x in choices):
        *most, last = map(repr, choices)
        fail(function, name, f"{', '.join(most)} or {last}", describe(value))


def checked_rank(function, rank, dim):
    """The width of the bottleneck that delta comes through; "auto" goes by that of the block."""
    if type(rank) is str and rank == "auto":
        return math.ceil(dim / 16)
    check_count(function, "dt_rank", rank, besides="'auto' or ")
    return rank


def checked_width(function, name, ratio, dim, or_none=False):
    """How many channels a multiple of `dim` is; with `or_none` there may be none, at 0."""
    expected = f"a number that makes 1 to {LARGEST} channels of {dim}"
    expected = f"0, or {expected}" if or_none else expected
    if type(ratio) not in (int, float):
        raise TypeError(f"{function}: {name} must be {expected}; got {describe(ratio)}.")
    # In this order no infinity and no NaN becomes an int.
    fits = 1 <= ratio * dim < LARGEST + 1
    if not fits and not (or_none and ratio == 0):
        fail(function, name, expected, describe(ratio))
    return int(ratio * dim)
