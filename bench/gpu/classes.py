"""Which kernels a shape is launched with: what planning says, which needs no GPU."""

from bench.gpu.shapes import Shape
from selscan.arrays.layouts import Layout
from selscan.backends.cupy import plan, plan_backward
from selscan.ops import contract

SIZES = {"bfloat16": 2, "float32": 4}


def contiguous(shape, dtype="bfloat16"):
    """The layout of a new array."""
    steps, step = [], SIZES[dtype]
    for size in reversed(shape):
        steps.insert(0, step)
        step *= size
    return Layout(tuple(shape), tuple(steps), dtype)


def problem_of(shape: Shape):
    """The checked call of a scan of inputs.make."""
    case = shape.case
    b, d, l, n, g = case.batch, case.dim, case.length, case.d_state, case.groups
    sequence = (b, l, d) if shape.layout == "bld" else (b, d, l)
    shared = (b, l, g, n) if shape.layout == "bld" else (b, g, n, l)
    layouts = {"u": contiguous(sequence), "delta": contiguous(sequence)}
    layouts |= {"A": contiguous((d, n), "float32"), "B": contiguous(shared)}
    layouts |= {"C": contiguous(shared), "D": contiguous((d,), "float32")}
    if shape.z:
        layouts["z"] = contiguous(sequence)
    layouts["delta_bias"] = contiguous((d,), "float32")
    return contract.check("scan", layouts, True, False, shape.layout, False)


def class_of(shape: Shape, mode):
    """What tells kernels apart: threads along time, one state, layout; segments and walks."""
    problem = problem_of(shape)
    if mode == "full":
        mapping = plan_backward.choose(problem, plan.Device())
        return mode, shape.layout, mapping.segments > 1, mapping.walk > 1
    mapping = plan.choose(problem, plan.element_of(problem, "bfloat16"), plan.Device())
    return mode, shape.layout, mapping.lanes, problem.d_state == 1, mapping.segments > 1


def telling_first(cells):
    """(Shape, mode) pairs in their order, but the first of each class before any second."""
    first = {}
    for cell in cells:
        first.setdefault(class_of(*cell), cell)
    return [*first.values(), *(cell for cell in cells if cell not in first.values())]
