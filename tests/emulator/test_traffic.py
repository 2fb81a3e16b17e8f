"""Bytes that the kernels of maps load and store, counted in the emulator, and those of the plan."""

import functools

import numpy as np
import pytest
from map_strategies import make_map_problem, with_dy

from selscan.arrays.numpy import NumPyArrays
from selscan.backends.cupy import plan2d, plan2d_backward, plan_cross
from selscan.backends.cupy.instances import (
    BACKWARD_2D,
    CROSS_BACKWARD,
    CROSS_FORWARD,
    FORWARD_2D,
)
from selscan.backends.cupy.paste import SOURCES, paste
from selscan.backends.cupy.plan2d import Mapping
from selscan.ops import contract2d, scan2d
from selscan.paths import cross

from . import Module, maps, pointers, scans

COUNTER = "__device__ long long counted;\n"
READ = """
__global__ void read_counter(long long* to) {
  *to = counted;
  counted = 0;
}
"""
# Where the kernels of tables load and store, and what is counted there.
TABLES = {
    "DEVICE void load(Number (&x)[WIDTH], const char* at, int dtype) {": "sizeof(Element) * WIDTH",
    "DEVICE void store(Real (&x)[WIDTH], char* at, int dtype) {": "sizeof(Element) * WIDTH",
    "      if (to.adds) value += sum;": "(1 + to.adds) * sizeof(Real) * (to.x.mode != RESIDENT)",
    "      if (to.adds) value += to.sum(row, at);": (
        "to.adds * sizeof(Real) * (to.x.mode != RESIDENT)"
    ),
}


# And those for small maps; B and C, and their gradients, are not counted.
CROSSES = {
    "      Piece x[COUNT];": "sizeof(Piece) * COUNT",
    "      *reinterpret_cast<Piece*>(to + pixel": "sizeof(Piece)",
    "        float x[STORED];": "STORED * sizeof(Stored)",
}
DY = {
    "        const auto x = *reinterpret_cast": "sizeof(Element) * SIZE",
    "      to[row * S::SUMS + column] =": "size_of(p.dy.dtype)",
}
SMALL = {CROSS_FORWARD: CROSSES, CROSS_BACKWARD: CROSSES | DY}
PLACES = {FORWARD_2D: TABLES, BACKWARD_2D: TABLES} | SMALL


@functools.cache
def module(file, name):
    """A kernel that counts, and the one that tells."""
    text = paste(file, SOURCES)
    for place, size in PLACES[file].items():
        assert text.count(place) == 1, place
        counts = f"counted += {size};"
        # After the beginning of a function, and before a statement.
        both = f"{counts} {place}" if file in SMALL else f"{place} {counts}"
        text = text.replace(place, both)
    made = Module(COUNTER + text + READ, [name, "read_counter"], file=file)
    kernel = made.get_function(name)
    kernel.max_dynamic_shared_size_bytes = scans.DEVICE.shared_per_block
    return kernel, made.get_function("read_counter")


@pytest.fixture
def counted(monkeypatch):
    """Bytes of each launch of a kernel of maps, by its file."""
    found = {}

    def launch(plan, addresses, runs_on=None):
        if isinstance(plan, list) or plan.file not in PLACES:
            scans.Emulated.launch(plan, addresses)
            return
        kernel, read = module(plan.file, plan.name)
        plan.launch(kernel, addresses)
        total = np.zeros(1, np.int64)
        read((1,), (1,), pointers(total))
        found[plan.file] = int(total[0])

    monkeypatch.setattr(maps.Emulated, "launch", staticmethod(launch))
    return found


def checked(problem):
    """The Problem."""
    arrays = {x: problem[x] for x in scan2d.ARGUMENTS}
    return contract2d.check("scan2d", scans.layouts_of(NumPyArrays(), arrays), problem["path"])


def coefficients(call, blocks):
    """Bytes of B and C, which the channels of a block share."""
    size = plan2d.BYTES[call.layouts["B"].dtype]
    return call.batch * blocks * call.routes * call.length * 2 * call.d_state * size


@pytest.mark.parametrize("mode", [plan2d.SCRATCH, plan2d.RESIDENT])
@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("out_dtype", [None, "float32"])
def test_the_plan_knows_the_bytes_of_a_scan(counted, out_dtype, merge, mode):
    """A y of float32 is where its routes are added up."""
    options = {"dtype": "bfloat16", "merge": merge, "out_dtype": out_dtype}
    problem = make_map_problem(cross(9, 7), d=11, n=3, **options)
    call = checked(problem)
    mapping = Mapping(8, 1, 3, mode)

    y = maps.forward(**problem, mapping=mapping)

    layout = scans.layouts_of(NumPyArrays(), {"y": y})["y"]
    merged = plan2d.sum_mode(call, layout)
    used = mapping._replace(mode=mode if merged and mode == plan2d.RESIDENT else merged)
    elements = call.batch * call.dim * plan2d.pixels_of(call)
    shared = coefficients(call, plan2d.channel_blocks(call, used))
    assert counted[FORWARD_2D] == elements * plan2d.traffic(call, used, layout) + shared

    maps.backward(**with_dy(problem))

    shared = coefficients(call, plan2d_backward.channel_blocks(call, of_backward(call)))
    assert counted[BACKWARD_2D] == elements * plan2d_backward.traffic(call, layout) + shared


@pytest.mark.parametrize("out_dtype", [None, "float32"])
def test_the_plan_knows_the_bytes_of_a_small_map(counted, out_dtype):
    """B, C and their gradients are shared by channels, and not counted."""
    problem = make_map_problem(cross(7, 7), d=8, n=1, dtype="bfloat16", out_dtype=out_dtype)
    call = checked(problem)
    elements = call.batch * call.dim * call.path.pixels

    y = maps.forward(**problem)

    layout = scans.layouts_of(NumPyArrays(), {"y": y})["y"]
    assert counted[CROSS_FORWARD] == elements * plan_cross.forward_traffic(call, layout)

    maps.backward(**with_dy(problem))

    assert counted[CROSS_BACKWARD] == elements * plan_cross.backward_traffic(call, layout)


def of_backward(call):
    return plan2d_backward.choose(call, scans.DEVICE)


@pytest.mark.parametrize(
    ("dtype", "mode", "bytes_moved"),
    [("bfloat16", plan2d.SCRATCH, 42), ("bfloat16", plan2d.RESIDENT, 18), ("float32", 1, 60)],
)
def test_what_a_pixel_of_a_channel_costs(dtype, mode, bytes_moved):
    problem = make_map_problem(cross(9, 7), d=11, n=1, dtype=dtype)
    call = checked(problem)
    layout = scans.layouts_of(NumPyArrays(), {"u": problem["u"]})["u"]

    assert plan2d.traffic(call, Mapping(8, 1, 1, mode), layout) == bytes_moved
