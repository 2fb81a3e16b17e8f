"""Plans: every channel and step belongs to one task, threads change nothing."""

import os

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from selscan.arrays.layouts import Layout, dense_steps
from selscan.backends.cpu import blocks, plan, simd
from selscan.backends.cpu import layout as at
from selscan.backends.cpu.coefficients import CONSTANT, SHARED
from selscan.backends.cpu.formats import CODES
from selscan.backends.cpu.planes import COMPLEX_STATES, REAL_STATES
from selscan.cases import CASES
from selscan.ops import contract

REALS = ("float32", "float64")
CASE = (2, 100, 300, 16)
COMPLEX = {"float32": "complex64", "float64": "complex128"}


def dense(shape, real):
    return Layout(shape, dense_steps(shape, range(len(shape)), np.dtype(real).itemsize), real)


def problem(b, d, l, n, g=1, real="float32", *, states=None, constant="", packed=False, **options):
    """A checked problem with dense arrays; `states` is the dtype of A."""
    shapes = {"u": (b, d, l), "delta": (b, d, l), "A": (d, n), "B": (b, g, n, l), "C": (b, g, n, l)}
    shapes |= dict.fromkeys(constant, (d, n))
    layouts = {k: dense(s, real) for k, s in shapes.items()} | {"A": dense((d, n), states or real)}
    if packed:
        layouts["seq_idx"] = dense((b, l), "int32")
    return contract.check("scan", layouts, **options)


def operands(p):
    return {name: (x, p.axes[name]) for name, x in p.layouts.items()}


def forward(p):
    return plan.forward_plan(p, operands(p))


def backward(p):
    return plan.backward_plan(p, operands(p), {})


def step(n, d=64, real="float32", **replaced):
    """The plan of a step with some layouts replaced."""
    shapes = {"initial_state": (2, d, n), "u": (2, d), "delta": (2, d), "A": (d, n)}
    shapes |= dict.fromkeys("BC", (2, n))
    layouts = {name: dense(shape, real) for name, shape in shapes.items()} | replaced
    p = contract.check_step("scan_step", layouts, False)
    return plan.step_plan(p, operands(p))


@st.composite
def problems(draw):
    groups, real = draw(st.integers(1, 5)), draw(st.sampled_from(REALS))
    return problem(
        draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 150)),
        draw(st.integers(1, 1000)),
        draw(st.integers(1, 40)),
        groups,
        real,
        states=draw(st.sampled_from([real, COMPLEX[real]])),
        constant=draw(st.sampled_from(["", "B", "C", "BC"])),
        packed=draw(st.booleans()),
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
def last_state(real, args, planes):
    """Where the last of the states kept at chunk starts is."""
    b, g, block = args[at.BATCH] - 1, args[at.GROUPS] - 1, args[at.BLOCKS] - 1
    return blocks.states_address(real, args, b, blocks.ZERO, g, block, args[at.CHUNKS] - 1, planes)


@pytest.mark.parametrize("make", [forward, backward])
@settings(deadline=None)  # compiles
@given(p=problems())
def test_every_channel_belongs_to_one_block_of_one_task(make, p):
    made, channels = make(p), np.zeros((p.batch, p.dim), int)

    visits(made.real, made.template, channels, np.zeros(p.length, int))

    assert np.all(channels == 1)
    assert made.tasks == p.batch * p.groups * made.template[at.SLICES]


@pytest.mark.parametrize("make", [forward, backward])
@settings(deadline=None)
@given(p=problems())
def test_no_task_is_larger_than_one_before_it_of_its_group_or_by_more_than_a_block(make, p):
    args = make(p).template
    shares = [blocks.slice_of.py_func(args, task)[3:] for task in range(args[at.SLICES])]
    sizes = [last - first for first, last in shares]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


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


def planes(p):
    """Real numbers in a state."""
    return 2 if p.is_complex else 1


@settings(deadline=None)
@given(p=problems())
def test_the_kept_states_fit(p):
    made = forward(p)
    row = simd.lanes_of(numba.from_dtype(made.real.dtype)) * made.real.itemsize

    end = last_state(made.real, made.template, planes(p)) + planes(p) * p.d_state * row

    assert end == plan.states_size(p) * made.real.itemsize


@pytest.mark.parametrize("make", [forward, backward])
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("constant", ["", "B", "C", "BC"])
def test_the_kernel_is_that_of_the_states_and_coefficients(make, real, is_complex, constant):
    states = COMPLEX[real] if is_complex else real

    made = make(problem(*CASE, real=real, states=states, constant=constant))

    kinds = [CONSTANT if name in constant else SHARED for name in "BC"]
    assert made.kinds == (COMPLEX_STATES if is_complex else REAL_STATES, *kinds)
    assert made.real.dtype == real


def test_complex_numbers_in_double_precision_make_the_arithmetic_double():
    assert forward(problem(*CASE, states="complex128")).real.dtype == np.float64


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


def test_seq_idx_is_an_operand_with_its_own_code_and_steps():
    made = forward(problem(*CASE, packed=True))

    slot = made.template[at.SEQ_IDX : at.SEQ_IDX + 6]
    assert slot.tolist() == [0, CODES["int32"], 300 * 4, 0, 0, 4]


def test_fill_leaves_the_template_as_it_is():
    made = forward(problem(*CASE))
    before = made.template.copy()

    args = made.fill({"u": 1024, "y": 2048}, 4096)

    assert (args[at.U], args[at.Y], args[at.SCRATCH]) == (1024, 2048, 4096)
    assert np.array_equal(made.template, before)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", [1, 16])
def test_a_step_over_neighbouring_states_has_its_own_kernel(real, n):
    assert step(n, real=real).kernel == "step"


def test_a_step_over_strided_states_is_a_scan_of_length_1():
    strided = Layout((2, 64, 16), (64 * 16 * 4, 4, 64 * 4), "float32")

    assert step(16, initial_state=strided).kernel == "forward"


def test_a_step_of_another_dtype_than_its_state_is_a_scan_of_length_1():
    narrow = dense((2, 64, 16), "float32")

    assert step(16, real="float64", initial_state=narrow).kernel == "forward"


def test_a_step_with_complex_rates_is_a_scan_of_length_1():
    A, h = dense((64, 64), "complex64"), dense((2, 64, 64), "complex64")

    made = step(64, A=A, initial_state=h)

    assert made.kernel == "forward"
    assert made.kinds[0] is COMPLEX_STATES
    assert made.template[at.LENGTH] == 1
