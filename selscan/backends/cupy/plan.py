"""How a scan is spread over a GPU: pure functions of shapes and of the device's properties.

A block walks along time with some channels; `Mapping` says with how many, and with how many threads
along time. Few lanes along time cost the least work, many lanes make many warps of few rows. The
choice minimises an estimate of the time, made of counted instructions (`python -m bench.slots`);
it has not been tuned on a GPU.
"""

from typing import NamedTuple

from .instances import ELEMENTS, GENERAL_LANES, LANES

WARPS = 4  # of a block, at most: scan_forward.cu is compiled for blocks of 128 threads
BLOCKS = 3  # and for three of them on a multiprocessor, two with complex128
MOST_STAGED = 16  # states of which B and C are in shared memory at once
MOST_BLOCKS = 2**31 - 1  # of a grid
LARGEST = 2**31 - 2**12  # l and d: kernels count in 32 bits, some tiles past the end
SIZES = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}
# Issue slots, or cycles of the exponentials' unit if those are more, for 32 states of a step.
_STATE_COST = {1: 8.0, 2: 8.5, 8: 8.5, 32: 8.5}
_STEP_COST = {1: 36, 2: 36, 8: 36, 32: 41}  # and for 32 steps, apart from the states
_SCHEDULERS = 4  # of a multiprocessor
_WANTED_WARPS = 2  # that a scheduler needs to always have an instruction ready
_BYTES_PER_CYCLE = 16  # of memory traffic, for each multiprocessor
_SECTOR = 32  # bytes that memory moves at once
_MOST_SEGMENTS = 32
_FEWEST_TILES = 4  # of a segment
_LAUNCH = 5000  # cycles that a launch may take


class Device(NamedTuple):
    """What planning knows of a GPU."""

    multiprocessors: int = 132
    shared_per_block: int = 227 * 1024
    shared: int = 228 * 1024  # of a multiprocessor


class Mapping(NamedTuple):
    """A way to spread a forward scan."""

    lanes: int  # threads along time
    warps: int  # of a block
    parts: int  # warps that share the states of the same channels
    staged: int  # states of which B and C are in shared memory at once
    segments: int = 1  # of time, each for blocks of its own


class Shape(NamedTuple):
    """What a thread and a warp have: `Shape` of csrc/tiles.cuh."""

    steps: int  # of a thread
    channels: int  # of a thread
    length: int  # steps of a warp's tile
    rows: int  # channels of a warp's tile

    @classmethod
    def of(cls, number, lanes):
        """For states of a dtype and so many lanes along time."""
        steps, channels = (16, 2) if number == "float32" else (8, 1)
        return cls(steps, channels, steps * lanes, 32 // lanes * channels)


def check_sizes(function, length, dim):
    """Refuse what kernels cannot count."""
    for name, size in (("l", length), ("d", dim)):
        if size > LARGEST:
            raise ValueError(f"{function}: {name} must be at most {LARGEST} on a GPU; got {size}.")


def element_of(problem, y_dtype):
    """The one dtype of u, delta, z, B and C, or None: then the kernels for any mixture are used."""
    constant = [name for name, is_so in _constants(problem).items() if is_so]
    names = [name for name in ("u", "delta", "z", "B", "C") if name not in constant]
    dtypes = {problem.layouts[name].dtype for name in names if name in problem.layouts}
    dtype = dtypes.pop()
    same = not dtypes and dtype in ELEMENTS and y_dtype in (dtype, "float32")
    return dtype if same and problem.state_dtype == "float32" else None


def _constants(problem):
    return {"B": problem.constant_b, "C": problem.constant_c}


def shared_bytes(problem, mapping):
    """Dynamic shared memory of a block: B and C, two tiles for each warp, A and the states."""
    number, real = problem.state_dtype, SIZES[problem.real]
    shape = Shape.of(number, mapping.lanes)
    pitch = shape.length + (4 * mapping.lanes if mapping.lanes < 8 else 0)
    coefficients = mapping.staged * (2 * shape.length + 4) * SIZES[number]
    tiles = mapping.warps * 2 * shape.rows * pitch * real
    return coefficients + tiles + problem.d_state * state_step(problem, mapping) * SIZES[number]


def map_bytes(problem, mapping):
    """The same of the launch that finds the maps of segments: two totals for each own channel."""
    own = 32 * mapping.warps * Shape.of(problem.state_dtype, mapping.lanes).channels
    return shared_bytes(problem, mapping) + 2 * own * SIZES[problem.real]


def span(problem, mapping):
    """Steps of a segment: whole tiles."""
    length = Shape.of(problem.state_dtype, mapping.lanes).length
    return -(-problem.length // (length * mapping.segments)) * length


def state_step(problem, mapping):
    """Numbers from a state to the next in shared memory: A, h and constant B, C of all channels."""
    kinds = 4 if problem.constant_b or problem.constant_c else 2
    return kinds * _slots(problem, mapping)


def _slots(problem, mapping):
    """Channels of a block."""
    return mapping.warps // mapping.parts * Shape.of(problem.state_dtype, mapping.lanes).rows


def channel_blocks(problem, mapping):
    """Blocks that share the channels of a group."""
    return -(-(problem.dim // problem.groups) // _slots(problem, mapping))


def mappings(problem, element, device):
    """All mappings that are possible for a problem, by shared memory and grid."""
    single = problem.d_state == 1
    for lanes in LANES if element else GENERAL_LANES:
        staged = min(problem.d_state, MOST_STAGED if lanes < 32 else MOST_STAGED // 2)
        for warps in range(WARPS, 0, -1):
            for parts in range(1, 2 if single else warps + 1):
                mapping = Mapping(lanes, warps, parts, staged)
                if warps % parts == 0 and parts <= staged:
                    yield from in_segments(problem, mapping, device)


def in_segments(problem, mapping, device):
    """A mapping with all of time for each block, and cut as long as all blocks run at once."""
    fits = shared_bytes(problem, mapping) <= device.shared_per_block
    if fits and blocks(problem, mapping) <= MOST_BLOCKS:
        yield mapping
    tiles = problem.length // Shape.of(problem.state_dtype, mapping.lanes).length
    segments = 2
    while segments <= min(_MOST_SEGMENTS, tiles // _FEWEST_TILES):
        cut = without_empty(problem, mapping._replace(segments=segments))
        if blocks(problem, cut) > BLOCKS * device.multiprocessors:
            return
        if map_bytes(problem, cut) <= device.shared_per_block:
            yield cut
        segments *= 2


def without_empty(problem, mapping):
    """A mapping with no more segments than have steps."""
    return mapping._replace(segments=-(-problem.length // span(problem, mapping)))


def blocks(problem, mapping):
    """Blocks of the grid."""
    return problem.batch * problem.groups * channel_blocks(problem, mapping) * mapping.segments


def choose(problem, element, device):
    """The mapping of a forward scan that should take the least time."""
    possible = list(mappings(problem, element, device))
    if not possible:
        raise ValueError(
            f"scan: d_state must be small enough for the {device.shared_per_block} bytes of shared "
            f"memory that a block has on this GPU, and b * g below 2**31; got {problem.d_state} "
            f"states in {problem.state_dtype}, b = {problem.batch}, g = {problem.groups}."
        )
    return min(possible, key=lambda mapping: estimate(problem, mapping, device))


def estimate(problem, mapping, device):
    """Cycles that a forward scan may take; only good for comparing mappings."""
    shape = Shape.of(problem.state_dtype, mapping.lanes)
    steps = -(-problem.length // shape.length) * shape.length
    if mapping.segments > 1:
        steps = mapping.segments * span(problem, mapping)
    elif mapping.lanes == 1 and 0 < problem.length % shape.length <= shape.length // 2:
        steps -= shape.length // 2  # scan_forward.cu: half a tile
    states = -(-problem.d_state // mapping.parts)
    per_warp = (
        steps
        / mapping.segments
        / 32
        * shape.rows
        * (_STATE_COST[mapping.lanes] * states + _STEP_COST[mapping.lanes])
    )
    groups = problem.batch * problem.groups
    warps = groups * -(-(problem.dim // problem.groups) // shape.rows) * mapping.parts
    warps *= mapping.segments
    schedulers = device.multiprocessors * _SCHEDULERS
    room = device.shared // (shared_bytes(problem, mapping) + 1024)
    resident = max(1, min(BLOCKS, room)) * mapping.warps / _SCHEDULERS
    at_once = min(resident, warps / schedulers)
    compute = per_warp * warps / schedulers * max(1, _WANTED_WARPS / at_once)
    # A block's idle warps keep others out, and its first and last tiles are not overlapped.
    slots = blocks(problem, mapping) * mapping.warps
    one = max(compute, _memory(problem, mapping, shape, device)) * (1 + 0.05 * slots / warps)
    if mapping.segments == 1:
        return one
    return _LAUNCH + one * (2 - 1 / mapping.segments)  # and the maps of all but the last


def _memory(problem, mapping, shape, device):
    """Cycles of the traffic of u, delta, z and y; short runs waste parts of sectors."""
    u = problem.layouts["u"]
    axes = problem.axes["u"]
    size = 2 if u.dtype in ("float16", "bfloat16") else SIZES[u.dtype]
    along_time = axes.t is not None and abs(u.steps[axes.t]) <= abs(u.steps[axes.d])
    run = shape.length if along_time else _slots(problem, mapping)
    waste = max(1, _SECTOR / (run * size))
    arrays = 3 + ("z" in problem.layouts)
    elements = problem.batch * problem.dim * problem.length
    return elements * arrays * size * waste / (device.multiprocessors * _BYTES_PER_CYCLE)
