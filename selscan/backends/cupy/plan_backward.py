"""How the gradient of a scan is spread over a GPU: pure functions, as in plan.py.

A block walks along time, from the end, with some channels, and then with the next ones: what it
adds to the gradients of B and C stays in its own part of memory, and there are at most `MOST_PARTS`
of those. Where that leaves multiprocessors idle, time is cut into segments for blocks of their own,
which costs another pass over them (scan_carry.cu).

Nothing here depends on strides: the forward has to save what the backward will read.
"""

import math
from typing import NamedTuple

from .plan import MOST_BLOCKS, SIZES, WARPS, Shape

CHUNK = 32  # steps of a tile, and from one saved state to the next: csrc/tiles.cuh
MOST_PARTS = 8  # of the gradients of B and C, for each batch entry and group
MOST_STAGED = 16  # states of which B and C are in shared memory at once
_MOST_SEGMENTS = 32
_FEWEST_CHUNKS = 4  # of a segment
_SEGMENTS_COST = 1.3  # of the time without, for the pass that finds the carries
_BLOCKS = {"float32": 3}  # on a multiprocessor; two with other states
_WANTED_WARPS = 8  # of a multiprocessor, to always have an instruction ready


class Mapping(NamedTuple):
    """A way to spread a backward scan."""

    warps: int  # of a block
    walk: int  # blocks of channels that a block takes
    segments: int  # of time
    staged: int  # states of which B and C are in shared memory at once


class Kept(NamedTuple):
    """How numbers lie that kernels keep for one another, as a Layout of arrays/layouts.py."""

    shape: tuple
    steps: tuple  # bytes
    dtype: str


def shape_of(number):
    """What a thread and a warp have: `BackwardShape` of csrc/tiles.cuh."""
    steps, channels = (8, 2) if number == "float32" else (4 if number == "complex128" else 8, 1)
    return Shape(steps, channels, CHUNK, 32 * steps // CHUNK * channels)


def chunks_of(problem):
    """Tiles of the sequence."""
    return -(-problem.length // CHUNK)


def channel_blocks(problem, mapping):
    """Blocks of channels of a group."""
    per_block = mapping.warps * shape_of(problem.state_dtype).rows
    return -(-(problem.dim // problem.groups) // per_block)


def slices(problem, mapping):
    """Blocks that share a group, each with its part of the gradients of B and C."""
    return -(-channel_blocks(problem, mapping) // mapping.walk)


def span(problem, mapping):
    """Chunks of a segment."""
    return -(-chunks_of(problem) // mapping.segments)


def blocks(problem, mapping):
    """Blocks of the grid."""
    return problem.batch * problem.groups * slices(problem, mapping) * mapping.segments


def shared_bytes(problem, mapping):
    """Dynamic shared memory of a block of scan_backward.cu: `Memory` of csrc/backward.cuh."""
    shape, constant = shape_of(problem.state_dtype), problem.constant_b or problem.constant_c
    own = 32 * mapping.warps * shape.channels
    numbers = mapping.warps * mapping.staged * 2 * CHUNK + problem.d_state * own
    gated = constant or "z" in problem.layouts or "seq_idx" in problem.layouts
    reals = own * shape.steps if gated else 0
    sizes = numbers * SIZES[problem.state_dtype] + reals * SIZES[problem.real]
    return _common_bytes(problem, mapping, 7 if constant else 3) + sizes


def carry_bytes(problem, mapping):
    """The same of scan_carry.cu."""
    return _common_bytes(problem, mapping, 5 if problem.constant_c else 3)


def _common_bytes(problem, mapping, kinds):
    """B and C, two totals of each thread's channels, and the rows."""
    shape = shape_of(problem.state_dtype)
    numbers = mapping.staged * (2 * CHUNK + 4)
    numbers += problem.d_state * kinds * mapping.warps * shape.rows
    reals = 2 * 32 * mapping.warps * shape.channels
    return numbers * SIZES[problem.state_dtype] + reals * SIZES[problem.real]


def mappings(problem, device):
    """All mappings of a problem that planning may pick."""
    staged = min(problem.d_state, MOST_STAGED)
    for warps in range(WARPS, 0, -1):
        one = Mapping(warps, 1, 1, staged)
        if shared_bytes(problem, one) > device.shared_per_block:
            continue
        one = one._replace(walk=-(-channel_blocks(problem, one) // MOST_PARTS))
        segments = 1
        while segments == 1 or segments <= min(
            _MOST_SEGMENTS, chunks_of(problem) // _FEWEST_CHUNKS
        ):
            mapping = one._replace(segments=segments)
            if blocks(problem, mapping) <= MOST_BLOCKS:
                yield mapping._replace(segments=-(-chunks_of(problem) // span(problem, mapping)))
            segments *= 2


def choose(problem, device):
    """The mapping of a backward scan that should take the least time."""
    possible = list(mappings(problem, device))
    if not possible:
        raise ValueError(
            f"scan: d_state must be small enough for the {device.shared_per_block} bytes of shared "
            f"memory that a block of the backward has on this GPU, and b * g below 2**28; got "
            f"{problem.d_state} states in {problem.state_dtype}, b = {problem.batch}, "
            f"g = {problem.groups}."
        )
    return min(possible, key=lambda mapping: estimate(problem, mapping, device))


def estimate(problem, mapping, device):
    """How long a backward scan may take; only good for comparing mappings."""
    room = device.shared // (shared_bytes(problem, mapping) + 1024)
    resident = max(1, min(_BLOCKS.get(problem.state_dtype, 2), room))
    on_each = -(-blocks(problem, mapping) // device.multiprocessors)
    work = on_each * mapping.warps * mapping.walk * span(problem, mapping)
    at_once = min(resident, on_each) * mapping.warps
    passes = _SEGMENTS_COST if mapping.segments > 1 else 1
    return work * passes * max(1, _WANTED_WARPS / at_once)


def saved_shape(problem):
    """Of the states at the ends of chunks: (batch, chunk, group, state, channel)."""
    return _kept(problem, chunks_of(problem) - 1, 1)


def carries_shape(problem, mapping):
    """The same for the maps of segments, two numbers for each channel."""
    return _kept(problem, mapping.segments - 1, 2)


def _kept(problem, times, count):
    """Sizes may be symbolic."""
    channels = shape_of(problem.state_dtype).channels
    per_group = -(-(problem.dim // problem.groups) // channels) * channels * count
    return problem.batch, times, problem.groups, problem.d_state, per_group


def kept_operand(problem, shape):
    """Such a shape as an operand, with where it has batch, group, state and time."""
    size = SIZES[problem.state_dtype]
    steps = tuple(size * math.prod(shape[i + 1 :]) for i in range(len(shape)))
    return Kept(shape, steps, problem.state_dtype), (0, 2, 3, 1)
