"""From a checked gather or scatter to the argument array of its kernel: pure functions of shapes.

Kernels take one int64 array, with the names below after those of every kernel (layout.py). The
source is the array that comes in: maps of FRAMES of ROWS x COLUMNS, or sequences, which are maps of
one row.
The result is in C order.
"""

import numpy as np

from ...paths.keeping import keeping
from .formats import BF16, F16, F32, F64
from .layout import HEADER

(
    SOURCE,  # addresses
    RESULT,
    GROUPS,  # (g, GROUP_FIELDS), int64
    TABLE,  # int32
    TABLE_STEP_B,  # bytes to the table of the next sample; 0: one for all
    ROUTES,  # (k, ROUTE_FIELDS), int64
    SCRATCH,  # worker i owns [SCRATCH + i SCRATCH_STEP, ...)
    SCRATCH_STEP,
    STRIP,  # bytes from there to room for a turned plane
    SUMS,  # and to the sums; 0: they are kept in the result
    K,
    DIM,
    ROUTE_STEP,  # bytes between the maps of two routes of a result, of `place`
    FRAMES,
    ROWS,
    COLUMNS,
    LENGTH,
    PIXELS,
    STEP_B,  # bytes between neighbours of the source; STEP_R is 0 where all routes read one map
    STEP_R,
    STEP_D,
    STEP_P,
    STEP_H,
    STEP_W,
    STAGED,  # whether planes are copied to scratch; otherwise they are read where they stand
    STAGE_STEP,  # bytes between the planes of a block
    BLOCK,  # channels of a task
    BLOCKS,
    COVERED,  # every pixel is visited by a fresh route
    PLACES,  # int32, where a merge finds each pixel, or -1, if no two routes meet; 0: they may
    END,
) = range(HEADER, HEADER + 31)

# Fields of GROUPS: a run (paths/runs.py) or up to LARGEST equal ones side by side, each one pixel
# to the right, or where their number is negative to the left, of the one before it.
START = 0  # the first pixel of the leftmost run; -1: padding
(STRIDE, COUNT, POSITION, SIDE_BY_SIDE, GROUP_FIELDS) = range(1, 6)
LARGEST = 64

# Fields of ROUTES. A fresh route comes to no pixel that a route before it has visited.
(BY_GROUPS, FIRST, LAST, COVERS, FRESH, PADDED, ROUTE_FIELDS) = range(7)

LONG = 16  # steps of a run of neighbours, or runs and steps of a group, that are worth a loop
LINE = 64  # bytes of a cache line
MOST_BYTES = 1 << 19  # of the planes of a task: half of a second-level cache
MOST_CHANNELS = 16  # of a task; more are no faster
FEWEST_TASKS = 64  # of a route, for many threads

# Markers of elements by their size, for kernels that only copy.
_COPIED = (np.int8(0), np.int16(0), np.int32(0), np.int64(0), np.complex128(0))
COPIED = {x.itemsize: x for x in _COPIED}
# Markers of what is stored and of what is added up, for kernels that add.
ADDED = {
    "float16": (F16, F32),
    "bfloat16": (BF16, F32),
    **{x.dtype.name: (x, x) for x in (F32, F64, np.complex64(0), np.complex128(0))},
    # Signed or not, the bits of a sum are the same.
    **{f"{sign}{x.dtype.name}": (x, x) for x in _COPIED[:4] for sign in ("", "u")},
}


SLOTS = {"source": SOURCE, "result": RESULT, "path": TABLE}


class RoutesPlan:
    """Sizes, steps and scratch of one kernel call; `fill` adds the addresses."""

    def __init__(self, moved):
        path, dim, merged = moved.path, moved.dim, moved.kernel == "merge"
        stored, total = ADDED[moved.dtype]
        frames, rows, columns = 1, 1, path.length
        if moved.kernel == "gather":
            frames, rows, columns = path.depth or 1, path.height, path.width
        staged, stage_step = staging(moved.steps, frames, rows, columns, stored.itemsize)
        block = block_of(moved, staged, stage_step, stored.itemsize)
        blocks = -(-dim // block)
        self.kernel = moved.kernel
        self.real = stored if merged else COPIED[stored.itemsize]
        self.kinds = (total,) if merged else ()
        self.linked = False  # whether the template has the address of its compiled kernel
        self.tasks = moved.batch * blocks * (1 if merged else path.routes)
        # Tasks that a thread takes at a time: the routes of a block have its map in common.
        shared = moved.kernel == "gather" and self.tasks >= path.routes * FEWEST_TASKS // 4
        self.at_once = path.routes if shared else 1
        self.elements = moved.batch * dim * path.routes * path.length
        self.scratch = staged * block * stage_step
        sizes = {
            K: path.routes,
            DIM: dim,
            ROUTE_STEP: dim * path.pixels * stored.itemsize,
            FRAMES: frames,
            ROWS: rows,
            COLUMNS: columns,
            LENGTH: path.length,
            PIXELS: path.pixels,
            STAGED: staged,
            STAGE_STEP: stage_step,
            BLOCK: block,
            BLOCKS: blocks,
            **dict(zip((STEP_B, STEP_R, STEP_D, STEP_P, STEP_H, STEP_W), moved.steps, strict=True)),
        }
        fresh = stored.itemsize == total.itemsize
        if path.table is None:
            groups, routes, sizes[COVERED] = unknown_walks(path, fresh)
            sizes[TABLE_STEP_B] = path.routes * path.length * 4
        else:
            groups, routes, sizes[COVERED] = walks(path, fresh)
        if merged:
            turned = groups[groups[:, SIDE_BY_SIDE] != 1]
            turned = np.abs(turned[:, COUNT] * turned[:, SIDE_BY_SIDE]).max(initial=1)
            sizes[STRIP] = self._reserve(int(turned) * stored.itemsize)
            if stored.itemsize != total.itemsize:
                sizes[SUMS] = self._reserve(block * sizes[PIXELS] * total.itemsize)
        self.arrays = {GROUPS: groups, ROUTES: routes}  # kept: kernels have their addresses
        if path.table is not None:
            self.arrays[TABLE] = path.table
            if merged and not staged and routes[:, FRESH].all():
                self.arrays |= places_of(path, moved.steps[1], stored.itemsize)
        sizes |= {name: x.ctypes.data for name, x in self.arrays.items()}
        self.template = np.zeros(END, np.int64)
        for slot, value in (sizes | {SCRATCH_STEP: self.scratch}).items():
            self.template[slot] = value

    @property
    def nbytes(self):
        """Bytes of its arrays."""
        return self.template.nbytes + sum(x.nbytes for x in self.arrays.values())

    def set_route_step(self, step):
        """Bytes between the maps of two routes; those of a batch entry follow one another."""
        self.template[ROUTE_STEP] = step

    def _reserve(self, size):
        """Room at the end of the scratch of a worker, where it begins."""
        start = self.scratch
        self.scratch += round_up(size)
        return start

    def fill(self, addresses, scratch):
        """The argument array: `addresses` by name, `scratch` aligned to 64 bytes."""
        args = self.template.copy()
        for name, address in addresses.items():
            args[SLOTS[name]] = address
        args[SCRATCH] = scratch
        return args


@keeping
def walks(path, fresh):
    """GROUPS, ROUTES, and whether the fresh routes visit every pixel; none is without `fresh`."""
    visited = path.inverse >= 0
    before = np.logical_or.accumulate(visited, axis=0)
    routes = np.zeros((path.routes, ROUTE_FIELDS), np.int64)
    routes[:, COVERS] = visited.all(axis=1)
    routes[:, PADDED] = (path.table < 0).any(axis=1)
    routes[0, FRESH] = fresh
    routes[1:, FRESH] = fresh & ~(visited[1:] & before[:-1]).any(axis=1)
    groups = []
    for route, first, last in zip(routes, path.runs.first, path.runs.first[1:], strict=False):
        runs = path.runs.table[first:last]
        if 2 * runs[runs[:, 2] >= LONG, 2].sum() < path.length:
            continue  # no groups are worth it; to find them takes long where all runs are short
        own = groups_of(runs.tolist())
        route[BY_GROUPS] = 2 * sum(map(worth, own)) >= path.length
        if route[BY_GROUPS]:
            route[FIRST], route[LAST] = len(groups), len(groups) + len(own)
            groups += own
    covered = visited[routes[:, FRESH] > 0].any(axis=0).all()
    return np.array(groups, np.int64).reshape(-1, GROUP_FIELDS), routes, covered


def unknown_walks(path, fresh):
    """The same of orders per sample: all that is known is that no route comes before the first."""
    routes = np.zeros((path.routes, ROUTE_FIELDS), np.int64)
    routes[:, PADDED] = True
    routes[0, FRESH] = fresh
    return np.zeros((0, GROUP_FIELDS), np.int64), routes, False


def places_of(path, step, size):
    """PLACES: for each pixel its step, counted from the first sequence, which are `step` apart.

    Empty if the table cannot say it: numbers below zero stand for no step.
    """
    apart, rest = divmod(step, size)
    too_many = (path.routes - 1) * apart + path.length >= 2**31
    if path.routes == 1 or rest or apart < 0 or too_many:
        return {}
    places = path.inverse + apart * np.arange(path.routes)[:, None]
    return {PLACES: np.where(path.inverse >= 0, places, -1).max(axis=0).astype(np.int32)}


def worth(group):
    """The steps of a group that the table would not take as fast."""
    start, stride, count, _, n = group
    fast = start < 0 or abs(stride) == 1 if n == 1 else abs(n) >= LONG
    return abs(n) * count if fast and count >= LONG else 0


def groups_of(runs):
    """The groups of one route from its runs, as lists."""
    groups = []
    for start, stride, count, position in runs:
        last = groups[-1] if groups else [None] * GROUP_FIELDS
        n = last[SIDE_BY_SIDE]
        alike = count > 1 and last[STRIDE : COUNT + 1] == [stride, count] and abs(n) < LARGEST
        if alike and n > 0 and start == last[START] + n:
            last[SIDE_BY_SIDE] += 1
        elif alike and (n < 0 or n == 1) and start == last[START] - 1:
            last[START], last[SIDE_BY_SIDE] = start, -abs(n) - 1
        else:
            groups.append([start, stride, count, position, 1])
    return groups


def staging(steps, frames, rows, columns, size):
    """STAGED and STAGE_STEP."""
    _, _, step_d, *own = steps
    dense = rows * columns * size, columns * size, size
    pairs = zip((frames, rows, columns), own, dense, strict=True)
    if all(n == 1 or step == wanted for n, step, wanted in pairs):
        return False, step_d
    # One line more: not all in one set of a cache.
    return True, round_up(frames * rows * columns * size) + LINE


def block_of(moved, staged, stage_step, size):
    """Channels of a task: many, so that long stretches of memory are read one after the other."""
    most = min(MOST_CHANNELS, moved.batch * moved.dim // FEWEST_TASKS)
    if staged:  # what a cache line has of neighbouring channels
        most = LINE // size if moved.steps[2] == size else 1
    return max(1, min(moved.dim, most, MOST_BYTES // max(1, abs(stage_step))))


def round_up(size):
    return -(-size // LINE) * LINE
