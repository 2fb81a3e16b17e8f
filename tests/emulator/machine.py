"""Every kind of kernel as NVRTC's PTX in the emulator, against float64 (ptx.py).

    PYTHONPATH=tests python -m emulator.machine                # all: minutes of g++
    PYTHONPATH=tests python -m emulator.machine "step" "sums"  # those of a name

It needs NVRTC and g++. tests/test_nvrtc_ptx.py runs the QUICK ones.
"""

import functools
import sys
import time
from unittest import mock

import pytest
from map_strategies import make_map_problem, with_dy
from moving import assert_same, maps, sequences
from path_strategies import orders
from strategies import make_problem, with_gradients

import reference
from selscan.backends.cupy import arguments, arguments2d, instances, plan2d, plan_moves
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.cupy.paste import paste
from selscan.backends.cupy.plan import Mapping
from selscan.backends.cupy.plan2d_backward import Mapping as Backward2d
from selscan.backends.cupy.plan_backward import Mapping as Backward
from selscan.paths import cross, window

from . import KernelError, crosses, in_order, moves, ptx, sample_orders, scan_cases, scans, sparse
from . import maps as scans2d
from .demos import once

STRUCTS = {
    instances.FORWARD: arguments.FORWARD,
    instances.STEP: arguments.STEP,
    instances.BACKWARD: arguments.BACKWARD,
    instances.CARRY: arguments.BACKWARD,
    instances.SUMS: arguments.SUM_PARTS,
    instances.FORWARD_2D: arguments2d.FORWARD,
    instances.BACKWARD_2D: arguments2d.BACKWARD,
    instances.CROSS_FORWARD: arguments2d.CROSS_FORWARD,
    instances.CROSS_BACKWARD: arguments2d.CROSS_BACKWARD,
    instances.MOVE: arguments2d.MOVE,
    instances.ORDERS: arguments2d.ORDERS,
}
TARGET = "compute_90"
HALF = dict.fromkeys((*scan_cases.SEQUENCES, "dy"), "bfloat16")


@functools.cache
def function(file, name):
    """An instance, by way of its PTX."""
    compiled = find_nvrtc().compile(paste(file), file, (name,), TARGET)
    kernel = ptx.module(compiled.image.decode("latin1"), STRUCTS[file].itemsize)
    kernel = kernel.get_function("kernel")
    kernel.max_dynamic_shared_size_bytes = scans.DEVICE.shared_per_block
    built.append(name)
    return kernel


built = []  # instances whose PTX was compiled


def forward(lanes, n=3, dtypes=None, dtype="float32", segments=1):
    """Ragged and from the end, packed; and far apart."""
    mapping = Mapping(lanes, 2, 1, min(n, 2), segments)
    problem = make_problem(b=1, d=6, g=2, n=n, l=70, reverse=lanes == 8, dtype=dtype)
    problem = scan_cases.with_dtypes(problem, dtypes or {})
    packed = scan_cases.with_sequences(problem, 3)
    scans.assert_right(problem, scans.forward(**problem, mapping=mapping))
    scans.assert_right(packed, scans.forward(**packed, mapping=mapping))
    far = sparse.far_problem(packed)
    scans.assert_right(far, sparse.forward(far, mapping))


def backward(segments, dtypes=None, dtype="float32"):
    """With and without segments, whose maps scan_carry makes, and the sums of parts."""
    problem = with_gradients(make_problem(b=1, d=20, g=2, n=2, l=70, dtype=dtype))
    problem = scan_cases.with_dtypes(problem, dtypes or {})
    mapping = Backward(1, 2, segments, 2)
    with plain_forward():
        gradients = scans.backward(**problem, mapping=mapping)
    scans.assert_gradients_right(problem, gradients)
    if not dtypes:
        far = sparse.far_problem(problem)
        with plain_forward():
            gradients = sparse.backward(far, Mapping(8, 2, 1, 2), mapping)
        scans.assert_gradients_right(far, gradients)


def plain_forward():
    """The states of a backward come from the forward that g++ makes of the source."""

    def chosen(file, name):
        return of_source(file, name) if file == instances.FORWARD else function(file, name)

    return mock.patch.object(scans, "function", chosen)


of_source = scans.function


def scan2d(mapping):
    """Sums of routes in scratch and on the chip."""
    problem = make_map_problem(cross(5, 7), d=5, dtype="float32", n=2)
    scans2d.assert_right(problem, scans2d.forward(**problem, mapping=mapping))


def scan2d_backward():
    """Padding, and routes that share maps."""
    problem = with_dy(make_map_problem(window(5, 7, size=2), d=5, dtype="float32", n=2))
    gradients = scans2d.backward(**problem, mapping=Backward2d(1, 1, 2))
    scans2d.assert_gradients_right(problem, gradients)


def orders_of_samples():
    """Their check, and moves by them; a pixel that a route visits twice."""
    table = orders((5, 7), l=33, dtype="int32")
    sample_orders.check_moves(table, (5, 7))
    table[1, 0, :2] = 3
    with pytest.raises(KernelError, match="a pixel at most once"):
        sample_orders.check_moves(table, (5, 7))


def move():
    """Gather and scatter."""
    path, mapping = cross(5, 7), plan_moves.Mapping(20, 2, 0, 20)
    x, y = maps(path, "float32", b=1, d=3), sequences(path, "float32", b=1, d=3)
    assert_same(moves.gather(x, path, mapping=mapping), reference.gather(x, path))
    mapping = plan_moves.Mapping(20, 4, 2, 22)
    assert_same(moves.scatter(y, path, True, mapping=mapping), reference.scatter(y, path))


def sums():
    """Of more numbers than 32 bits count."""
    from . import test_sparse

    test_sparse.test_sums_count_more_than_2_to_the_31_numbers()


KINDS = {
    "sums": sums,
    "step": scan_cases.check_step,
    "moves": move,
    "forward, 1 lane": functools.partial(forward, 1),
    "forward, 2 lanes": functools.partial(forward, 2),
    "forward, 8 lanes, one state": functools.partial(forward, 8, 1),
    "forward, 32 lanes": functools.partial(forward, 32),
    "forward, 32 lanes, bfloat16": functools.partial(forward, 32, 3, HALF),
    "backward": functools.partial(backward, 1),
    "backward in segments": functools.partial(backward, 3),
    "backward, bfloat16": functools.partial(backward, 3, HALF),
    "forward in segments": functools.partial(forward, 1, segments=3),
    "forward in segments, bfloat16": functools.partial(forward, 2, 3, HALF, segments=3),
    "forward, float64": functools.partial(forward, 8, dtype="float64"),
    "forward, complex64": functools.partial(forward, 8, dtype="complex64"),
    "backward, float64": functools.partial(backward, 3, dtype="float64"),
    "backward, complex64": functools.partial(backward, 3, dtype="complex64"),
    "scan2d": functools.partial(scan2d, plan2d.Mapping(8, 2, 2, plan2d.SCRATCH)),
    "scan2d, backward": scan2d_backward,
    "orders": orders_of_samples,
    **{f"infinities, {name[6:]}": check for name, check in in_order.ORDERED.items()},
    **{
        f"small maps, {name}": functools.partial(crosses.check_case, case, once)
        for name, case in crosses.SAMPLE.items()
    },
}
QUICK = ("sums", "step", "moves", "orders")


def check(kind):
    """Run a kind; it raises where something is wrong."""
    built.clear()
    with (
        mock.patch.object(scans, "function", function),
        mock.patch.object(scans2d, "function", function),
        mock.patch.object(moves, "function", function),
    ):
        KINDS[kind]()


def main(names):
    """Run kinds one after the other, and say what they took."""
    for kind in names or KINDS:
        start = time.monotonic()
        check(kind)
        print(f"{kind:<30} right, {time.monotonic() - start:.0f} s: {', '.join(built)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
