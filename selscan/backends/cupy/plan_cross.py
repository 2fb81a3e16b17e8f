"""How scans of small maps along the cross path are spread over a GPU: pure, as plan.py is.

A team of threads has a map of a channel in shared memory, and takes one channel after the other;
the teams of a block share B and C. A thread has some pixels of a row or of a column. There are
kernels for maps of up to 7, 14, 28 and 56 columns, and for each of these one where the steps divide
the sides.

What they do not take is for the kernels of plan2d.py, which serve every path. These need no states
of a forward: it keeps none where they would serve the backward, too.
"""

from typing import NamedTuple

from ...paths import cross
from . import plan
from .plan import MOST_BLOCKS
from .plan2d import BYTES

ROUTES = 4
_ROW = 4 * 3 * ROUTES  # bytes: A, delta_bias and D of a channel
_SUM, _PAIR = 4, 8  # bytes of a sum, and of B and C of a pixel
_STATIC = 1536  # bytes of shared memory, at most, that a kernel has besides
_FEWEST = 0.4  # of a team's steps that have to be pixels: else the table costs less
_TURNS = (16, 12, 10, 8, 6, 5, 4, 3, 2, 1)
_REGISTERS = 1 << 16  # of a multiprocessor
# Issue slots of a pixel and route, of a pixel of the block, and of a block.
_FORWARD_COSTS, _BACKWARD_COSTS = (36, 30, 500), (95, 110, 1000)
# Numbers from a row to the next, and after the rows of a map, by their bytes: csrc/cross.cuh.
_PITCHES = {
    7: {2: 11, 4: 7, 8: 7},
    14: {2: 14, 4: 15, 8: 15},
    28: {2: 28, 4: 28, 8: 28},
    56: {2: 56, 4: 60, 8: 60},
}
_GAPS = {(7, 4): 7, (7, 8): 7, (14, 2): 14}


class Shape(NamedTuple):
    """Of a kernel: `CrossShape` of csrc/cross.cuh."""

    side: int
    steps: int  # pixels of a thread
    whole: bool  # which divide the sides of the map

    @property
    def team(self):
        """Threads of a team, at most."""
        return (self.side // 7) ** 2 * 56 // self.steps


class Mapping(NamedTuple):
    """A way to spread a scan."""

    shape: Shape
    team: int  # threads
    teams: int  # of a block
    turns: int  # channels of a team


def takes(problem, device):
    """Whether these kernels serve a problem."""
    return (
        problem.merge
        and problem.d_state == 1
        and element_of(problem) is not None
        and len(problem.layouts["u"].shape) == 4
        and all(problem.axes[name].is_map for name in ("delta", "B", "C"))
        and is_cross(problem.path)
        and all(is_dense(problem.layouts[name]) for name in ("u", "delta", "B", "C"))
        and fits(problem, device)
    )


def is_cross(path):
    """Whether a path is the built-in one."""
    if path.table is None or path.joined or path.depth is not None or path.routes != ROUTES:
        return False
    return path == cross(path.height, path.width)


def element_of(problem):
    """The dtype that u, delta, B and C share, or None."""
    return plan.element_of(problem, problem.layouts["u"].dtype)


def is_dense(layout):
    """Whether rows and pixels of its maps follow one another."""
    *_, height, width = layout.shape
    *_, row, column = layout.steps
    size = BYTES[layout.dtype]
    return (width == 1 or column == size) and (height == 1 or row == width * size)


def writes(problem, y):
    """Whether a forward may have this Layout of y."""
    return y.dtype in (element_of(problem), "float32") and is_dense(y)


def shape_of(problem, side, backward):
    """The Shape for maps of up to `side` columns."""
    height, width = problem.path.height, problem.path.width

    def divide(steps):
        return height % steps == width % steps == 0

    is_wide = element_of(problem) == "float32" and side == 56 and divide(14)
    steps = 14 if (is_wide if backward else side > 7) else 7
    return Shape(side, steps, divide(steps))


def most_threads(problem, shape, backward):
    """Of a block: the more registers a thread has, the fewer."""
    if not backward:
        return 512 if shape.whole and BYTES[element_of(problem)] == 2 else 256
    if shape.steps == 14:
        return 256
    if shape.whole and shape.side != 14:
        return 512
    return 384 if shape.side == 56 else 256


def threads_of(path, steps):
    """Threads that have pixels, for rows and for columns."""
    height, width = path.height, path.width
    return max(height * -(-width // steps), width * -(-height // steps))


def team_of(problem, backward, fewest=_FEWEST):
    """(Shape, threads of a team), or None where a map is too large or too small."""
    path = problem.path
    for side in _PITCHES:
        shape = shape_of(problem, side, backward)
        threads = threads_of(path, shape.steps)
        most = min(shape.team, most_threads(problem, shape, backward))
        if path.width <= side and threads <= most:
            team = -(-threads // 32) * 32 if side == 56 else shape.team
            return (shape, team) if path.pixels >= fewest * team * shape.steps else None
    return None


def plane(problem, side, size):
    """Numbers of `size` bytes of a map in shared memory."""
    return problem.path.height * _PITCHES[side][size] + _GAPS.get((side, size), 0)


def channels_of(mapping):
    """Channels of a block."""
    return mapping.teams * mapping.turns


def channel_blocks(problem, mapping):
    """Blocks that share a batch element; of a backward they are the parts of dB and dC."""
    return -(-problem.dim // channels_of(mapping))


def blocks(problem, mapping):
    """Blocks of the grid."""
    return problem.batch * channel_blocks(problem, mapping)


def forward_bytes(problem, mapping):
    """Dynamic shared memory of a block of cross_forward.cu, in its order."""
    side, size = mapping.shape.side, BYTES[element_of(problem)]
    pairs = ROUTES * plane(problem, side, _PAIR) * _PAIR
    sums = plane(problem, side, _SUM) * _SUM
    maps = (1 + ROUTES) * plane(problem, side, size) * size
    return channels_of(mapping) * _ROW + pairs + mapping.teams * (sums + maps)


def backward_bytes(problem, mapping):
    """The same of cross_backward.cu."""
    side, size = mapping.shape.side, BYTES[element_of(problem)]
    pairs = 2 * plane(problem, side, _PAIR) * _PAIR
    sums = plane(problem, side, _SUM) * _SUM
    team = _aligned(sums + 3 * plane(problem, side, size) * size)
    return (
        channels_of(mapping) * _ROW
        + pairs
        + _aligned(channels_of(mapping) * sums)
        + mapping.teams * team
    )


def _aligned(count):
    """A multiple of the bytes of a vector."""
    return -(-count // 16) * 16


def fits(problem, device):
    """Whether there are kernels, and room for a block of theirs; sizes may be symbolic."""
    for backward in (False, True):
        found = team_of(problem, backward)
        if found is None:
            return False
        shape, team = found
        least = Mapping(shape, team, max(1, 32 // team), 1)
        count = backward_bytes if backward else forward_bytes
        if count(problem, least) + _STATIC > device.shared_per_block:
            return False
    return True


def mappings(problem, device, backward=False):
    """All mappings that planning may pick."""
    shape, team = team_of(problem, backward)
    count = backward_bytes if backward else forward_bytes
    of_warp = max(1, 32 // team)
    most = min(most_threads(problem, shape, backward) // team, -(-problem.dim // of_warp) * of_warp)
    for teams in range(most, 0, -1):
        for turns in _TURNS:
            mapping = Mapping(shape, team, teams, turns)
            has_room = count(problem, mapping) + _STATIC <= device.shared_per_block
            if has_room and teams * team % 32 == 0 and blocks(problem, mapping) <= MOST_BLOCKS:
                yield mapping


def choose(problem, device, backward=False):
    """The mapping that should take the least time, None if there is none."""
    possible = mappings(problem, device, backward)
    return min(possible, key=lambda x: estimate(problem, x, device, backward), default=None)


def estimate(problem, mapping, device, backward=False):
    """Cycles that a scan may take; only good for comparing mappings."""
    threads, shape = mapping.team * mapping.teams, mapping.shape
    count = backward_bytes if backward else forward_bytes
    room = device.shared // (count(problem, mapping) + _STATIC)
    registers = _REGISTERS // most_threads(problem, shape, backward)
    each_has = -(-blocks(problem, mapping) // device.multiprocessors)
    at_once = max(1, min(room, _REGISTERS // (threads * registers), each_has))
    each, pixel, block = _BACKWARD_COSTS if backward else _FORWARD_COSTS
    slots = block + pixel * problem.path.pixels / threads
    slots += mapping.turns * ROUTES * shape.steps * each
    waves = -(-each_has // at_once)
    # Of a scheduler; few warps do not use all its slots.
    return waves * slots * max(2, at_once * threads / 32 / 4)


def forward_traffic(problem, y):
    """Bytes that a forward loads and stores in memory for each pixel of each channel.

    As in plan2d.traffic.
    """
    return (1 + ROUTES) * BYTES[element_of(problem)] + BYTES[y.dtype]


def backward_traffic(problem, dy):
    """The same of a backward, which reads u and dy for the rows and for the columns."""
    size = BYTES[element_of(problem)]
    return (3 + 2 * ROUTES) * size + 2 * BYTES[dy.dtype]
