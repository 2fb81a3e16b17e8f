"""Inputs anywhere in memory: any steps, on each other's bytes, far apart; and where states lie."""

import mmap
import sys

import numpy as np
import pytest
from harness import Backend
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from processes import run_python
from strategies import make_problem, with_gradients

import selscan
from selscan.arrays.layouts import Layout
from selscan.ops import memory

ARRAYS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "dy")
# Any four of these bytes in a row are a float between 0.03 and 2, of either sign.
BYTES = np.array([0x3D, 0x3E, 0x3F, 0xBD, 0xBE, 0xBF], np.uint8)
POOL = np.random.default_rng(0).choice(BYTES, 1 << 15)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
STEPS = st.integers(-40, 40) | st.sampled_from([-800, -4, 0, 4, 800])


def results(**problem):
    """Of the forward and the backward pass, on NumPy arrays."""
    backend = Backend("cpu", "numpy")
    forward = {x: v for x, v in problem.items() if x != "dy"}
    return *backend.scan(**forward), *backend.scan_backward(**problem)


def assert_same_bits(got, want):
    for x, y in zip(got, want, strict=True):
        assert_array_equal(x, y)


def view(pool, shape, steps, offset):
    """float32 in these bytes; `offset` in [0, 1] slides over the places where they fit."""
    low, high = memory.span(Layout(shape, steps, "float32"))
    start = round(offset * (pool.size - (high - low)))
    return np.ndarray(shape, np.float32, pool, start - low, steps)


@st.composite
def places(draw, shape, steps):
    """(steps, offset) of an array."""
    return tuple(draw(steps) for _ in shape), draw(st.floats(0, 1))


@given(data=st.data())
def test_scan_of_arrays_with_any_steps_on_shared_bytes_is_that_of_their_copies(data):
    problem = with_gradients(make_problem(), last=False)
    views = {x: view(POOL, v.shape, *data.draw(places(v.shape, STEPS))) for x, v in problem.items()
             if x in ARRAYS}  # fmt: skip
    copies = {x: v.copy() for x, v in views.items()}

    assert_same_bits(results(**problem | views), results(**problem | copies))


@given(data=st.data())
def test_scan_of_tensors_on_shared_bytes_is_that_of_their_copies(data):
    torch = pytest.importorskip("torch")
    pool = torch.from_numpy(POOL.view(np.float32))
    problem, views = with_gradients(make_problem(), last=False), {}
    for name in ARRAYS:
        shape = problem[name].shape
        steps, offset = data.draw(places(shape, st.integers(0, 40)))
        spare = pool.numel() - 1 - sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
        views[name] = pool.as_strided(shape, steps, round(offset * spare))
    problem = {x: v for x, v in problem.items() if x not in ARRAYS}

    got = selscan.scan_backward(**problem, **views)
    want = selscan.scan_backward(**problem, **{x: v.numpy().copy() for x, v in views.items()})

    assert_same_bits((x.numpy() for x in got), want)


def test_one_array_in_the_place_of_several_is_read_only():
    problem = make_problem(n=9, form_b="shared", form_c="shared")
    x, same = problem["u"], ("u", "delta", "z", "dy")

    got = results(**problem | dict.fromkeys(same, x))

    assert_same_bits(got, results(**problem | {name: x.copy() for name in same}))


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that is not there until used")
def test_scan_of_arrays_with_steps_beyond_31_bits_is_that_of_their_copies():
    no_reserve = 0x4000  # MAP_NORESERVE, which Python 3.11 does not name
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    pool = mmap.mmap(-1, 1 << 34, flags=flags)
    problem = with_gradients(make_problem(b=2, d=2, l=2, n=2), last=False)
    far = {}
    for i, name in enumerate(x for x in ARRAYS if problem[x].ndim == 3):
        steps = (2**32 + 4, -(2**31) - 8, 2**31 + 2**30 + 1)
        x = np.ndarray(problem[name].shape, np.float32, pool, 2**32 + 4096 * i, steps)
        x[...] = problem[name]
        far[name] = x

    assert_same_bits(results(**problem | far), results(**problem))


NEGATIVE_STEPS = """
import sys
sys.path.insert(0, "tests")
from forms import backwards

A = -rng.random((64, 8), np.float32)
inputs = dict(u=u, delta=delta, A=A, B=B, C=C, D=A[:, 0], z=dy, delta_bias=A[:, 1])
flipped = {name: backwards(x) for name, x in inputs.items()}
print(same([selscan.scan(**flipped)], [selscan.scan(**inputs)]))
print(same(selscan.scan_backward(backwards(dy), **flipped)[:8],
           selscan.scan_backward(dy, **inputs)[:8]))

timed = {"u", "delta", "B", "C", "z"}
flipped = {name: x[..., 3] if name in timed else x for name, x in flipped.items()}
inputs = {name: x[..., 3] if name in timed else x for name, x in inputs.items()}
state = np.ones((2, 64, 8), np.float32)
got = selscan.scan_step(backwards(state), **flipped)
print(same(got, selscan.scan_step(state, **inputs)))
"""
AMONG_TENSORS = """
import torch

try:
    selscan.scan(torch.from_numpy(u), delta[..., ::-1], A, B, C)
except TypeError as error:
    print(error)
"""


def test_negative_steps_never_end_the_process():
    done = run_python(NEGATIVE_STEPS)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 3


def test_negative_steps_among_tensors_never_end_the_process():
    pytest.importorskip("torch")
    done = run_python(AMONG_TENSORS)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("scan: delta must be a torch tensor like u; got a numpy.ndarray.")


def layouts(steps):
    """Layouts with up to four axes."""
    return SHAPES.flatmap(
        lambda shape: st.tuples(*(steps for _ in shape)).map(
            lambda chosen: Layout(shape, chosen, "float32")
        )
    )


def first_bytes(layout):
    """Of every element, relative to the address."""
    axes = zip(layout.shape, layout.steps, strict=True)
    return sum(np.ogrid[tuple(slice(n) for n in layout.shape)][i] * step
               for i, (_, step) in enumerate(axes)).ravel()  # fmt: skip


@given(layout=layouts(STEPS))
def test_the_span_of_a_layout_is_from_its_first_byte_to_its_last(layout):
    first = first_bytes(layout)

    assert memory.span(layout) == (first.min(), first.max() + 4)


@given(layout=layouts(STEPS))
def test_elements_that_share_bytes_are_noticed(layout):
    first = np.sort(first_bytes(layout))
    shared = (np.diff(first) < 4).any()

    assert memory.overlaps_itself(layout) >= shared


@given(shape=SHAPES, order=st.randoms(), gaps=st.tuples(*[st.integers(0, 9)] * 4), data=st.data())
def test_dense_arrays_and_their_slices_do_not_overlap_themselves(shape, order, gaps, data):
    axes = list(range(len(shape)))
    order.shuffle(axes)
    steps, behind = [0] * len(shape), 4
    for axis, gap in zip(axes, gaps, strict=False):
        steps[axis] = (behind + gap) * data.draw(st.sampled_from([-1, 1]))
        behind = abs(steps[axis]) * shape[axis]

    assert not memory.overlaps_itself(Layout(shape, tuple(steps), "float32"))


@given(data=st.data())
@pytest.mark.parametrize("name", ["u", "A", "B", "D"])
def test_a_step_refuses_inputs_between_the_first_and_the_last_byte_of_its_state(name, data):
    pool = POOL.copy()
    shape = {"u": (2, 3), "A": (3, 4), "B": (2, 4), "D": (3,)}
    step = {x: np.ones(y, np.float32) for x, y in shape.items()}
    step |= {"delta": step["u"], "C": step["B"]}
    state = view(pool, (2, 3, 4), (96, 32, 8), data.draw(st.floats(0, 1)))
    step[name] = view(pool, shape[name], *data.draw(places(shape[name], STEPS)))

    if np.may_share_memory(state, step[name]):
        with pytest.raises(ValueError, match=f"^scan_step: {name} must be in other memory than"):
            selscan.scan_step(state, **step)
        assert_array_equal(pool, POOL)
    else:
        copy = step[name].copy()
        want = selscan.scan_step(state.copy(), **step | {name: copy})
        assert_same_bits(selscan.scan_step(state, **step), want)
        assert_array_equal(step[name], copy)


@pytest.mark.parametrize("names", [("state", "u"), ("u", "state")])
def test_a_step_takes_inputs_beside_its_state(names):
    shapes, pool = {"state": (2, 3, 4), "u": (2, 3)}, np.ones(30, np.float32)
    first = shapes[names[0]]
    parts = np.split(pool, [np.prod(first)])
    beside = {x: part.reshape(shapes[x]) for x, part in zip(names, parts, strict=True)}
    A, B, delta = np.zeros((3, 4), np.float32), np.ones((2, 4), np.float32), beside["u"].copy()

    y, _ = selscan.scan_step(**beside, delta=delta, A=A, B=B, C=B)

    assert_array_equal(y, 8)  # four states of 1 + 1


def test_an_axis_of_length_1_may_have_any_step():
    torch = pytest.importorskip("torch")
    x = torch.ones(1).as_strided((1, 1, 1), (2**62, 2**62, 2**61))

    assert selscan.scan(x, x, x[0], x, x).shape == (1, 1, 1)
    assert selscan.scan_backward(x, x, x, x[0], x, x).A.shape == (1, 1)
