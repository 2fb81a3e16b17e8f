"""The struct that a kernel takes: from a problem to its bytes (csrc/arguments.cuh).

`Arguments` holds all but the addresses, so that a call with known shapes only fills those in. Pure
functions: neither CuPy nor a device is needed.
"""

import math
from typing import NamedTuple

import numpy as np

from . import plan_backward
from .plan import Shape, channel_blocks, span, state_step

# Codes and sizes of dtypes in memory: enum Dtype of csrc/elements.cuh.
DTYPES = (
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128", "int32", "int64",
)  # fmt: skip
SIZES = dict(zip(DTYPES, (2, 2, 4, 8, 8, 16, 4, 8), strict=True))
# enum Access.
CHANNELS, CHANNEL_VECTORS, TIME, TIME_VECTORS = range(4)
VECTOR = 4  # elements along time, or states of B and C, that are loaded at once

STEPS = ("batch", "channel", "state", "time")
OPERAND = np.dtype(
    [("data", "u8"), *((step, "i8") for step in STEPS), ("dtype", "i4"), ("access", "i4")],
    align=True,
)
_LAST = OPERAND.itemsize // 8 - 1
_SEQUENCES = ("u", "delta", "z", "B", "C", "y")
_ROWS = ("A", "D", "delta_bias")


def _struct(operands, wide, integers):
    fields = [*((x, OPERAND) for x in operands), *((x, "i8") for x in wide)]
    return np.dtype([*fields, *((x, "i4") for x in integers)], align=True)


FORWARD = _struct(
    (*_SEQUENCES, *_ROWS, "initial_state", "last_state", "seq_idx", "saved", "carries"),
    (),
    (
        "channels", "length", "states", "groups", "channel_blocks", "segments", "span", "maps",
        "parts", "staged", "state_step", "softplus", "reverse", "ahead", "constant_b",
        "constant_c",
    ),
)  # fmt: skip
_NOT_FOR_MAPS = ("y", "z", "D", "initial_state", "last_state", "states")
_ADJOINT = ("u", "delta", "z", "B", "C", "dy", "du", "ddelta", "dz")
BACKWARD = _struct(
    (
        *_ADJOINT, *_ROWS, "initial_state", "dlast_state", "seq_idx", "saved", "carries",
        "dA", "dB", "dC", "dD", "ddelta_bias", "dinitial_state",
    ),
    ("slice_b", "slice_c"),
    (
        "channels", "length", "states", "groups", "channel_blocks", "slices", "walk", "segments",
        "span", "staged", "softplus", "reverse", "ahead", "constant_b", "constant_c",
    ),
)  # fmt: skip
_AXES = 6  # of a result that is summed from parts
SUM = np.dtype(
    [
        ("parts", "u8"), ("result", "u8"), ("part", "i8"), ("steps", "i8", _AXES),
        ("sizes", "i4", _AXES), ("count", "i4"), ("parts_dtype", "i4"), ("dtype", "i4"),
    ],
    align=True,
)  # fmt: skip
_SUM_WORDS = SUM.itemsize // 8  # the first two are the addresses
SUM_PARTS = np.dtype([("sums", SUM, 5), ("most", "i8")], align=True)
STEP = _struct(
    (*_SEQUENCES, *_ROWS, "state"),
    ("rows",),
    ("channels", "states", "groups", "lanes", "softplus", "constant_b", "constant_c"),
)


class Vectors(NamedTuple):
    """How an operand is reached if its address is a multiple of `alignment`, and if not."""

    alignment: int
    aligned: int
    otherwise: int


class Arguments:
    """A struct without addresses; `fill` adds those.

    It is filled as 64-bit words, which takes a tenth of the time that fields by name take: an
    operand's first word is its address, and its last its dtype and, in the upper half, its access.
    """

    def __init__(self, dtype, operands, integers):
        template = np.zeros((), dtype)
        for name, (layout, axes) in operands.items():
            field = template[name]
            field["dtype"] = DTYPES.index(layout.dtype)
            for step, value in zip(STEPS, steps_of(layout, axes), strict=True):
                field[step] = value
        for name, value in integers.items():
            template[name] = value
        self._dtype = dtype
        self._template = np.frombuffer(template.tobytes(), np.int64).copy()
        # Operands by name: the word of the address, its alignment, the last word without that.
        self._words = {
            name: (dtype.fields[name][1] // 8, 1, 0)
            for name in dtype.names
            if dtype[name] == OPERAND
        }

    def reach(self, name, vectors):
        """Decide on the access of an operand when its address is known."""
        word, _, _ = self._words[name]
        code = int(self._template[word + _LAST])
        self._template[word + _LAST] = code | vectors.aligned << 32
        self._words[name] = word, vectors.alignment, code | vectors.otherwise << 32

    def rename(self, name, new):
        """Take the address of an operand under another name than the kernel has for it."""
        self._words[new] = self._words.pop(name)

    def leave_out(self, names):
        """Leave the addresses of these as they are: null."""
        for name in names:
            del self._words[name]

    def fill(self, addresses):
        """The struct with addresses by name; those that the kernel has no use for are ignored."""
        words, known = self._template.copy(), self._words
        for name, address in addresses.items():
            if name in known:
                word, alignment, otherwise = known[name]
                words[word] = address
                if address % alignment:
                    words[word + _LAST] = otherwise
        return np.ndarray((), self._dtype, words)[()]  # CuPy takes 50 us to look at an array


def steps_of(layout, axes):
    """Bytes between neighbours along batch, channel, state and time; 0 where there are none."""
    return tuple(
        0 if axis is None or layout.shape[axis] == 1 else layout.steps[axis] for axis in axes[:4]
    )


def forward_arguments(problem, operands, element, mapping, maps=False):
    """Arguments of scan_forward; `operands`: name -> (Layout, axes).

    `maps`: of the launch that finds the maps of segments.
    """
    arguments = Arguments(
        FORWARD,
        operands,
        {
            "channels": problem.dim,
            "length": problem.length,
            "states": problem.d_state,
            "groups": problem.groups,
            "channel_blocks": channel_blocks(problem, mapping),
            "segments": mapping.segments,
            "span": span(problem, mapping),
            "maps": maps,
            "parts": mapping.parts,
            "staged": mapping.staged,
            "state_step": state_step(problem, mapping),
            "softplus": problem.softplus,
            "reverse": problem.reverse,
            "ahead": _steps_ahead(problem, operands),
            "constant_b": problem.constant_b,
            "constant_c": problem.constant_c,
        },
    )
    arguments.rename("saved", "states")
    shape = Shape.of(problem.state_dtype, mapping.lanes)
    _reach_all(arguments, problem, operands, _SEQUENCES, element, shape, mapping.staged)
    if maps:
        arguments.leave_out(_NOT_FOR_MAPS)
    return arguments


def backward_arguments(problem, operands, element, mapping, part_steps):
    """Arguments of scan_backward and scan_carry; `part_steps`: result -> bytes between slices."""
    arguments = Arguments(
        BACKWARD,
        operands,
        {
            "slice_b": part_steps.get("dB", 0) if not problem.constant_b else 0,
            "slice_c": part_steps.get("dC", 0) if not problem.constant_c else 0,
            "channels": problem.dim,
            "length": problem.length,
            "states": problem.d_state,
            "groups": problem.groups,
            "channel_blocks": plan_backward.channel_blocks(problem, mapping),
            "slices": plan_backward.slices(problem, mapping),
            "walk": mapping.walk,
            "segments": mapping.segments,
            "span": plan_backward.span(problem, mapping),
            "staged": mapping.staged,
            "softplus": problem.softplus,
            "reverse": problem.reverse,
            "ahead": _steps_ahead(problem, operands),
            "constant_b": problem.constant_b,
            "constant_c": problem.constant_c,
        },
    )
    arguments.rename("saved", "states")
    shape = plan_backward.shape_of(problem.state_dtype)
    _reach_all(arguments, problem, operands, _ADJOINT, element, shape, mapping.staged)
    return arguments


def _steps_ahead(problem, operands):
    """Steps that seq_idx has before the first one: 0, or 1 of a later piece (piece_launches.py)."""
    if "seq_idx" not in operands:
        return 0
    layout, axes = operands["seq_idx"]
    return layout.shape[axes.t] - problem.length


class SumArguments:
    """The struct of sum_parts for (layout of parts, layout of their sum), without addresses."""

    def __init__(self, pairs):
        template = np.zeros((), SUM_PARTS)
        for entry, (parts, result) in zip(template["sums"], pairs, strict=False):
            missing = _AXES - len(result.shape)
            entry["count"], entry["part"] = parts.shape[0], parts.steps[0]
            entry["sizes"] = (1,) * missing + result.shape
            entry["steps"] = (0,) * missing + result.steps
            entry["parts_dtype"] = DTYPES.index(parts.dtype)
            entry["dtype"] = DTYPES.index(result.dtype)
        template["most"] = max(math.prod(result.shape) for _, result in pairs)
        self._template = np.frombuffer(template.tobytes(), np.int64).copy()

    def fill(self, addresses):
        """The struct with pairs of addresses, in the order of the layouts."""
        words = self._template.copy()
        for i, (parts, result) in enumerate(addresses):
            words[i * _SUM_WORDS], words[i * _SUM_WORDS + 1] = parts, result
        return np.ndarray((), SUM_PARTS, words)[()]


def _reach_all(arguments, problem, operands, names, element, shape, staged):
    """Decide how each sequence is reached; constant B and C are rows."""
    constant = {"B": problem.constant_b, "C": problem.constant_c}
    for name in operands.keys() & set(names):
        if not constant.get(name, False):
            vectors = vectors_of(problem, name, operands[name], element, shape, staged)
            arguments.reach(name, vectors)


def vectors_of(problem, name, operand, element, shape, staged):
    """How the kernel reaches u, delta, z, y, B or C."""
    layout, axes = operand
    size = SIZES[layout.dtype]
    batch, channel, state, time = steps_of(layout, axes)
    if problem.length > 1 and time == size:
        rows = (batch, channel, state)
        whole = problem.length % VECTOR == 0
        return _vectors(element and whole, rows, size, VECTOR, TIME_VECTORS, TIME)
    if name in "BC":
        rows, step, count = (batch, channel, time), state, VECTOR
        whole = problem.d_state % VECTOR == 0 and staged % VECTOR == 0
    else:
        rows, step, count = (batch, time), channel, shape.channels
        whole = problem.dim // problem.groups % count == 0
    whole = whole and element and step == size
    return _vectors(whole, rows, size, count, CHANNEL_VECTORS, CHANNELS)


def _vectors(possible, steps, size, count, aligned, otherwise):
    """`aligned` where all steps are whole vectors of `count` elements."""
    if not possible or any(step % (count * size) for step in steps):
        return Vectors(1, otherwise, otherwise)
    return Vectors(count * size, aligned, otherwise)


def step_arguments(problem, operands, lanes):
    """Arguments of scan_step; the state is the operand `initial_state`."""
    operands = {"state" if name == "initial_state" else name: x for name, x in operands.items()}
    operands.pop("last_state", None)  # the state again, which is updated in place
    arguments = Arguments(
        STEP,
        operands,
        {
            "rows": problem.batch * problem.dim,
            "channels": problem.dim,
            "states": problem.d_state,
            "groups": problem.groups,
            "lanes": lanes,
            "softplus": problem.softplus,
            "constant_b": problem.constant_b,
            "constant_c": problem.constant_c,
        },
    )
    arguments.rename("state", "initial_state")
    return arguments
