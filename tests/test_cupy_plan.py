"""How scans are spread over a GPU, and the argument of the kernels: no GPU is needed."""

import numpy as np
import pytest

from selscan.arrays.layouts import Layout, dense_steps
from selscan.backends.cupy import arguments, instances, launches, plan
from selscan.ops import contract

H200 = plan.Device()
# b, d, l, n, groups: the shapes that performance is designed for, and what planning picks.
SHAPES = {
    "language model, batch 1": (1, 2048, 2048, 16, 1),
    "language model, batch 8": (8, 2048, 2048, 16, 1),
    "language model, wide": (8, 5120, 2048, 16, 1),
    "long, batch 1": (1, 2048, 65536, 16, 1),
    "vmamba stage 1": (128, 384, 3136, 1, 4),
    "vmamba stage 1, 16 states": (128, 384, 3136, 16, 4),
    "vmamba stage 3, 16 states": (128, 1536, 196, 16, 4),
    "vmamba stage 4, 16 states": (128, 3072, 49, 16, 4),
    "vim small": (128, 768, 197, 16, 1),
    "vim, one large image": (1, 384, 6084, 16, 1),
}
SIZES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16}


def problem_of(b, d, l, n, g, dtype="bfloat16", layout="bdl", A="float32", z=True, offset=0):
    """A problem of contiguous arrays, rows longer by `offset`, and its operands."""
    axes = {"bdl": ((b, d, l), (b, g, n, l)), "bld": ((b, l, d), (b, l, g, n))}[layout]
    shapes = {"u": axes[0], "delta": axes[0], "A": (d, n), "B": axes[1], "C": axes[1]}
    shapes |= {"z": axes[0]} if z else {}
    layouts = {}
    for name, shape in shapes.items():
        kind = A if name == "A" else dtype
        dense = (*shape[:-1], shape[-1] + offset)
        layouts[name] = Layout(shape, dense_steps(dense, range(len(shape)), SIZES[kind]), kind)
    problem = contract.check("scan", layouts, False, False, layout)
    operands = {name: (x, problem.axes[name]) for name, x in layouts.items()}
    operands["y"] = operands["u"]
    return problem, operands


def warps_of(problem, mapping):
    """Warps that have channels."""
    rows = plan.Shape.of(problem.state_dtype, mapping.lanes).rows
    per_group = -(-(problem.dim // problem.groups) // rows)
    return problem.batch * problem.groups * per_group * mapping.parts


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_the_mapping_fills_the_gpu_where_there_are_rows_enough(shape, layout):
    problem, _ = problem_of(*shape, layout=layout)
    mapping = plan.choose(problem, "bfloat16", H200)
    schedulers = H200.multiprocessors * 4

    assert plan.shared_bytes(problem, mapping) <= H200.shared_per_block
    assert warps_of(problem, mapping) >= 0.7 * schedulers


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        ("language model, batch 1", 32),
        ("language model, wide", 2),
        ("vmamba stage 4, 16 states", 1),
        ("vim small", 1),
        ("vim, one large image", 32),
    ],
)
def test_few_rows_are_spread_along_time_and_many_are_not(name, lanes):
    problem, _ = problem_of(*SHAPES[name])

    assert plan.choose(problem, "bfloat16", H200).lanes == lanes


def test_the_states_of_very_few_rows_are_shared_by_warps():
    few, _ = problem_of(1, 64, 4096, 16, 1)
    one, _ = problem_of(1, 64, 4096, 1, 1)
    many, _ = problem_of(64, 2048, 64, 16, 1)

    assert plan.choose(few, "bfloat16", H200).parts > 1
    assert plan.choose(one, "bfloat16", H200).parts == 1
    assert plan.choose(many, "bfloat16", H200).parts == 1


def test_time_is_cut_where_it_is_long_and_rows_are_very_few():
    large, operands = problem_of(1, 384, 97344, 1, 4, z=False)  # vmamba on an image of 1248 pixels
    mapping = plan.choose(large, "bfloat16", H200)
    maps, scan = launches.forward_plan(large, operands, H200)

    assert mapping.segments > 1
    assert plan.blocks(large, mapping) <= plan.BLOCKS * H200.multiprocessors
    assert plan.estimate(large, mapping, H200) < 0.5 * plan.estimate(
        large, mapping._replace(segments=1), H200
    )
    assert maps.name == scan.name
    assert maps.grid * mapping.segments == scan.grid * (mapping.segments - 1)
    size = launches.forward_scratch(large, operands, H200)
    assert size == (mapping.segments - 1) * large.dim * 2
    filled = [x.arguments.fill({"y": 64, "carries": 128}) for x in (maps, scan)]
    assert [int(x["y"]["data"]) for x in filled] == [0, 64]
    assert [int(x["carries"]["data"]) for x in filled] == [128, 128]
    assert [int(x["maps"]) for x in filled] == [1, 0]


@pytest.mark.parametrize("name", SHAPES)
def test_time_is_whole_where_blocks_fill_the_gpu(name):
    problem, operands = problem_of(*SHAPES[name])

    assert plan.choose(problem, "bfloat16", H200).segments == 1
    assert launches.forward_scratch(problem, operands, H200) == 0


@pytest.mark.parametrize("segments", [2, 3, 7, 100])
def test_no_segment_is_empty(segments):
    problem, _ = problem_of(1, 4, 1000, 1, 1)
    mapping = plan.without_empty(problem, plan.Mapping(1, 4, 1, 1, segments))
    span = plan.span(problem, mapping)

    assert mapping.segments <= segments
    assert span % 16 == 0
    assert (mapping.segments - 1) * span < 1000 <= mapping.segments * span


def test_a_mapping_is_a_function_of_its_arguments():
    for shape in SHAPES.values():
        first, second = (plan.choose(problem_of(*shape)[0], "bfloat16", H200) for _ in "ab")
        assert first == second


@pytest.mark.parametrize("A", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("n", [1, 100, 3000])
def test_every_number_of_states_has_a_mapping_that_fits(n, A):
    problem, _ = problem_of(1, 8, 64, n, 1, dtype="float32", A=A)
    mapping = plan.choose(problem, None, H200)

    assert plan.shared_bytes(problem, mapping) <= H200.shared_per_block
    assert mapping.lanes in instances.GENERAL_LANES


def test_too_many_states_for_shared_memory_are_refused():
    problem, operands = problem_of(1, 8, 2, 60_000, 1)

    with pytest.raises(
        ValueError, match=r"^scan: d_state must be small enough .* got 60000 states"
    ):
        launches.forward_plan(problem, operands, H200)


def test_more_rows_than_a_grid_has_blocks_are_refused():
    problem, operands = problem_of(2**31, 1, 1, 1, 1)

    with pytest.raises(ValueError, match=r"b \* g below 2\*\*31; got .* b = 2147483648, g = 1"):
        launches.forward_plan(problem, operands, H200)


# Of (b, d, l, n, g): as many as 32 bits can count, a tile less, and one more than are allowed.
@pytest.mark.parametrize("size", [2**31, 2**31 - 512, plan.LARGEST + 1])
@pytest.mark.parametrize("name", ["l", "d"])
def test_more_steps_or_channels_than_kernels_can_count_are_refused(name, size):
    shape = (1, 4, size, 1, 1) if name == "l" else (1, size, 4, 1, 1)
    problem, operands = problem_of(*shape)
    refused = rf"{name} must be at most {plan.LARGEST} on a GPU; got {size}\.$"

    with pytest.raises(ValueError, match=f"^scan: {refused}"):
        launches.forward_plan(problem, operands, H200)
    with pytest.raises(ValueError, match=f"^scan_backward: {refused}"):
        launches.backward_plans(problem, operands, {}, H200)
    with pytest.raises(ValueError, match=f"^scan_step: {refused}"):
        launches.step_plan(problem, operands)


@pytest.mark.parametrize("shape", [(1, 4, plan.LARGEST, 1, 1), (1, plan.LARGEST, 4, 1, 1)])
def test_as_many_as_are_allowed_are_planned(shape):
    problem, operands = problem_of(*shape)

    plans = launches.forward_plan(problem, operands, H200)
    assert all(made.grid >= 1 for made in (plans if isinstance(plans, list) else [plans]))


def test_a_small_gpu_gets_blocks_that_fit():
    device = plan.Device(multiprocessors=20, shared_per_block=48 * 1024, shared=64 * 1024)
    for shape in SHAPES.values():
        problem, _ = problem_of(*shape)
        mapping = plan.choose(problem, "bfloat16", device)
        assert plan.shared_bytes(problem, mapping) <= 48 * 1024


@pytest.mark.parametrize(
    ("dtype", "y", "expected"),
    [
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16", "float32", "bfloat16"),
        ("float16", "bfloat16", None),
        ("float32", "float16", None),
        ("float64", "float64", None),
    ],
)
def test_elements_of_one_dtype_have_instances_of_their_own(dtype, y, expected):
    problem, _ = problem_of(2, 8, 8, 4, 1, dtype=dtype)

    assert plan.element_of(problem, y) == expected


def test_every_instance_is_in_the_list_and_the_list_is_short():
    listed = instances.INSTANCES[instances.FORWARD]

    assert len(listed) == len(set(listed)) <= 80
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        for A in ("float32", "complex64", "float64", "complex128"):
            for n in (1, 16):
                for shape in ((1, 64, 2048), (128, 512, 196)):
                    b, d, l = shape
                    problem, operands = problem_of(b, d, l, n, 1, dtype=dtype, A=A)
                    assert launches.forward_plan(problem, operands, H200).name in listed
                    assert (
                        launches.step_plan(problem, operands).name
                        in (instances.INSTANCES[instances.STEP])
                    )


# ---- arguments ---------------------------------------------------------------------------------

ALIGNED = dict.fromkeys(("u", "delta", "z", "B", "C", "y"), 1 << 20)


def access_of(name, addresses=(), **options):
    shape = options.pop("shape", (2, 8, 64, 16, 1))
    problem, operands = problem_of(*shape, **options)
    made = launches.forward_plan(problem, operands, H200)
    return int(made.arguments.fill(ALIGNED | dict(addresses))[name]["access"])


@pytest.mark.parametrize("name", ["u", "delta", "z", "y", "B", "C"])
def test_contiguous_rows_are_read_in_vectors_where_they_are_aligned(name):
    assert access_of(name) == arguments.TIME_VECTORS
    assert access_of(name, {name: (1 << 20) + 8}) == arguments.TIME_VECTORS
    assert access_of(name, {name: (1 << 20) + 2}) == arguments.TIME
    assert access_of(name, shape=(2, 8, 196, 16, 1)) == arguments.TIME_VECTORS
    assert access_of(name, shape=(2, 8, 197, 16, 1)) == arguments.TIME
    assert access_of(name, offset=1) == arguments.TIME
    assert access_of(name, dtype="float64") == arguments.TIME


@pytest.mark.parametrize("name", ["u", "delta", "z", "y", "B", "C"])
def test_contiguous_channels_and_states_are_read_in_vectors_where_they_are_aligned(name):
    vectors = arguments.CHANNEL_VECTORS
    assert access_of(name, layout="bld") == vectors
    assert access_of(name, {name: (1 << 20) + 2}, layout="bld") == arguments.CHANNELS
    assert access_of(name, layout="bld", dtype="float64") == arguments.CHANNELS
    odd = access_of(name, layout="bld", shape=(2, 9, 64, 6, 3))
    assert odd == arguments.CHANNELS  # groups of three channels, six states


def test_steps_along_axes_of_one_element_count_as_nothing():
    layout = Layout((1, 5, 1), (2**62, 4, 2**61), "float32")

    assert arguments.steps_of(layout, (0, 1, None, 2)) == (0, 4, 0, 0)


def test_structs_are_scalars_as_cupy_asks_an_array_for_a_description_in_python():
    problem, operands = problem_of(2, 8, 64, 16, 1)
    pair = [(Layout((2, 4), (16, 4), "float32"), Layout((4,), (4,), "float32"))]

    scan, sums = launches.forward_plan(problem, operands, H200), launches.sum_plan(problem, pair)

    assert type(scan.arguments.fill({})) is np.void
    assert type(sums.arguments.fill([(64, 128)])) is np.void


def test_a_filled_struct_leaves_the_plan_as_it_was():
    problem, operands = problem_of(2, 8, 64, 16, 1)
    made = launches.forward_plan(problem, operands, H200)
    first = made.arguments.fill({"u": 64, "y": 128, "dy": 7}).copy()
    made.arguments.fill({"u": 1, "delta": 3})

    assert np.array_equal(made.arguments.fill({"u": 64, "y": 128}), first)
    assert first["u"]["data"] == 64
    assert first["z"]["data"] == 0
    assert first["length"] == 64


def test_a_plan_is_launched_with_one_struct():
    problem, operands = problem_of(2, 8, 64, 16, 1)
    made, calls = launches.forward_plan(problem, operands, H200), []
    made.launch(lambda *args: calls.append(args), {"u": 64}, 7)

    [(grid, block, (struct,), shared, stream)] = calls
    assert (grid, block, shared, stream) == ((made.grid,), (made.block,), made.shared, 7)
    assert struct.dtype == arguments.FORWARD
