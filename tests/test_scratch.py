"""Scratch memory: tiles have room, and kernels stay in them."""

import contextlib
from typing import NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from test_plan import backward, forward, planes, problem, problems
from vectors import address

import selscan
from selscan.backends.cpu import layout as at
from selscan.backends.cpu import plan, run, segments, simd
from selscan.cases import CASES
from selscan.ops import scan as ops
from selscan.ops import scan2d as ops2d
from selscan.ops import step as steps

FORWARD_TILES = [
    at.TILE_U, at.TILE_DELTA, at.TILE_Y, at.TILE_Z, at.TILE_B, at.TILE_C, at.TILE_H, at.TILE_A,
    at.TILE_ROW, at.TILE_SEGMENTS,
]  # fmt: skip
BACKWARD_TILES = [t for t in range(at.TILE_U, at.TILE_SEGMENTS + 1) if t != at.TILE_H]


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
    coefficients = planes(p) * max(chunk * -(-n // w) * w * size, n * row)
    assert min(found[at.TILE_B], found[at.TILE_C]) >= coefficients
    assert found[at.TILE_A] >= blocks_of_task * planes(p) * n * row
    assert found[at.TILE_ROW] >= 2 * row
    assert found[at.TILE_SEGMENTS] >= segments.table_size(chunk)


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


# What kernels do with it.

GAP, MARK = 256, 0x5A  # bytes behind a tile, and what each of them holds
TILES = {getattr(at, name): name for name in dir(at) if name.startswith("TILE_")}
TILES |= {slot + at.PLANE: f"planes of {name}" for name, slot in plan.SLOTS.items()}


class Gaps:
    """Memory behind the tiles of every worker."""

    def __init__(self):
        self.all = []

    def workspace(self, size):
        """In place of run.workspace; as numbers the bytes are NaN."""
        self.memory = np.full(size, 0xFF, np.uint8)
        return self.memory

    def mark(self, made, scratch):
        """The gaps of a call that is about to begin."""
        for worker in range((self.memory.size - 64) // made.scratch):
            begin = scratch - address(self.memory) + worker * made.scratch
            for tile, size in made.sizes.items():
                gap = self.memory[begin + int(made.template[tile]) + size :][:GAP]
                gap[...] = MARK
                self.all.append((TILES[tile], gap))

    def written(self):
        """Names of the tiles whose gaps are no longer as they were."""
        return sorted({tile for tile, gap in self.all if np.any(gap != MARK)})


@contextlib.contextmanager
def small_plans(gaps=None):
    """Chunks of 8 steps, two tasks, two threads; with `gaps` there is one behind every tile."""

    class Plan(plan.Plan):
        def __init__(self, *arguments):
            self.sizes = {}
            super().__init__(*arguments)

        def add_tile(self, slot, size):
            self.sizes[slot] = size
            super().add_tile(slot, size + GAP)

        def fill(self, addresses, scratch):
            gaps.mark(self, scratch)
            return super().fill(addresses, scratch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "chunk_of", lambda d_state: 8)
        patch.setattr(plan, "_FORWARD_TASKS", 2)
        patch.setattr(plan, "_BACKWARD_TASKS", 2)
        patch.setattr(run, "THREAD_ELEMENTS", 1)
        if gaps:
            patch.setattr(plan, "Plan", Plan)
            patch.setattr(run, "workspace", gaps.workspace)
        forget_plans()
        yield
    forget_plans()


def forget_plans():
    for prepare in (ops.prepare_forward, ops.prepare_backward, steps.prepare_step):
        prepare.cache_clear()
    for prepare in (ops2d.prepare_forward, ops2d.prepare_backward):
        prepare.cache_clear()


def assert_in_bounds(call):
    """The gaps stay as they are, and the results are those without gaps."""
    with small_plans():
        expected = call()
    gaps = Gaps()
    with small_plans(gaps):
        found = call()

    assert gaps.all
    assert gaps.written() == []
    for got, want in zip(found, expected, strict=True):
        assert_array_equal(got, want)


class Shape(NamedTuple):
    """Sizes, and what else decides which loops run."""

    channels: tuple  # d, g
    l: int
    n: int
    all_given: bool  # D, z, delta_bias, initial_state, seq_idx, dlast_state
    reverse: bool
    complex_coefficients: bool  # B and C, where A is complex


SHAPES = st.builds(
    Shape,
    st.sampled_from([(1, 1), (4, 2), (16, 1), (17, 1), (34, 2), (70, 1)]),
    st.sampled_from([1, 5, 7, 8, 9, 16, 20]),
    st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 33]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def inputs_of(shape, dtype, constant):
    """The arguments of scan, and dy and dlast_state; `constant` of B and C have no time axis."""
    rng = np.random.default_rng(0)
    (d, g), l, n = shape.channels, shape.l, shape.n
    states = np.dtype(dtype)
    real = states.type(0).real.dtype
    mixed = states if shape.complex_coefficients else real

    def normal(dtype, *shape):
        x = rng.standard_normal(shape)
        return (x + 1j * rng.standard_normal(shape) if dtype.kind == "c" else x).astype(dtype)

    inputs = {name: normal(real, 2, d, l) for name in ("u", "delta", "dy")}
    inputs["A"] = normal(states, d, n) - 3
    for name in "BC":
        inputs[name] = normal(mixed, *((d, n) if name in constant else (2, g, n, l)))
    if shape.all_given:
        inputs |= {"D": normal(real, d), "delta_bias": normal(real, d), "z": normal(real, 2, d, l)}
        inputs |= {name: normal(mixed, 2, d, n) for name in ("initial_state", "dlast_state")}
        inputs["seq_idx"] = np.sort(rng.integers(0, 4, (2, l)))
    return inputs | {"delta_softplus": True, "reverse": shape.reverse}


kernels = pytest.mark.parametrize(
    ("dtype", "constant"),
    [
        ("float32", ""), ("float32", "B"), ("float32", "C"), ("float32", "BC"), ("float64", ""),
        ("complex64", ""), ("complex64", "BC"), ("complex128", ""),
    ],
)  # fmt: skip


@kernels
@given(shape=SHAPES)
def test_the_forward_writes_to_its_tiles_only(dtype, constant, shape):
    inputs = inputs_of(shape, dtype, constant)
    inputs = {name: x for name, x in inputs.items() if name not in ("dy", "dlast_state")}

    assert_in_bounds(lambda: selscan.scan(**inputs, return_last_state=True))


@kernels
@given(shape=SHAPES)
def test_the_backward_writes_to_its_tiles_only(dtype, constant, shape):
    inputs = inputs_of(shape, dtype, constant)

    def call():
        return [x for x in selscan.scan_backward(**inputs) if x is not None]

    assert_in_bounds(call)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@given(shape=SHAPES)
def test_a_step_writes_to_its_tiles_only(dtype, shape):
    inputs = inputs_of(shape._replace(l=1, all_given=True), dtype, "")
    step = {name: inputs[name][..., 0] for name in ("u", "delta", "z", "B", "C")}
    step |= {name: inputs[name] for name in ("A", "D", "delta_bias")}
    state = inputs["initial_state"].astype(dtype)

    assert_in_bounds(lambda: selscan.scan_step(state.copy(), **step))
