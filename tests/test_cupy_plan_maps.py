"""Plans of scans along paths and of moves on a GPU: pure functions, no GPU and no emulator."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from devices import Host
from hypothesis import given
from hypothesis import strategies as st
from map_strategies import map_problems

from selscan.arrays.layouts import Layout, dense_steps
from selscan.arrays.numpy import NumPyArrays
from selscan.backends.cupy import (
    arguments2d,
    instances,
    launches2d,
    plan,
    plan2d,
    plan2d_backward,
    plan_cross,
    plan_moves,
)
from selscan.ops import contract2d, path_contract, scan2d
from selscan.paths import Path, cross

H200 = plan.Device()


def layout(shape, dtype="bfloat16", size=2):
    return Layout(shape, dense_steps(shape, range(len(shape)), size), dtype)


def problem(path=None, b=128, d=96, n=1, dtype="bfloat16"):
    """A Problem without arrays, and the layout of y."""
    path = path or cross(56, 56)
    size, k = plan2d.BYTES[dtype], path.routes
    of = {
        "u": layout((b, d, path.height, path.width), dtype, size),
        "delta": layout((b, k, d, path.height, path.width), dtype, size),
        "A": layout((k, d, n), "float32", 4),
        **{x: layout((b, k, n, path.height, path.width), dtype, size) for x in "BC"},
    }
    return contract2d.check("scan2d", of, path, True, False, "cuda:1"), of["u"]


def planned(call, y):
    """The plan of a forward."""
    operands = {x: (v, call.axes[x]) for x, v in call.layouts.items()}
    operands["y"] = y, contract2d.maps_axes(4, call.path)
    return launches2d.forward_plan(call, operands, H200, Host)


@given(given_problem=map_problems())
def test_what_planning_picks_fits_and_covers_all_channels(given_problem):
    arrays = {x: given_problem[x] for x in scan2d.ARGUMENTS if x in given_problem}
    found = NumPyArrays()
    layouts = {x: found.layout("scan2d", x, found.signature(v)) for x, v in arrays.items()}
    call = contract2d.check("scan2d", layouts, given_problem["path"])
    y = contract2d.output_layout(layouts["u"], call.path, given_problem["merge"])

    element = plan.element_of(call, y.dtype)
    forward = plan2d.choose(call, element, y, H200)
    backward = plan2d_backward.choose(call, H200)

    assert plan2d.shared_bytes(call, forward) <= H200.shared_per_block
    assert plan2d.channel_blocks(call, forward) * plan2d.slots_of(call, forward) >= call.dim
    name = instances.forward2d_name(element, call.state_dtype, forward.lanes)
    assert name in instances.INSTANCES[instances.FORWARD_2D]
    assert plan2d_backward.shared_bytes(call, backward) <= H200.shared_per_block
    blocks = plan2d_backward.slices(call, backward) * backward.walk
    assert blocks >= plan2d_backward.channel_blocks(call, backward)


@pytest.mark.parametrize("size", [7, 14, 312])
def test_small_maps_are_summed_on_the_chip_and_large_ones_in_memory(size):
    call, y = problem(cross(size, size), n=1)
    mapping = plan2d.choose(call, "bfloat16", y, H200)

    wanted = plan2d.RESIDENT if size < 50 else plan2d.SCRATCH
    assert mapping.mode == wanted
    most = {plan2d.RESIDENT: 18, plan2d.SCRATCH: 42}[wanted]
    assert plan2d.traffic(call, mapping, y) == most
    scratch = launches2d.forward_scratch(call, {"y": (y, None)}, H200, mapping)
    assert scratch == (0 if wanted == plan2d.RESIDENT else 128 * 96 * size**2)


@given(
    st.sampled_from(list(instances.ELEMENTS)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 300), st.integers(1, 1000)),
)
def test_what_planning_picks_for_small_cross_maps_is_an_instance_that_fits(element, size, sizes):
    call, _ = problem(cross(*size), *sizes, dtype=element)
    if not plan_cross.takes(call, H200):
        return
    for backward, file, count in (
        (False, instances.CROSS_FORWARD, plan_cross.forward_bytes),
        (True, instances.CROSS_BACKWARD, plan_cross.backward_bytes),
    ):
        mapping = plan_cross.choose(call, H200, backward)
        shape = mapping.shape

        name = instances.cross_name(file, element, shape.side, shape.whole)
        assert name in instances.INSTANCES[file]
        threads = mapping.team * mapping.teams
        assert threads % 32 == 0
        assert threads <= plan_cross.most_threads(call, shape, backward)
        assert plan_cross.threads_of(call.path, shape.steps) <= mapping.team <= shape.team
        assert count(call, mapping) + plan_cross._STATIC <= H200.shared_per_block
        channels = plan_cross.channel_blocks(call, mapping) * plan_cross.channels_of(mapping)
        assert channels >= call.dim


def test_kernels_of_maps_are_few():
    files = ("scan2d_forward", "scan2d_backward", "cross_forward", "cross_backward", "move")
    assert sum(len(instances.INSTANCES[f"{file}.cu"]) for file in files) <= 120


def test_which_kernels_serve_a_map():
    def served(path, **options):
        return plan_cross.takes(problem(path, **options)[0], H200)

    for size in (7, 14, 28, 56):
        assert all(served(cross(size, size), dtype=x) for x in instances.ELEMENTS)
    assert served(cross(50, 39))
    assert not served(cross(64, 64))  # too large
    assert not served(cross(54, 55))  # too many threads of a backward
    assert not served(cross(8, 8))  # too few pixels for kernels of 14
    assert not served(cross(56, 56), n=2)
    assert not served(cross(56, 56), dtype="float64")
    assert not served(Path.of(56, 56, "h", "v", "v_flip", "h_flip"))
    small = plan.Device(shared_per_block=99 * 1024)
    assert not plan_cross.takes(problem()[0], small)
    apart = problem()[0]
    apart = dataclasses.replace(apart, merge=False)
    assert not plan_cross.takes(apart, H200)


def test_the_bytes_of_a_small_map():
    call, y = problem()

    assert plan_cross.forward_traffic(call, y) == 12
    assert plan_cross.backward_traffic(call, y) == 26
    made = planned(call, y)
    assert made.name == "cross_forward<__nv_bfloat16, 56, true>"
    struct = made.arguments.fill({})
    assert struct["delta"]["batch"] == 4 * 96 * 56 * 56 * 2
    assert (struct["height"], struct["width"]) == (56, 56)
    assert launches2d.states_size(call, H200) == 0


def test_a_forward_keeps_states_of_maps_that_lie_otherwise():
    call, _ = problem(b=2)
    shape = call.layouts["u"].shape
    call.layouts["u"] = Layout(shape, dense_steps(shape, (0, 2, 3, 1), 2), "bfloat16")

    assert not plan_cross.takes(call, H200)
    assert launches2d.states_size(call, H200) == np.prod(plan2d.saved_shape(call))


def test_steps_have_64_bits():
    """More than 2**31 numbers, also in one batch element, and their bytes beyond that."""
    call, y = problem(cross(1300, 1300), b=2, d=700)
    struct = planned(call, y).arguments.fill({})
    pixels = 1300 * 1300

    assert call.batch * call.routes * call.dim * pixels > 2**32
    assert struct["delta"]["batch"] == 4 * 700 * pixels * 2
    assert struct["delta"]["route"] == 700 * pixels * 2
    assert struct["sums"]["batch"] == 700 * pixels * 4


def test_many_channels_are_blocks_of_one_axis_of_the_grid():
    call, y = problem(cross(2, 2), b=3, d=70_000)
    made = planned(call, y)

    assert made.grid == 3 * -(-70_000 // (made.block // 32 * _rows(made)))
    assert made.device == 1


def _rows(made):
    lanes = int(made.name.rpartition(",")[2].removesuffix(">"))
    return plan.Shape.of("float32", lanes).rows


@pytest.mark.parametrize(
    ("axes", "path", "fields"),
    [
        ((0, 1, 2, 3), cross(4, 5), {"step": 4, "row": 0, "channel": 80}),
        ((0, 2, 3, 1), cross(4, 5), {"step": 12, "row": 0, "channel": 4}),
        ((0, 1, 3, 2), cross(4, 5), {"step": 16, "row": 4 - 5 * 16, "channel": 80}),
        ((0, 1, 2, 3), cross(4, 1), {"step": 4, "row": 0, "channel": 16}),
        ((0, 1, 2, 3), cross(1, 5), {"step": 4, "row": 0, "channel": 20}),
    ],
)
def test_the_steps_of_pixels_are_those_of_the_array(axes, path, fields):
    shape = (2, 3, path.height, path.width)
    array = np.zeros([shape[i] for i in axes], np.float32).transpose(np.argsort(axes))
    call, _ = problem(path, b=2, d=3)
    given_layout = Layout(shape, array.strides, "float32")

    found = arguments2d.fields_of(
        call, given_layout, contract2d.maps_axes(4, call.path), path.width
    )

    assert {x: found.get(x, 0) for x in fields} == fields
    for pixel in range(path.height * path.width):
        i, j = divmod(pixel, path.width)
        offset = pixel * found["step"] + i * found.get("row", 0)
        assert offset == i * array.strides[2] + j * array.strides[3]


VIDEO = Path.of(3, 4, "thw", depth=2)


@pytest.mark.parametrize(
    ("steps", "width"),
    [((48, 16, 4), 4), ((96, 16, 4), 12), ((60, 20, 4), 4), ((24, 8, 2), 4)],
    ids=["contiguous", "every second frame", "some columns", "channels last"],
)
def test_a_row_is_one_of_a_map_or_a_frame(steps, width):
    video = Layout((1, 1, 2, 3, 4), (999, 999, *steps), "float32"), contract2d.maps_axes(5, VIDEO)

    found = arguments2d.row_width(SimpleNamespace(path=VIDEO), {"u": video})

    assert found == width
    fields = arguments2d.map_steps(VIDEO, width, *arguments2d.pixel_steps(*video))
    for pixel in range(24):
        p, i, j = np.unravel_index(pixel, VIDEO.size)
        offset = pixel * fields["step"] + pixel // width * fields["row"]
        assert offset == np.dot((p, i, j), steps)


def test_frames_and_rows_apart_are_refused():
    layouts = [
        {"u": (120, 20, 4)},  # frames and rows apart
        {"delta": (96, 16, 4), "u": (60, 20, 4)},  # frames of one, rows of the other
    ]
    axes = contract2d.maps_axes(5, VIDEO)
    for steps, name in zip(layouts, ("u", "delta"), strict=True):
        maps = {
            x: (Layout((1, 1, 2, 3, 4), (999, 999, *s), "float32"), axes) for x, s in steps.items()
        }
        with pytest.raises(ValueError, match=f"^scan3d: {name} must be of frames that follow one"):
            arguments2d.row_width(SimpleNamespace(path=VIDEO), maps)


def test_more_states_than_shared_memory_has_room_for_are_refused():
    call, y = problem(cross(4, 4), n=40_000)
    with pytest.raises(ValueError, match=r"^scan2d: d_state must be small enough for the 232448"):
        plan2d.choose(call, "bfloat16", y, H200)
    with pytest.raises(ValueError, match=r"^scan2d: d_state must be small enough for the 232448"):
        plan2d_backward.choose(call, H200)


def test_routes_of_a_joined_path_have_parts_of_their_own_where_they_share_maps():
    path = Path.of(4, 4, "h", "v", joined=True)
    of = {
        "u": layout((1, 8, 4, 4)),
        "delta": layout((1, 1, 8, 4, 4)),
        "A": layout((1, 8, 2), "float32", 4),
        "B": layout((1, 1, 2, 4, 4)),
        "C": layout((1, 1, 2, 32)),
    }
    call = contract2d.check("scan2d", of, path)

    assert plan2d_backward.route_parts(call) == 2
    assert launches2d.backward_parts(call, H200) == (2, 1)
    assert plan2d_backward.sum_modes(call) == (plan2d.SCRATCH, plan2d.SCRATCH)
    assert launches2d.backward_scratch(call, H200) == 2 * 8 * 16


def test_a_chunk_of_a_move_has_whole_sectors_of_columns():
    path = cross(312, 312)
    steps = (2 * 96 * 312**2, 0, 2 * 312**2, 2 * 312, 2)
    moved = path_contract.Moved("gather", path, 2, 96, "bfloat16", steps, None, "cuda:0")
    mapping = plan_moves.choose(moved, H200)

    assert mapping.length // 312 >= 16


def test_structs_are_scalars():
    call, y = problem()
    moved = path_contract.check_gather(layout((2, 6, 56, 56)), cross(56, 56))
    addresses = {"source": 64, "result": 128}

    for made in (planned(call, y), launches2d.move_plan(moved, H200, Host)):
        assert type(made.arguments.fill(addresses)) is np.void


def test_more_channels_than_kernels_count_are_refused():
    call, y = problem(path=cross(2, 2), b=1, d=plan.LARGEST + 1)
    moved = path_contract.check_gather(layout((1, plan.LARGEST + 1, 2, 2)), cross(2, 2))
    refused = rf"d must be at most {plan.LARGEST} on a GPU; got {plan.LARGEST + 1}\.$"

    with pytest.raises(ValueError, match=rf"^scan2d: {refused}"):
        planned(call, y)
    with pytest.raises(ValueError, match=rf"^gather: {refused}"):
        launches2d.move_plan(moved, H200, Host)
