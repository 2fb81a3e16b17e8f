"""How backward scans are spread over a GPU, and their arguments: no GPU is needed."""

import numpy as np
import pytest
from test_cupy_plan import ALIGNED, H200, SHAPES, SIZES, problem_of

from selscan.arrays.layouts import Layout
from selscan.backends.cupy import arguments, instances, launches, plan, plan_backward
from selscan.backends.cupy.plan_backward import Mapping

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))


def with_gradients(problem, operands):
    """The operands of a backward: gradients lie as their inputs."""
    inputs = {name: x for name, x in operands.items() if name != "y"}
    return inputs | {f"d{name}": x for name, x in inputs.items()} | {"dy": operands["y"]}


def plans_of(*shape, mapping=None, **options):
    problem, operands = problem_of(*shape, **options)
    return launches.backward_plans(problem, with_gradients(problem, operands), {}, H200, mapping)


@shapes
def test_there_are_few_parts_and_warps_enough(shape):
    problem, _ = problem_of(*shape)
    mapping = plan_backward.choose(problem, H200)
    on_each = plan_backward.blocks(problem, mapping) / H200.multiprocessors
    bytes_of_block = plan_backward.shared_bytes(problem, mapping)

    assert plan_backward.slices(problem, mapping) <= 8
    assert on_each >= 0.9
    assert H200.shared // (bytes_of_block + 1024) * mapping.warps >= 8  # at least two a scheduler


@shapes
def test_every_channel_and_every_chunk_has_one_block(shape):
    problem, _ = problem_of(*shape)
    for mapping in plan_backward.mappings(problem, H200):
        blocks = plan_backward.channel_blocks(problem, mapping)
        slices, span = plan_backward.slices(problem, mapping), plan_backward.span(problem, mapping)
        chunks = plan_backward.chunks_of(problem)
        assert (slices - 1) * mapping.walk < blocks <= slices * mapping.walk
        assert (mapping.segments - 1) * span < chunks <= mapping.segments * span
        # What a block walks over is summed in its part, so that is never a gradient itself.
        assert mapping.walk == 1 or slices > 1


@pytest.mark.parametrize("name", SHAPES)
def test_few_rows_are_cut_into_segments_of_time_and_many_are_not(name):
    problem, _ = problem_of(*SHAPES[name])
    segments = plan_backward.choose(problem, H200).segments

    assert (segments > 1) == name.startswith(("language", "long", "vim, one"))
    files = [made.file for made in plans_of(*SHAPES[name])]
    assert files == ([instances.CARRY] if segments > 1 else []) + [instances.BACKWARD]


@pytest.mark.parametrize("A", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("n", [1, 100, 250])
def test_every_number_of_states_has_a_mapping_that_fits(n, A):
    problem, _ = problem_of(1, 8, 64, n, 1, dtype="float32", A=A)
    mapping = plan_backward.choose(problem, H200)

    assert plan_backward.shared_bytes(problem, mapping) <= H200.shared_per_block
    assert plan_backward.carry_bytes(problem, mapping) <= H200.shared_per_block


def test_too_many_states_for_shared_memory_are_refused():
    problem, _ = problem_of(1, 8, 2, 3000, 1)

    with pytest.raises(ValueError, match=r"^scan: d_state .* of the backward .* got 3000 states"):
        plan_backward.choose(problem, H200)


def test_a_mapping_depends_on_no_strides():
    for shape in SHAPES.values():
        found = {
            plan_backward.choose(problem_of(*shape, layout=layout, offset=offset)[0], H200)
            for layout in ("bdl", "bld")
            for offset in (0, 3)
        }
        assert len(found) == 1


def test_states_are_saved_where_a_chunk_ends_and_another_follows():
    for length, count in ((1, 0), (32, 0), (33, 1), (64, 1), (65, 2)):
        problem, _ = problem_of(2, 6, length, 5, 2)
        # Three channels of a group, and room for two pairs.
        assert plan_backward.saved_shape(problem) == (2, count, 2, 5, 4)


def test_carries_are_two_numbers_for_each_state_between_segments():
    problem, _ = problem_of(2, 6, 100, 5, 2)

    assert plan_backward.carries_shape(problem, Mapping(1, 1, 1, 5)) == (2, 0, 2, 5, 8)
    assert plan_backward.carries_shape(problem, Mapping(1, 1, 3, 5)) == (2, 2, 2, 5, 8)


def test_every_instance_is_in_the_list_and_the_list_is_short():
    files = (instances.BACKWARD, instances.CARRY, instances.SUMS)

    assert sum(len(instances.INSTANCES[file]) for file in files) <= 20
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        for A in ("float32", "complex64", "float64", "complex128"):
            mapping = Mapping(2, 1, 2, 4)
            for made in plans_of(2, 64, 200, 16, 1, dtype=dtype, A=A, mapping=mapping):
                assert made.name in instances.INSTANCES[made.file]


def test_dy_may_be_float32_with_elements_of_16_bits():
    problem, operands = problem_of(2, 8, 64, 4, 1)
    wide = Layout(operands["u"][0].shape, (2048, 256, 4), "float32")
    operands = with_gradients(problem, operands) | {"dy": (wide, operands["u"][1])}

    [made] = launches.backward_plans(problem, operands, {}, H200)

    assert made.name == "scan_backward<__nv_bfloat16, float>"
    assert plan.element_of(problem, "float32") == "bfloat16"


# ---- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["u", "delta", "z", "dy", "du", "ddelta", "dz", "B", "C"])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_sequences_are_reached_in_vectors_where_they_are_aligned(layout, name):
    access = {
        "bdl": (arguments.TIME_VECTORS, arguments.TIME),
        "bld": (arguments.CHANNEL_VECTORS, arguments.CHANNELS),
    }[layout]
    [made] = plans_of(2, 8, 64, 16, 1, layout=layout)
    aligned = ALIGNED | dict.fromkeys((name,), 1 << 20)

    for address, expected in ((1 << 20, access[0]), ((1 << 20) + 2, access[1])):
        struct = made.arguments.fill(aligned | {name: address})
        assert struct[name]["access"] == expected


def test_the_states_of_the_forward_are_those_that_the_backward_begins_from():
    problem, operands = problem_of(2, 8, 100, 16, 1)
    forward = launches.forward_plan(problem, operands, H200).arguments.fill({"states": 1 << 20})
    [made] = plans_of(2, 8, 100, 16, 1)
    backward = made.arguments.fill({"states": 1 << 20})

    assert forward["saved"] == backward["saved"]
    assert forward["saved"]["data"] == 1 << 20
    # Bytes: states, then channels, in each chunk.
    assert forward["saved"]["state"] == 8 * 4
    assert forward["saved"]["time"] == 16 * 8 * 4


def test_the_sums_of_parts_are_one_launch():
    problem, _ = problem_of(2, 8, 64, 16, 1)
    parts = Layout((3, 8, 16), (512, 64, 4), "float32"), Layout((3, 8), (32, 4), "float32")
    results = Layout((8, 16), (4, 32), "float32"), Layout((8,), (2,), "bfloat16")

    made = launches.sum_plan(problem, tuple(zip(parts, results, strict=True)))
    struct = made.arguments.fill([(64, 128), (192, 256)])

    assert (made.grid, made.block) == (2, 256)  # a block for each of the two
    assert struct["most"] == 128
    first, second = struct["sums"][:2]
    assert (first["parts"], first["result"], first["part"], first["count"]) == (64, 128, 512, 3)
    assert first["sizes"].tolist() == [1, 1, 1, 1, 8, 16]
    assert first["steps"].tolist() == [0, 0, 0, 0, 4, 32]
    assert arguments.DTYPES[second["dtype"]] == "bfloat16"
    assert not np.any(struct["sums"]["count"][2:])


def test_parts_and_their_sums_are_those_of_every_dtype():
    for number in ("float32", "float64", "complex64", "complex128"):
        problem, _ = problem_of(1, 4, 8, 2, 1, dtype="float32", A=number)
        layout = Layout((4, 2), (2 * SIZES[number], SIZES[number]), number)
        part = Layout((3, 4, 2), (8 * SIZES[number], *layout.steps), number)
        made = launches.sum_plan(problem, [(part, layout)])
        assert made.name in instances.INSTANCES[instances.SUMS]
