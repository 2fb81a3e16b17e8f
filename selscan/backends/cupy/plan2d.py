"""How a scan along the routes of a path is spread over a GPU: pure functions, as in plan.py.

A block takes all routes of some channels, one after the other. What they add up for a pixel is in
the result, if that has the dtype of the arithmetic, else in numbers of that dtype: in shared memory
where a map is small, or in memory, where the first route writes them and the last one the result.
"""

import math
from typing import NamedTuple

from .instances import GENERAL_LANES_2D, LANES_2D
from .plan import BLOCKS, MOST_BLOCKS, MOST_STAGED, SIZES, WARPS, Shape
from .plan_backward import CHUNK, Kept, shape_of

APART, IN_PLACE, SCRATCH, RESIDENT = range(4)  # enum Sums of csrc/arguments.cuh
_ROOM = 72 * 1024  # bytes of a block, so that three fit on a multiprocessor
_STATE_COST = {1: 8.0, 8: 8.5, 32: 9.0}  # issue slots for 32 states of a step
_STEP_COST = {1: 75, 8: 60, 32: 70}  # and for 32 steps, apart from the states
_SCHEDULERS = 4
_WANTED_WARPS = 2
_BYTES_PER_CYCLE = 16
BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16}


class Mapping(NamedTuple):
    """A way to spread a forward scan."""

    lanes: int  # threads along time
    warps: int  # of a block
    staged: int  # states of which B and C are in shared memory at once
    mode: int  # where routes are added up


def is_whole(path):
    """Whether every route is known to visit every pixel."""
    return path.table is not None and bool((path.inverse >= 0).all())


def merges(problem, layout):
    """Whether routes share the pixels of a map with this layout: u, y or their gradients."""
    return problem.routes > 1 and len(layout.shape) == 2 + len(problem.path.size)


def sum_mode(problem, layout):
    """Where routes are added up, if not in shared memory."""
    if not merges(problem, layout):
        return APART
    return IN_PLACE if layout.dtype == problem.real else SCRATCH


def pixels_of(problem):
    """Pixels of a map."""
    return problem.path.pixels


def slots_of(problem, mapping):
    """Channels that a block has room for."""
    return mapping.warps * Shape.of(problem.state_dtype, mapping.lanes).rows


def channel_blocks(problem, mapping):
    return -(-problem.dim // slots_of(problem, mapping))


def state_step(problem, mapping):
    """Numbers from a state to the next in shared memory: A and h."""
    return 2 * slots_of(problem, mapping)


def shared_bytes(problem, mapping):
    """Dynamic shared memory of a block of scan2d_forward.cu, in its order."""
    number, real = SIZES[problem.state_dtype], SIZES[problem.real]
    shape = Shape.of(problem.state_dtype, mapping.lanes)
    pitch = shape.length + (4 * mapping.lanes if mapping.lanes < 8 else 0)
    slots = slots_of(problem, mapping)
    numbers = mapping.staged * (2 * shape.length + 4) + problem.d_state * 2 * slots
    plane = slots * pixels_of(problem) if mapping.mode == RESIDENT else 0
    reals = mapping.warps * 2 * shape.rows * pitch + plane
    return numbers * number + 2 * shape.length * 4 + reals * real


def mappings(problem, element, y, device):
    """All mappings that are possible, by shared memory and grid; `y` is a Layout or None."""
    modes = [APART] if y is None else [sum_mode(problem, y)]
    if modes != [APART]:
        modes.append(RESIDENT)
    for lanes in LANES_2D if element else GENERAL_LANES_2D:
        staged = min(problem.d_state, MOST_STAGED if lanes < 32 else MOST_STAGED // 2)
        for warps in range(WARPS, 0, -1):
            for mode in modes:
                mapping = Mapping(lanes, warps, staged, mode)
                room = _ROOM if mode == RESIDENT else device.shared_per_block
                blocks = problem.batch * channel_blocks(problem, mapping)
                if shared_bytes(problem, mapping) <= room and blocks <= MOST_BLOCKS:
                    yield mapping


def choose(problem, element, y, device):
    """The mapping of a forward scan that should take the least time."""
    possible = list(mappings(problem, element, y, device))
    if not possible:
        raise ValueError(
            f"scan2d: d_state must be small enough for the {device.shared_per_block} bytes of "
            f"shared memory that a block has on this GPU, and b below 2**31; got "
            f"{problem.d_state} states in {problem.state_dtype}, b = {problem.batch}."
        )
    return min(possible, key=lambda mapping: estimate(problem, mapping, y, device))


def estimate(problem, mapping, y, device):
    """Cycles that a forward scan may take; only good for comparing mappings."""
    shape = Shape.of(problem.state_dtype, mapping.lanes)
    steps = problem.routes * -(-problem.length // shape.length) * shape.length
    cost = _STATE_COST[mapping.lanes] * problem.d_state + _STEP_COST[mapping.lanes]
    staging = 8 * problem.d_state / slots_of(problem, mapping)
    per_warp = steps / 32 * shape.rows * (cost + staging)
    warps = problem.batch * -(-problem.dim // shape.rows)
    schedulers = device.multiprocessors * _SCHEDULERS
    room = device.shared // (shared_bytes(problem, mapping) + 1024)
    resident = max(1, min(BLOCKS, room)) * mapping.warps / _SCHEDULERS
    at_once = min(resident, warps / schedulers)
    compute = per_warp * max(1, warps / schedulers) * max(1, _WANTED_WARPS / at_once)
    elements = problem.batch * problem.dim * pixels_of(problem)
    bytes_moved = elements * traffic(problem, mapping, y) * _waste(problem, shape)
    memory = bytes_moved / (device.multiprocessors * _BYTES_PER_CYCLE)
    slots = problem.batch * channel_blocks(problem, mapping) * mapping.warps
    # What is not the limit is not free either: the least traffic where compute is equal.
    return (max(compute, memory) + 0.1 * memory) * (1 + 0.05 * slots / warps)


def _waste(problem, shape):
    """Of sectors, where channels are neighbours."""
    delta = problem.layouts["delta"]
    size = BYTES[delta.dtype]
    if delta.steps[-1] == size:
        return 1
    return max(1, 32 / (shape.rows * size))


def traffic(problem, mapping, y):
    """Bytes that a forward loads and stores in memory for each pixel of each channel.

    Where every route visits every pixel; B, C, A and the table, which a block's channels share,
    and states for a backward are not in it.
    """
    loads = problem.routes * sum(BYTES[problem.layouts[name].dtype] for name in ("u", "delta"))
    return loads if y is None else loads + result_traffic(problem, y, mapping.mode)


def result_traffic(problem, result, mode):
    """The part of a result that routes may share, for each pixel of each channel."""
    size, real, routes = BYTES[result.dtype], SIZES[problem.real], problem.routes
    last = {IN_PLACE: real, SCRATCH: size}
    if mode == APART:
        return routes * size
    return size if mode == RESIDENT else 2 * (routes - 1) * real + last[mode]


def scratch_size(problem, layout, mode):
    """Numbers of the arithmetic for sums of a map with this layout."""
    return math.prod(layout.shape) if mode == SCRATCH else 0


def chunks_of(problem):
    """Chunks of a route."""
    return -(-problem.length // CHUNK)


def saved_shape(problem):
    """Of the states at the ends of chunks: (batch, route, chunk, state, channel).

    That of a route's last chunk is asked for where another route goes on from it.
    """
    channels = shape_of(problem.state_dtype).channels
    padded = -(-problem.dim // channels) * channels
    ends = problem.path.joined and problem.routes > 1
    return problem.batch, problem.routes, chunks_of(problem) - (not ends), problem.d_state, padded


def saved(problem):
    """The same with its steps in bytes."""
    shape, size = saved_shape(problem), SIZES[problem.state_dtype]
    steps = tuple(size * math.prod(shape[i + 1 :]) for i in range(len(shape)))
    return Kept(shape, steps, problem.state_dtype)
