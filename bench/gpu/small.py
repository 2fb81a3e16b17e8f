"""Small scans through CuPy, for compute-sanitizer: `python -m bench.gpu.small scan`.

Every array has memory of its own, as CuPy's pool would hide an access beside it; CuPy because torch
would take the sanitizer a minute to load.
"""

import functools
import sys

import numpy as np

import selscan
from bench.gpu import problems

# Shapes for one, two, eight and 32 threads along time, aligned rows and others, general kernels.
SHAPES = (
    {"b": 2, "d": 70, "g": 2, "n": 3, "l": 37, "dtype": "float16"},
    {"b": 1, "d": 10, "g": 1, "n": 16, "l": 140, "dtype": "float32"},
    {"b": 1, "d": 5, "g": 1, "n": 1, "l": 516, "dtype": "float16", "layout": "bld"},
    {"b": 1, "d": 3, "g": 1, "n": 4, "l": 70, "dtype": "complex64", "seq_idx": "many"},
    {"b": 1, "d": 4, "g": 1, "n": 20, "l": 33, "dtype": "float64", "reverse": True},
    # A backward whose blocks walk over channels, and one in segments of time.
    {"b": 1, "d": 1100, "g": 1, "n": 2, "l": 40, "dtype": "float32"},
    {"b": 1, "d": 8, "g": 1, "n": 4, "l": 520, "dtype": "float32"},
)


FUNCTIONS = {
    "scan": functools.partial(selscan.scan, return_last_state=True),
    "backward": selscan.scan_backward,
    "step": selscan.scan_step,
}


def made(op, shape):
    """A problem of an op."""
    single = {"l": 1, "layout": "bdl", "seq_idx": None} if op == "step" else {}
    problem = problems.strategies.make_problem(**shape | single)
    if op == "backward":
        return problems.strategies.with_gradients(problem)
    return problems.step_of(problem) if op == "step" else problem


def main(op):
    """Run the op on all shapes."""
    import cupy

    cupy.cuda.set_allocator(None)
    for shape in SHAPES:
        problem = made(op, shape).items()
        arrays = {k: cupy.asarray(v) if isinstance(v, np.ndarray) else v for k, v in problem}
        FUNCTIONS[op](**arrays)
        cupy.cuda.runtime.deviceSynchronize()


if __name__ == "__main__":
    main(sys.argv[1])
