"""What the table of a model file has for each variant, and the checks of options."""

import difflib
import inspect
from collections.abc import Sequence
from typing import NamedTuple

from ..messages import describe, fail
from ..nn.checks import check_count, check_switch

LAYERS = 1000  # at most, in a model


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
    check_count("create", "num_classes", num_classes, least=0)
    check_count("create", "in_chans", in_chans)
    check_switch("create", "features_only", features_only)
    if out_indices is not None and not features_only:
        fail("create", "out_indices", "None without features_only=True", shown(out_indices))
    is_number = type(drop_path_rate) in (int, float)
    if drop_path_rate is not None and not (is_number and 0 <= drop_path_rate < 1):
        fail("create", "drop_path_rate", "a number from 0 to below 1", describe(drop_path_rate))


SET_BY_CLASSES = ("mixer", "pads", "block", "shell")


def check_names(name, family, options):
    """That a family has options of these names; its class looks at their values."""
    taken = options_of(family)
    if unknown := sorted(set(options) - taken):
        expected = ", ".join(sorted(taken))
        raise TypeError(f"create: options of {name} must be among {expected}; got {unknown[0]}.")


def options_of(family):
    """The names that a class takes, and those of the class that it passes others on to."""
    names = set()
    for kind in family.__mro__:
        found = inspect.signature(kind.__init__).parameters.values()
        names |= {x.name for x in found if x.kind is not x.VAR_KEYWORD}
        if all(x.kind is not x.VAR_KEYWORD for x in found):
            break
    return names - {"self", *SET_BY_CLASSES}


def chosen_maps(features_only, out_indices, count, default, what="stages"):
    """Which of `count` stages give maps, None for a classifier, and how many stages that takes."""
    if not features_only:
        return None, count
    maps = checked_indices(default if out_indices is None else out_indices, count, what)
    return maps, maps[-1] + 1


def checked_indices(indices, count, what):
    """Which of the stages give maps, first to last; numbers below 0 count from the last one."""
    if not isinstance(indices, Sequence) or isinstance(indices, str | bytes):
        expected = "a sequence of integers"
        raise TypeError(f"create: out_indices must be {expected}; got {describe(indices)}.")
    expected = f"different numbers of {what}, from {-count} to {count - 1}"
    if len(indices) > count:
        fail("create", "out_indices", expected, f"{len(indices)} of them")
    fits = all(type(i) is int and -count <= i < count for i in indices)
    chosen = sorted({i % count for i in indices}) if fits else ()
    if not chosen or len(chosen) < len(indices):
        fail("create", "out_indices", expected, shown(tuple(indices)))
    return tuple(chosen)


def shown(values):
    """A value in a message, with its own values if it is a short sequence."""
    if type(values) not in (list, tuple) or len(values) > 8:
        return describe(values)
    if all(type(x) is int and x.bit_length() <= 64 for x in values):
        return tuple(values)
    return f"({', '.join(map(describe, values))})"
