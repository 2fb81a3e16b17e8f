"""From a Problem to the argument array of a kernel: pure functions of shapes and strides.

A plan holds everything but the addresses, so that a call with known shapes only fills those in.
"""

import os
from ctypes import addressof, c_char

import numpy as np
from numba import types

from . import layout as at
from .coefficients import CONSTANT, SHARED
from .formats import CODES
from .plan_maps import FEW, add_path
from .planes import COMPLEX_STATES, REAL_STATES
from .segments import table_size
from .simd import lanes_of
from .stops import most_stops, stops_table

_REAL = {"float32": types.float32, "float64": types.float64}
# Operands by the name of the argument or result.
SLOTS = {
    "u": at.U,
    "delta": at.DELTA,
    "A": at.A,
    "B": at.B,
    "C": at.C,
    "D": at.D,
    "z": at.Z,
    "delta_bias": at.DELTA_BIAS,
    "initial_state": at.INITIAL_STATE,
    "seq_idx": at.SEQ_IDX,
    "y": at.Y,
    "last_state": at.LAST_STATE,
    "dy": at.DY,
    "dlast_state": at.DLAST_STATE,
    "du": at.DU,
    "ddelta": at.DDELTA,
    "dA": at.DA,
    "dB": at.DB,
    "dC": at.DC,
    "dD": at.DD,
    "dz": at.DZ,
    "ddelta_bias": at.DDELTA_BIAS,
    "dinitial_state": at.DINITIAL_STATE,
    "states": at.STATES,
    "states_at": at.STATES_AT,
    "dstates_at": at.DSTATES_AT,
    "path": at.TABLE,  # of orders per sample
}
_STEPS = (at.STEP_B, at.STEP_D, at.STEP_N, at.STEP_T, at.STEP_R, at.STEP_H, at.STEP_P)
# Blocks that a task of the forward walks together: they share the tiles of B and C.
_FORWARD_BLOCKS = 8
# Blocks that a step takes through its passes together: few enough for the first-level cache.
_STEP_BLOCKS = 8
_STEP_TASKS = 4  # that a thread takes at a time: B and C are loaded once for all
# Fewest tasks, if there are blocks enough. A property of the machine, not of the thread count in
# force: dB and dC are summed by task and must not depend on that. Each task of the backward has its
# own part of dB and dC in memory, so their number is limited.
_FORWARD_TASKS = max(16, 2 * (os.cpu_count() or 1))
_BACKWARD_TASKS = min(32, _FORWARD_TASKS)
# As few where each task would copy large maps of B and C for itself.
_COPYING_TASKS = max(4, 2 * (os.cpu_count() or 1))


def chunk_of(d_state):
    """Steps of a chunk: all tiles of a backward stay in the second-level cache, half of it.

    Measured with 64, 128 and 256 at d_state 1 and 16: longer is better down to that limit.
    """
    return 256


class Plan:
    """Sizes, steps and scratch of one kernel call; `fill` adds the addresses."""

    def __init__(self, problem, slices, tiles, operands, kernel="forward"):
        self.kernel = kernel
        self.linked = False  # whether the template has the addresses of compiled kernels (run.py)
        self.path = self.windows = None
        width = lanes_of(_REAL[problem.real])
        chunk = min(chunk_of(problem.d_state), problem.length)
        self.real = np.dtype(problem.real).type(0)
        self.kinds = (
            COMPLEX_STATES if problem.is_complex else REAL_STATES,
            CONSTANT if problem.constant_b else SHARED,
            CONSTANT if problem.constant_c else SHARED,
        )
        self.at_once = 1  # tasks that a thread takes at a time
        self.tasks = problem.batch * problem.groups * slices
        self.elements = problem.batch * problem.dim * problem.length * problem.d_state
        self.elements *= problem.routes
        per_group = problem.dim // problem.groups
        self.template = np.zeros(at.END, np.int64)
        sizes = {
            at.BATCH: problem.batch,
            at.DIM: problem.dim,
            at.LENGTH: problem.length,
            at.D_STATE: problem.d_state,
            at.GROUPS: problem.groups,
            at.CHUNK: chunk,
            at.CHUNKS: -(-problem.length // chunk),
            at.BLOCKS: -(-per_group // width),
            at.SLICES: slices,
            at.STATE_BLOCKS: -(-per_group // width),
            at.SOFTPLUS: problem.softplus,
            at.REVERSE: problem.reverse,
            at.ROUTES: 1,
        }
        for slot, value in sizes.items():
            self.template[slot] = value
        self.scratch = 0
        for tile, size in tiles.items():
            self.add_tile(tile, size)
        for name, (layout, axes) in operands.items():
            if name == "path":  # a table of its own form (orders.py)
                continue
            slot = SLOTS[name]
            self.template[slot + at.DTYPE] = CODES[layout.dtype]
            for step, axis in zip(_STEPS, axes, strict=False):  # of a map, more
                self.template[slot + step] = 0 if axis is None else layout.steps[axis]
        if "seq_idx" in operands:  # of a later piece (ops/pieces.py) it has a step more
            layout, axes = operands["seq_idx"]
            self.template[at.AHEAD] = layout.shape[axes.t] - problem.length
        self.stops = None  # the table of stops.py, in use as long as the plan is
        if problem.positions and {"states_at", "dstates_at"} & operands.keys():
            self.stops = stops_table(problem.positions, problem.length, chunk, problem.reverse)
            self.template[at.STOPS] = start_of(self.stops)
        if problem.path is not None:
            add_path(self, problem, operands, SLOTS)

    @property
    def nbytes(self):
        """Bytes of its arrays; those of a path are counted where that is kept."""
        return self.template.nbytes + (0 if self.windows is None else self.windows.nbytes)

    def set_apart(self):
        """Make each route a task of its own; no two of them write to the same place."""
        routes = int(self.template[at.ROUTES])
        self.template[at.APART], self.tasks = True, self.tasks * routes

    def add_tile(self, slot, size):
        """Room in the scratch of each worker; its offset goes to the slot."""
        self.template[slot] = self.scratch
        self.scratch += -(-size // 64) * 64
        self.template[at.SCRATCH_STEP] = self.scratch

    def fill(self, addresses, scratch):
        """The argument array: `addresses` by name, `scratch` aligned to 64 bytes."""
        args = self.template.copy()
        for name, address in addresses.items():
            args[SLOTS[name]] = address
        args[at.OWN_ADDRESS] = start_of(args)
        args[at.SCRATCH] = scratch
        return args


def start_of(array):
    """The address of a new array, not an empty one; __array_interface__ takes 0.7 us longer."""
    return addressof(c_char.from_buffer(array))


def blocks_of(problem):
    """Channel blocks of a group."""
    width = lanes_of(_REAL[problem.real])
    return -(-(problem.dim // problem.groups) // width)


def states_size(problem):
    """Elements of the states kept at chunk starts, all real."""
    chunks = -(-problem.length // chunk_of(problem.d_state))
    width = lanes_of(_REAL[problem.real])
    blocks = problem.batch * problem.routes * problem.groups * blocks_of(problem)
    return blocks * chunks * _parts(problem) * problem.d_state * width


def _tasks(problem, most):
    """Fewest tasks, if there are blocks enough."""
    copied = problem.path is not None and any(problem.axes[x].is_map for x in "BC")
    if copied and _parts(problem) * problem.d_state > FEW:
        return min(most, _COPYING_TASKS)
    return most


def _wanted(problem, most, apart):
    """Slices of a group that make tasks enough; more with routes `apart`, of which each is one."""
    if apart:
        return -(-_COPYING_TASKS // (problem.batch * problem.routes))
    return -(-_tasks(problem, most) // (problem.batch * problem.groups))


def backward_slices(problem, apart=False):
    """Tasks that share a group in the backward, each with its own part of dB and dC."""
    return min(blocks_of(problem), _wanted(problem, _BACKWARD_TASKS, apart))


def backward_parts(problem):
    """Parts of the gradients of B and C, and of those that are summed over the batch."""
    return backward_slices(problem), problem.batch


def _parts(problem):
    """Real numbers that make up a state."""
    return 2 if problem.is_complex else 1


def _sizes(problem):
    """Bytes of a tile row, of a (time, w) tile, and of a coefficient tile."""
    itemsize = np.dtype(problem.real).itemsize
    width = lanes_of(_REAL[problem.real])
    row, chunk = width * itemsize, min(chunk_of(problem.d_state), problem.length)
    padded = -(-problem.d_state // width) * width
    coefficients = max(chunk * padded * itemsize, problem.d_state * row)
    return row, chunk * row, _parts(problem) * coefficients


def step_plan(problem, operands):
    """Plan of one step: step.py where states are neighbours in memory, else forward.py."""
    size = np.dtype(problem.real).itemsize
    width = lanes_of(_REAL[problem.real])
    in_place = all(
        operands[name][0].dtype == problem.real and operands[name][0].steps[-1] == size
        for name in ("A", "initial_state")
    )
    constant = problem.constant_b or problem.constant_c
    if problem.is_complex or not in_place or constant:
        return forward_plan(problem, operands)
    run = min(_STEP_BLOCKS, blocks_of(problem))
    runs = -(-blocks_of(problem) // run)
    padded = -(-problem.d_state // width) * width * size
    tiles = {
        **dict.fromkeys((at.TILE_U, at.TILE_DELTA, at.TILE_Y, at.TILE_Z), run * width * size),
        **dict.fromkeys((at.TILE_B, at.TILE_C), padded),
        at.TILE_X: 2 * width * width * size,  # the last states of two blocks
    }
    plan = Plan(problem, 1, tiles, operands, "step")
    plan.tasks = problem.batch * problem.groups * runs
    plan.template[at.CHUNK], plan.template[at.CHUNKS] = run, runs
    plan.at_once = _STEP_TASKS
    return plan


def forward_plan(problem, operands, apart=False):
    """Plan of scan_forward; `operands`: name -> (Layout, axes), with routes `apart` no maps."""
    blocks = blocks_of(problem)
    wanted = _wanted(problem, _FORWARD_TASKS, apart)
    slices = min(blocks, max(wanted, -(-blocks // _FORWARD_BLOCKS)))
    row, steps, coefficients = _sizes(problem)
    per_task = -(-blocks // slices) * _parts(problem) * problem.d_state * row
    tiles = {
        **dict.fromkeys((at.TILE_U, at.TILE_DELTA, at.TILE_Y, at.TILE_Z), steps),
        **dict.fromkeys((at.TILE_B, at.TILE_C), coefficients),
        **dict.fromkeys((at.TILE_H, at.TILE_A), per_task),
        at.TILE_ROW: 2 * row,
        at.TILE_SEGMENTS: table_size(chunk_of(problem.d_state)),
    }
    plan = Plan(problem, slices, tiles, operands)
    if apart:
        plan.set_apart()
    return plan


def backward_plan(problem, operands, part_steps, apart=False):
    """Plan of scan_backward; `part_steps`: result -> bytes between the parts of two slices."""
    slices = backward_slices(problem, apart)
    row, steps, coefficients = _sizes(problem)
    per_block = _parts(problem) * problem.d_state * row
    blocks = -(-blocks_of(problem) // slices)
    rows = problem.d_state // 4 + problem.d_state % 4
    if problem.is_complex:  # a pair of numbers for each step and state
        rows = -(-2 * problem.d_state // (row // np.dtype(problem.real).itemsize))
    sums = max(rows * steps, blocks * per_block)
    by_step = (
        at.TILE_U, at.TILE_DELTA, at.TILE_Y, at.TILE_Z, at.TILE_X, at.TILE_G, at.TILE_SLOPE,
        at.TILE_DX, at.TILE_DDELTA,
    )  # fmt: skip
    tiles = {
        at.TILE_PAST: 4 * (steps + row),
        at.TILE_DECAY: 4 * steps + (problem.d_state + 5) * row,  # and what nobody reads
        **dict.fromkeys(by_step, steps),
        **dict.fromkeys((at.TILE_B, at.TILE_C), coefficients),
        **dict.fromkeys((at.TILE_A, at.TILE_DH, at.TILE_DA), blocks * per_block),
        **dict.fromkeys((at.TILE_DB, at.TILE_DC), sums),
        at.TILE_SUM: coefficients + row,
        at.TILE_ROW: 2 * row,
        at.TILE_DROW: 2 * row * blocks,
        at.TILE_SEGMENTS: table_size(chunk_of(problem.d_state)),
    }
    plan = Plan(problem, slices, tiles, operands, "backward")
    if apart:
        plan.set_apart()
    plan.template[at.SLICE_STEP_B] = part_steps.get("dB", 0)
    plan.template[at.SLICE_STEP_C] = part_steps.get("dC", 0)
    if plan.stops is not None:
        most = most_stops(plan.stops, int(plan.template[at.CHUNKS]))
        plan.add_tile(at.TILE_STOPS, most * per_block)
    return plan
