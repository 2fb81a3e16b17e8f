"""The struct that a kernel takes: from a problem to its bytes (csrc/arguments.cuh).

`Arguments` holds all but the addresses, so that a call with known shapes only fills those in. Pure
functions: neither CuPy nor a device is needed.
"""

from typing import NamedTuple

import numpy as np

from .plan import Shape, channel_blocks, state_step

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
    (*_SEQUENCES, *_ROWS, "initial_state", "last_state", "seq_idx"),
    (),
    (
        "channels", "length", "states", "groups", "channel_blocks", "parts", "staged", "state_step",
        "softplus", "reverse", "constant_b", "constant_c",
    ),
)  # fmt: skip
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

    def fill(self, addresses):
        """The struct with addresses by name; those that the kernel has no use for are ignored."""
        words, known = self._template.copy(), self._words
        for name, address in addresses.items():
            if name in known:
                word, alignment, otherwise = known[name]
                words[word] = address
                if address % alignment:
                    words[word + _LAST] = otherwise
        return np.ndarray((), self._dtype, words)


def steps_of(layout, axes):
    """Bytes between neighbours along batch, channel, state and time; 0 where there are none."""
    found = (
        None if axis is None or layout.shape[axis] == 1 else layout.steps[axis] for axis in axes
    )
    return tuple(0 if step is None else step for step in found)


def forward_arguments(problem, operands, element, mapping):
    """Arguments of scan_forward; `operands`: name -> (Layout, axes)."""
    arguments = Arguments(
        FORWARD,
        operands,
        {
            "channels": problem.dim,
            "length": problem.length,
            "states": problem.d_state,
            "groups": problem.groups,
            "channel_blocks": channel_blocks(problem, mapping),
            "parts": mapping.parts,
            "staged": mapping.staged,
            "state_step": state_step(problem, mapping),
            "softplus": problem.softplus,
            "reverse": problem.reverse,
            "constant_b": problem.constant_b,
            "constant_c": problem.constant_c,
        },
    )
    shape = Shape.of(problem.state_dtype, mapping.lanes)
    for name in operands.keys() & set(_SEQUENCES):
        constant = {"B": problem.constant_b, "C": problem.constant_c}.get(name, False)
        if not constant:
            vectors = vectors_of(problem, name, operands[name], element, shape, mapping.staged)
            arguments.reach(name, vectors)
    return arguments


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
