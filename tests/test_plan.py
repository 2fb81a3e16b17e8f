"""Plans: every channel and step belongs to one task, tiles have room, threads change nothing."""

import os

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from selscan.backends.cpu import blocks, plan, simd
from selscan.backends.cpu import layout as at
from selscan.cases import CASES
from selscan.ops import contract
from selscan.ops.arrays import Layout, dense_steps

REALS = ("float32", "float64")


def dense(shape, real):
    return Layout(shape, dense_steps(shape, range(len(shape)), np.dtype(real).itemsize), real)


def problem(b, d, l, n, g=1, real="float32", **options):
    """A checked problem with dense arrays and no options."""
    shapes = {"u": (b, d, l), "delta": (b, d, l), "A": (d, n), "B": (b, g, n, l), "C": (b, g, n, l)}
    return contract.check("scan", {k: dense(s, real) for k, s in shapes.items()}, **options)


def operands(p):
    return {name: (x, p.axes[name]) for name, x in p.layouts.items()}


def forward(p):
    return plan.forward_plan(p, operands(p))


def backward(p):
    return plan.backward_plan(p, operands(p), {})


def step(n, d=64, real="float32", states=None):
    """The plan of a step."""
    shapes = {"initial_state": (2, d, n), "u": (2, d), "delta": (2, d), "A": (d, n)}
    shapes |= dict.fromkeys("BC", (2, n))
    layouts = {name: dense(shape, real) for name, shape in shapes.items()}
    layouts["initial_state"] = states or layouts["initial_state"]
    p = contract.check_step("scan_step", layouts, False)
    return plan.step_plan(p, operands(p))


@st.composite
def problems(draw):
    groups = draw(st.integers(1, 5))
    return problem(
        draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 150)),
        draw(st.integers(1, 1000)),
        draw(st.integers(1, 40)),
        groups,
        draw(st.sampled_from(REALS)),
        reverse=draw(st.booleans()),
    )


@njit
def visits(real, args, channels, steps):
    """Add 1 to each channel (b, d) for a task that owns it, to each step for a chunk with it."""
    for task in range(args[at.BATCH] * args[at.GROUPS] * args[at.SLICES]):
        b, g, _, first, last = blocks.slice_of(args, task)
        for block in range(first, last):
            d, rows = blocks.channels_of(real, args, g, block)
            channels[b, d : d + rows] += 1
    for c in range(args[at.CHUNKS]):
        t, m = blocks.chunk_start(args, c)
        steps[t : t + m] += c + 1


@njit
def last_state(real, args):
    """Where the last of the states kept at chunk starts is."""
    b, g, block = args[at.BATCH] - 1, args[at.GROUPS] - 1, args[at.BLOCKS] - 1
    return blocks.states_address(real, args, b, g, block, args[at.CHUNKS] - 1, 1)


@pytest.mark.parametrize("make", [forward, backward])
@settings(deadline=None)  # compiles
@given(p=problems())
def test_every_channel_belongs_to_one_block_of_one_task(make, p):
    made, channels = make(p), np.zeros((p.batch, p.dim), int)

    visits(made.real, made.template, channels, np.zeros(p.length, int))

    assert np.all(channels == 1)
    assert made.tasks == p.batch * p.groups * made.template[at.SLICES]


@settings(deadline=None)
@given(p=problems())
def test_every_step_belongs_to_one_chunk_in_scan_order(p):
    made, steps = forward(p), np.zeros(p.length, int)

    visits(made.real, made.template, np.zeros((p.batch, p.dim), int), steps)

    in_order = steps[::-1] if p.reverse else steps
    assert in_order[0] == 1
    assert in_order[-1] == made.template[at.CHUNKS]
    assert np.all(np.isin(np.diff(in_order), (0, 1)))


@given(p=problems())
def test_every_task_has_a_block(p):
    made = backward(p)

    assert 1 <= made.template[at.SLICES] <= made.template[at.BLOCKS]


@given(p=problems())
def test_forward_and_backward_agree_on_the_kept_states(p):
    first, second = forward(p).template, backward(p).template

    assert np.array_equal(first[: at.SLICES], second[: at.SLICES])


@settings(deadline=None)
@given(p=problems())
def test_the_kept_states_fit(p):
    made = forward(p)
    row = simd.lanes_of(numba.from_dtype(made.real.dtype)) * made.real.itemsize

    end = last_state(made.real, made.template) + p.d_state * row

    assert end == plan.states_size(p) * made.real.itemsize


FORWARD_TILES = [
    at.TILE_U, at.TILE_DELTA, at.TILE_Y, at.TILE_Z, at.TILE_B, at.TILE_C, at.TILE_H, at.TILE_A,
    at.TILE_ROW,
]  # fmt: skip
BACKWARD_TILES = [t for t in range(at.TILE_U, at.TILE_DROW + 1) if t != at.TILE_H]


def room(made, tiles):
    """Bytes of each tile: as far as the next one, or the end."""
    begins = {tile: int(made.template[tile]) for tile in tiles}
    ends = sorted([*begins.values(), made.scratch])
    return {tile: ends[ends.index(begin) + 1] - begin for tile, begin in begins.items()}


@pytest.mark.parametrize(
    ("make", "tiles"),
    [(forward, FORWARD_TILES), (backward, BACKWARD_TILES)],
    ids=["forward", "backward"],
)
@given(p=problems())
def test_tiles_are_aligned_and_apart(make, tiles, p):
    made = make(p)

    begins = [int(made.template[tile]) for tile in tiles]

    assert len(set(begins)) == len(tiles)
    assert not any(begin % 64 for begin in begins)
    assert made.scratch % 64 == 0
    assert made.template[at.SCRATCH_STEP] == made.scratch > max(begins)


@pytest.mark.parametrize(
    ("make", "tiles"),
    [(forward, FORWARD_TILES), (backward, BACKWARD_TILES)],
    ids=["forward", "backward"],
)
@given(p=problems())
def test_tiles_have_room(make, tiles, p):
    made = make(p)
    size, w = made.real.itemsize, simd.lanes_of(numba.from_dtype(made.real.dtype))
    row, chunk, n = w * size, int(made.template[at.CHUNK]), p.d_state
    blocks_of_task = -(-int(made.template[at.BLOCKS]) // int(made.template[at.SLICES]))

    found = room(made, tiles)

    assert min(found[t] for t in tiles if at.TILE_U <= t <= at.TILE_Z) >= chunk * row
    assert min(found[at.TILE_B], found[at.TILE_C]) >= max(chunk * -(-n // w) * w * size, n * row)
    assert found[at.TILE_A] >= blocks_of_task * n * row
    assert found[at.TILE_ROW] >= 2 * row


@pytest.mark.parametrize("make", [forward, backward])
@pytest.mark.parametrize("d_state", [1, 16, 100])
def test_scratch_does_not_grow_with_the_length(make, d_state):
    short, long = (make(problem(1, 100, l, d_state)).scratch for l in (1000, 100_000))

    assert short == long


@pytest.mark.parametrize("name", ["vim", "short", "lm", "vmamba"])
def test_the_scratch_of_a_thread_is_small(name):
    case = CASES[name]
    p = problem(case.batch, case.dim, case.length, case.d_state, case.groups)

    assert forward(p).scratch < 2**19
    assert backward(p).scratch < 2**20


@pytest.mark.parametrize("name", ["vim", "short", "lm", "vmamba"])
@pytest.mark.parametrize("make", [forward, backward])
def test_there_are_tasks_for_every_thread(name, make):
    case = CASES[name]
    p = problem(case.batch, case.dim, case.length, case.d_state, case.groups)
    all_blocks = p.batch * p.groups * plan.blocks_of(p)

    assert make(p).tasks >= min(all_blocks, os.cpu_count(), 32)


@pytest.fixture
def one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


CASE = (2, 100, 300, 16)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [forward, backward])
def test_a_plan_does_not_depend_on_the_number_of_threads(make):
    serial = make(problem(*CASE)).template
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)

    assert np.array_equal(make(problem(*CASE)).template, serial)


def test_steps_of_any_sign_and_zero_are_passed_on():
    p = problem(*CASE)
    u = Layout((2, 100, 300), (0, -1200, 8), "float64")

    made = plan.forward_plan(p, operands(p) | {"u": (u, p.axes["u"])})

    assert made.template[at.U : at.U + 6].tolist() == [0, 1, 0, -1200, 0, 8]


def test_fill_leaves_the_template_as_it_is():
    made = forward(problem(*CASE))
    before = made.template.copy()

    args = made.fill({"u": 1024, "y": 2048}, 2, 4096)

    assert (args[at.U], args[at.Y], args[at.WORKERS], args[at.SCRATCH]) == (1024, 2048, 2, 4096)
    assert np.array_equal(made.template, before)


@pytest.mark.parametrize("real", REALS)
def test_a_step_over_neighbouring_states_has_its_own_kernel(real):
    w = simd.lanes_of(numba.from_dtype(np.dtype(real)))

    assert step(w, real=real).kernel == "step"


def test_a_step_over_few_or_strided_states_is_a_scan_of_length_1():
    strided = Layout((2, 64, 16), (64 * 16 * 4, 4, 64 * 4), "float32")

    assert step(1).kernel == "forward"
    assert step(16, states=strided).kernel == "forward"


def test_a_step_of_another_dtype_than_its_state_is_a_scan_of_length_1():
    narrow = dense((2, 64, 16), "float32")

    assert step(16, real="float64", states=narrow).kernel == "forward"
