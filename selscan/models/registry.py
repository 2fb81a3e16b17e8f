"""What the table of a model file has for each variant, and the checks of options."""

import difflib
import inspect
from collections.abc import Sequence
from typing import NamedTuple

from ..messages import describe, fail


class Variant(NamedTuple):
    """A model by name: what its constructor is called with, and what its paper says of it.

    Published figures are None where there are none.
    """

    options: dict
    parameters: float | None  # millions
    gflops: float | None  # for an image of 224 x 224 pixels
    top1: float | None  # per cent, on ImageNet-1k
    sized: bool = False  # whether it is made for one size of images, img_size


def checked_name(name, known):
    """The name, if it is one of the known."""
    if not isinstance(name, str):
        raise TypeError(f"create: name must be a string; got {describe(name)}.")
    if name not in known:
        lower = name.lower()
        near = [other for other in known if other.startswith(lower)][:3]
        near = near or difflib.get_close_matches(lower, known, n=3, cutoff=0.5)
        hint = f" Is it {' or '.join(near)}?" if near else ""
        fail("create", "name", "one of selscan.models.list()", describe(name), hint)
    return name


def check_options(num_classes, in_chans, features_only, out_indices, drop_path_rate):
    """The options that all models have."""
    for name, value in (("num_classes", num_classes), ("in_chans", in_chans)):
        if type(value) is not int or value < 1:
            fail("create", name, "an integer of at least 1", describe(value))
    if not isinstance(features_only, bool):
        raise TypeError(f"create: features_only must be a bool; got {describe(features_only)}.")
    if out_indices is not None and not features_only:
        fail("create", "out_indices", "None without features_only=True", out_indices)
    is_number = type(drop_path_rate) in (int, float)
    if drop_path_rate is not None and not (is_number and 0 <= drop_path_rate < 1):
        fail("create", "drop_path_rate", "a number from 0 to below 1", describe(drop_path_rate))


SET_BY_CLASSES = ("mixers", "pads")
COUNTS = ("depth", "d_state", "patch", "stride", "patch_size")  # options of one integer


def check_own_options(name, family, options):
    """The options of a family: those that its class has, and counts of at least 1."""
    taken = options_of(family)
    if unknown := sorted(set(options) - taken):
        expected = ", ".join(sorted(taken))
        raise TypeError(f"create: options of {name} must be among {expected}; got {unknown[0]}.")
    for option in COUNTS:
        value = options.get(option)
        if value is not None and (type(value) is not int or value < 1):
            fail("create", option, "an integer of at least 1", describe(value))


def options_of(family):
    """The names that a class takes, and those of the class that it passes others on to."""
    names = set()
    for kind in family.__mro__:
        found = inspect.signature(kind.__init__).parameters.values()
        names |= {x.name for x in found if x.kind is not x.VAR_KEYWORD}
        if all(x.kind is not x.VAR_KEYWORD for x in found):
            break
    return names - {"self", *SET_BY_CLASSES}


def checked_indices(indices, count, what="stages"):
    """Which of the stages give maps, as a tuple."""
    if not isinstance(indices, Sequence):
        expected = "a sequence of integers"
        raise TypeError(f"create: out_indices must be {expected}; got {describe(indices)}.")
    indices = tuple(indices)
    fits = all(type(i) is int and 0 <= i < count for i in indices)
    if not fits or not indices or len(set(indices)) < len(indices):
        expected = f"different numbers of {what}, from 0 to {count - 1}"
        fail("create", "out_indices", expected, indices)
    return tuple(sorted(indices))
