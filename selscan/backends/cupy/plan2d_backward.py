"""How the gradient of a scan along a path is spread over a GPU: pure functions, as in plan.py.

A block takes all routes of some channels, then the next ones: what it adds to the gradients of B
and C stays in its own part of memory. Where routes of a joined path share maps of B or C, each
route has a part of its own.
"""

from typing import NamedTuple

from . import plan2d
from .plan import MOST_BLOCKS, SIZES, WARPS
from .plan_backward import CHUNK, MOST_PARTS, MOST_STAGED, shape_of

_WANTED_WARPS = 8  # of a multiprocessor
_BLOCKS = {"float32": 3}


class Mapping(NamedTuple):
    """A way to spread a backward scan."""

    warps: int  # of a block
    walk: int  # blocks of channels that a block takes
    staged: int  # states of which B and C are in shared memory at once


def channel_blocks(problem, mapping):
    return -(-problem.dim // (mapping.warps * shape_of(problem.state_dtype).rows))


def slices(problem, mapping):
    """Blocks that share a batch element."""
    return -(-channel_blocks(problem, mapping) // mapping.walk)


def route_parts(problem):
    """Parts of dB and dC that a block has."""
    shared = any(problem.axes[name].is_shared for name in "BC")
    return problem.routes if shared else 1


def blocks(problem, mapping):
    """Blocks of the grid."""
    return problem.batch * slices(problem, mapping)


def shared_bytes(problem, mapping):
    """Dynamic shared memory of a block: `Memory` of csrc/backward.cuh, and the pixels."""
    shape = shape_of(problem.state_dtype)
    own = 32 * mapping.warps * shape.channels
    numbers = mapping.staged * (2 * CHUNK + 4) + mapping.warps * mapping.staged * 2 * CHUNK
    numbers += problem.d_state * (3 * mapping.warps * shape.rows + own)
    return numbers * SIZES[problem.state_dtype] + 2 * own * SIZES[problem.real] + 8 * CHUNK


def mappings(problem, device):
    """All mappings of a problem that planning may pick."""
    staged = min(problem.d_state, MOST_STAGED)
    for warps in range(WARPS, 0, -1):
        one = Mapping(warps, 1, staged)
        walk = -(-channel_blocks(problem, one) // MOST_PARTS)
        mapping = one._replace(walk=walk)
        fits = shared_bytes(problem, mapping) <= device.shared_per_block
        if fits and blocks(problem, mapping) <= MOST_BLOCKS:
            yield mapping


def choose(problem, device):
    """The mapping of a backward scan that should take the least time."""
    possible = list(mappings(problem, device))
    if not possible:
        raise ValueError(
            f"scan2d: d_state must be small enough for the {device.shared_per_block} bytes of "
            f"shared memory that a block of the backward has on this GPU, and b below 2**28; got "
            f"{problem.d_state} states in {problem.state_dtype}, b = {problem.batch}."
        )
    return min(possible, key=lambda mapping: estimate(problem, mapping, device))


def estimate(problem, mapping, device):
    """How long a backward scan may take; only good for comparing mappings."""
    room = device.shared // (shared_bytes(problem, mapping) + 1024)
    resident = max(1, min(_BLOCKS.get(problem.state_dtype, 2), room))
    on_each = -(-blocks(problem, mapping) // device.multiprocessors)
    at_once = min(resident, on_each) * mapping.warps
    return on_each * mapping.warps * mapping.walk * max(1, _WANTED_WARPS / at_once)


def sum_modes(problem):
    """Where routes add up du and ddelta."""
    delta = problem.layouts["delta"]
    mode = plan2d.APART
    if problem.axes["delta"].is_shared:
        mode = plan2d.IN_PLACE if delta.dtype == problem.real else plan2d.SCRATCH
    return plan2d.sum_mode(problem, problem.layouts["u"]), mode


def scratch_sizes(problem):
    """Numbers of the arithmetic for the sums of du and ddelta."""
    names = ("u", "delta")
    return tuple(
        plan2d.scratch_size(problem, problem.layouts[name], mode)
        for name, mode in zip(names, sum_modes(problem), strict=True)
    )


def traffic(problem, dy):
    """Bytes that a backward loads and stores in memory for each pixel of each channel.

    As in plan2d.traffic; without the saved states, B, C and their gradients. u is read twice.
    """
    sizes = {name: plan2d.BYTES[x.dtype] for name, x in problem.layouts.items()}
    loads = problem.routes * (2 * sizes["u"] + sizes["delta"] + plan2d.BYTES[dy.dtype])
    return loads + sum(
        plan2d.result_traffic(problem, problem.layouts[name], mode)
        for name, mode in zip(("u", "delta"), sum_modes(problem), strict=True)
    )
