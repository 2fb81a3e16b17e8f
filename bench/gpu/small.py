"""Small scans and moves through CuPy, for compute-sanitizer: `python -m bench.gpu.small scan`.

Every array has memory of its own, as CuPy's pool would hide an access beside it; CuPy because torch
would take the sanitizer a minute to load.
"""

import functools
import sys

import numpy as np

import selscan
from bench.gpu import problems, problems_maps
from selscan.arrays.find import framework_of
from selscan.ops import scan2d as ops2d
from selscan.ops.scan import request

_LAST = (problems_maps.map_strategies.LAST,) * 4
# Shapes for one, two, eight and 32 threads along time, aligned rows and others, general kernels.
SHAPES = (
    {"b": 2, "d": 70, "g": 2, "n": 3, "l": 37, "dtype": "float16"},
    {"b": 1, "d": 10, "g": 1, "n": 16, "l": 140, "dtype": "float32"},
    {"b": 1, "d": 5, "g": 1, "n": 1, "l": 516, "dtype": "float16", "layout": "bld"},
    {"b": 1, "d": 3, "g": 1, "n": 4, "l": 70, "dtype": "complex64", "seq_idx": "many"},
    {"b": 1, "d": 4, "g": 1, "n": 20, "l": 33, "dtype": "float64", "reverse": True},
    # A backward whose blocks walk over channels, one in segments of time, and such a forward.
    {"b": 1, "d": 1100, "g": 1, "n": 2, "l": 40, "dtype": "float32"},
    {"b": 1, "d": 8, "g": 1, "n": 4, "l": 520, "dtype": "float32"},
    {"b": 1, "d": 2, "g": 1, "n": 1, "l": 5000, "dtype": "float32"},
)
# Maps: several tiles and chunks, padding, routes that are joined, channels beside one another.
MAPS = (
    {"path": "cross 9 7", "b": 1, "d": 37, "n": 3, "dtype": "bfloat16"},
    {"path": "cross 14 14", "b": 1, "d": 70, "n": 16, "dtype": "float32", "per_route": True},
    {"path": "window 5 7 2", "b": 2, "d": 5, "n": 1, "dtype": "float16", "forms": _LAST},
    {"path": "joined with padding", "b": 1, "d": 3, "n": 2, "dtype": "complex64"},
)
MOVED = (
    {"path": "cross 40 33", "b": 1, "d": 37, "dtype": "bfloat16", "last": False},
    {"path": "window 5 7 2", "b": 2, "d": 5, "dtype": "float32", "last": True},
    {"path": "joined with padding", "b": 1, "d": 3, "dtype": "float64", "last": False},
)


def scan2d_backward(dy, path, delta_softplus, merge, **arrays):
    """The gradient of scan2d, which has no function of its own: torch's autograd calls it."""
    framework = framework_of(dy)
    options = ops2d.switches("scan2d", path, delta_softplus, merge)
    inputs = tuple(arrays.get(name) for name in ops2d.ARGUMENTS)
    asked = request("scan2d", framework, inputs, options, None, "scan2d", ops2d.ARGUMENTS)
    return ops2d.backward(asked, inputs, dy)


FUNCTIONS = {
    "scan": functools.partial(selscan.scan, return_last_state=True),
    "backward": selscan.scan_backward,
    "step": selscan.scan_step,
    "scan2d": selscan.scan2d,
    "scan2d_backward": scan2d_backward,
    "gather": selscan.gather,
    "scatter": selscan.scatter,
}


def shapes_of(op):
    """What an op is run on."""
    if op in ("gather", "scatter"):
        return MOVED
    return MAPS if op in problems_maps.OPS else SHAPES


def made(op, shape):
    """A problem of an op."""
    if op in problems_maps.OPS:
        path, options = shape["path"], {x: v for x, v in shape.items() if x != "path"}
        return problems_maps.make(problems_maps.Case(op, path, options, "plain"))
    single = {"l": 1, "layout": "bdl", "seq_idx": None} if op == "step" else {}
    problem = problems.strategies.make_problem(**shape | single)
    if op == "backward":
        return problems.strategies.with_gradients(problem)
    return problems.step_of(problem) if op == "step" else problem


def main(op):
    """Run the op on all shapes."""
    import cupy

    cupy.cuda.set_allocator(None)
    for shape in shapes_of(op):
        problem = made(op, shape).items()
        arrays = {k: cupy.asarray(v) if isinstance(v, np.ndarray) else v for k, v in problem}
        FUNCTIONS[op](**arrays)
        cupy.cuda.runtime.deviceSynchronize()


if __name__ == "__main__":
    main(sys.argv[1])
