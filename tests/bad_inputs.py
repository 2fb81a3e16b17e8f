"""The table of bad inputs: what is given, the error, and its whole message.

One list serves the tests and docs/errors.md. A new message adds a row to one of the lists, and
`python tests/errors_page.py` writes the page again.
"""

import ast
import functools
import inspect
import warnings
from typing import NamedTuple

import bad_arrays
import bad_maps
import bad_moves
import bad_options
import bad_shapes
import ml_dtypes
import numpy as np
import pytest
from calls import EVERY as FUNCTIONS
from calls import arguments, array
from numpy.lib.stride_tricks import as_strided

import selscan


class Case(NamedTuple):
    """A call that is refused."""

    function: str
    framework: str
    given: str  # keyword arguments in place of right ones
    layout: str | None
    error: type
    message: str  # all of it

    def arguments(self):
        """All arguments by name: what is given, and right values of the others."""
        right = right_values(self.function, self.framework, self.layout)
        names = right | helpers(self.given, self.framework)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch and NumPy warn of some of these things
            given = {name: eval(value, names) for name, value in keywords(self.given)}
        return right | given


class Group(NamedTuple):
    """Rows of which each is a case for every function and framework."""

    rows: list
    error: type
    functions: tuple = ("scan",)
    frameworks: tuple = ("numpy",)
    layout: str | None = None
    names: tuple = ("X",)  # in place of X

    def cases(self):
        """One for each row, name and framework, and each function that has the argument."""
        return [
            Case(f, x, given.replace("X", name), self.layout, self.error, message)
            for given, text in self.rows
            for f in self.functions
            for x in self.frameworks
            for name in self.names
            for message in [f"{f}: {text.replace('X', name)}"]
            if has_arguments(f, given.replace("X", name))
        ]

    def examples(self):
        """One case for each row."""
        return [self._replace(rows=[row]).cases()[0] for row in self.rows]


BOTH = ("numpy", "torch")
SCANS = ("scan", "scan_backward")
EVERY = (*SCANS, "scan_step", "scan2d")
MOVES = ("gather", "scatter")
B_AND_C = ("B", "C")
TORCH = ("torch",)
SECTIONS = {
    "Shapes": [
        Group(bad_shapes.SHAPES, ValueError, SCANS, BOTH),
        Group(bad_shapes.COEFFICIENTS, ValueError, SCANS, names=B_AND_C),
        Group(bad_shapes.CHANNELS_LAST, ValueError, SCANS, layout="bld"),
        Group(bad_shapes.GRADIENTS, ValueError, ("scan_backward",), BOTH),
        Group(bad_shapes.STEPS, ValueError, ("scan_step",), BOTH),
        Group(bad_shapes.STEP_COEFFICIENTS, ValueError, ("scan_step",), names=B_AND_C),
        Group(bad_shapes.HUGE, ValueError),
    ],
    "Dtypes": [
        Group(bad_arrays.NUMPY_DTYPES, TypeError, SCANS),
        Group(bad_arrays.BACKWARD_DTYPES, TypeError, ("scan_backward",)),
        Group(bad_arrays.STEP_DTYPES, TypeError, ("scan_step",)),
        Group(bad_arrays.TENSOR_DTYPES, TypeError, SCANS, TORCH),
    ],
    "Things that are not arrays, and other libraries' arrays": [
        Group(bad_arrays.NOT_ARRAYS, TypeError, SCANS),
        Group(bad_arrays.AMONG_NUMPY, TypeError, SCANS),
        Group(bad_arrays.AMONG_TENSORS, TypeError, SCANS, TORCH),
        Group(bad_arrays.AMONG_NUMPY_STEP, TypeError, ("scan_step",)),
    ],
    "Tensors that a kernel cannot read": [Group(bad_arrays.TENSORS, TypeError, SCANS, TORCH)],
    "Devices": [
        Group(bad_arrays.DEVICES, ValueError, SCANS, TORCH),
        Group(bad_arrays.OTHER_DEVICE, ValueError, ("scan",), TORCH),
    ],
    "Options and backends": [
        Group(bad_options.OPTION_TYPES, TypeError, (*EVERY, *MOVES)),
        Group(bad_options.OPTION_TYPES_TENSORS, TypeError, EVERY, TORCH),
        Group(bad_options.OPTIONS, ValueError, (*EVERY, *MOVES)),
        Group(bad_options.USE_TYPES, TypeError, ("use",)),
        Group(bad_options.USE, ValueError, ("use",)),
        Group(bad_options.PATCH_TYPES, TypeError, ("patch",)),
        Group(bad_options.PATCH, ValueError, ("patch",)),
    ],
    "Maps and paths": [
        Group(bad_maps.MAPS, ValueError, ("scan2d",), BOTH),
        Group(bad_maps.TABLES, ValueError, ("scan2d",)),
        Group(bad_maps.ORDERS, ValueError, ("scan2d",), BOTH),
        Group(bad_maps.PATHS, TypeError, ("scan2d",)),
    ],
    "The state of a step": [
        Group(bad_options.STATES, ValueError, ("scan_step",)),
        Group(bad_options.STATES_TENSORS, ValueError, ("scan_step",), TORCH),
    ],
    "Moving maps along a path": [
        Group(bad_moves.MAPS, ValueError, ("gather",), BOTH),
        Group(bad_moves.SEQUENCES, ValueError, ("scatter",), BOTH),
        Group(bad_moves.HUGE, ValueError, MOVES),
        Group(bad_moves.DTYPES, TypeError, MOVES, names=("x", "y")),
        Group(bad_moves.TENSORS, TypeError, MOVES, TORCH, names=("x", "y")),
        Group(bad_moves.NOT_ARRAYS, TypeError, MOVES),
        Group(bad_moves.PATHS, TypeError, MOVES, BOTH),
        Group(bad_moves.SIZES, ValueError, MOVES),
        Group(bad_moves.SIZES_OF_MAPS, ValueError, ("gather",), BOTH),
        Group(bad_moves.SIZES_OF_SEQUENCES, ValueError, ("scatter",), BOTH),
        Group(bad_moves.FLAGS, TypeError, ("scatter",), BOTH),
    ],
}


def cases():
    """Every case of every section."""
    return [case for groups in SECTIONS.values() for group in groups for case in group.cases()]


def has_arguments(function, given):
    """Whether a function takes the keyword arguments."""
    return {name for name, _ in keywords(given)} <= parameters(function).keys()


@functools.cache
def parameters(function):
    """Of a public function."""
    return inspect.signature(getattr(selscan, function)).parameters


def right_values(function, framework, layout=None):
    """Arguments of a call that works, by name."""
    if function not in FUNCTIONS:
        return {}
    right = arguments(function, framework, **({"layout": layout} if layout else {}))
    if "seq_idx" in right:
        right["seq_idx"] = array(framework, (2, 5), "int32")
    return right


def helpers(given, framework):
    """What else stands in `given`, by name."""
    names = {"np": np, "ml_dtypes": ml_dtypes, "as_strided": as_strided, "selscan": selscan}
    names["paths"] = selscan.paths
    names["ones"] = functools.partial(array, framework)
    if framework == "torch" or "torch." in given:
        names["torch"] = pytest.importorskip("torch")
    return names


def keywords(given):
    """(name, expression) of each keyword argument."""
    text = f"call({given})"
    call = ast.parse(text, mode="eval").body
    return [(x.arg, ast.get_source_segment(text, x.value)) for x in call.keywords]
