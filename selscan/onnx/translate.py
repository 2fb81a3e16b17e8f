"""The operators of selscan (selscan/torch) as nodes of ONNX, for torch's exporter.

The arithmetic is that of the kernels: float32, or float64 where an argument has it, and a result in
fewer bits is rounded once. Sequences are (b, l, d), as recurrence.py has them.
"""

import functools

import numpy as np
import onnx_ir as ir
import onnxscript

from ..paths import Path
from ..torch import operators, operators2d, paths
from .checks import ATTENTION
from .maps import is_per_route, numbers_of_pixels, picked, put_back, rows_of
from .nodes import Nodes
from .recurrence import Form, by_attention, by_scan

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE
SUMMED_AS = {  # by ReduceSum of onnxruntime, which lacks the others
    ir.DataType.FLOAT16: FLOAT,
    ir.DataType.BFLOAT16: FLOAT,
    **dict.fromkeys((ir.DataType.INT8, ir.DataType.INT16, ir.DataType.UINT8), ir.DataType.INT32),
    ir.DataType.UINT16: ir.DataType.INT32,
    **dict.fromkeys((ir.DataType.UINT32, ir.DataType.UINT64), ir.DataType.INT64),
}


def table(opset):
    """{operator: its translation}, as torch's exporter calls it."""
    return {operator: recorded(function) for operator, function in functions(opset).items()}


def functions(opset):
    """{operator: a function of `Nodes` and its arguments}; scans are nodes of this opset."""
    recurrence = by_attention if opset >= ATTENTION else by_scan
    return {
        operators.SCAN: functools.partial(scan, recurrence),
        operators2d.SCAN2D: functools.partial(scan2d, recurrence),
        paths.GATHER: gather,
        paths.SCATTER: scatter,
    }


def recorded(function):
    """A translation that hands its nodes to the recorder of torch's exporter."""

    def call(*arguments):
        op = Nodes()
        result = function(op, *arguments)
        onnxscript.evaluator.default().nodes.extend(op.made)
        return result

    return call


def scan(recurrence, op, *arguments):
    """selscan::scan: [y], or [y, last_state]."""
    *given, seq_idx, softplus, reverse, layout, out_dtype, positions, _, want_last = arguments
    assert seq_idx is positions is None
    real, dtype = arithmetic(given), out_dtype or given[0].dtype
    u, delta, A, B, C, D, z, bias, state = (op.cast(x, real) for x in given)
    d, n = A.shape
    groups = [x.shape[1 if layout == "bdl" else 2] for x in (B, C) if len(x.shape) == 4]
    constant = tuple(name for name, x in (("B", B), ("C", C)) if len(x.shape) == 2)
    form = Form(d, n, (*groups, 1)[0], constant, reverse, real, f"{given[0].name}.step")

    def in_time(x):
        """Of (b, ..., l) what is (b, l, ...)."""
        axes = range(1, len(x.shape) - 1)
        return op.permuted(x, 0, len(axes) + 1, *axes) if layout == "bdl" else x

    def grouped(name, x):
        return x if name in constant else op.shaped(in_time(x), 0, 0, form.g, n)

    y, last = scan_sequences(
        op,
        recurrence,
        form,
        *(in_time(u), in_time(delta), A, grouped("B", B), grouped("C", C), D, bias),
        softplus,
        state,
    )
    if z is not None:
        y = op("Mul", y, silu(op, in_time(z), real))
    y = op.cast(op.permuted(y, 0, 2, 1) if layout == "bdl" else y, dtype, was=real)
    return [y, last] if want_last else [y]


def scan2d(recurrence, op, *arguments):
    """selscan::scan2d: y."""
    *given, text, softplus, merge, out_dtype, _ = arguments
    real, dtype, path = arithmetic(given), out_dtype or given[0].dtype, Path.from_text(text)
    u, delta, A, B, C, D, bias = (op.cast(x, real) for x in given)
    k, d, n = A.shape  # one k for all routes of a joined path
    form = Form(k * d, n, k, (), False, real, f"{given[0].name}.step")

    def in_order(x, is_map):
        """(b, l, k, ...) of maps, or of what is in order but for its axes."""
        if not is_map:
            x = op.permuted(x, 0, 3, 1, 2)
            if (path.table < 0).any():
                kept = (path.table >= 0).reshape(k, -1, 1).swapaxes(0, 1)
                x = op("Where", op.constant(kept), x, op.constant(np.zeros((), real.numpy())))
            return x
        apart = is_per_route(x, path) and x.shape[1] == path.routes > 1
        numbers = numbers_of_pixels(path, apart).reshape(k, -1)
        return picked(op, *rows_of(op, x, path), numbers.T, real)

    def flat(x):
        """(b, l, k d)."""
        return op.shaped(x, 0, 0, k * d)

    y, _ = scan_sequences(
        op,
        recurrence,
        form,
        *(flat(in_order(u, True)), flat(in_order(delta, is_per_route(delta, path)))),
        op.shaped(A, k * d, n),
        *(in_order(x, is_per_route(x, path)) for x in (B, C)),
        *(None if x is None else op.shaped(x, k * d) for x in (D, bias)),
        softplus,
    )
    rows = np.arange(path.table.size)
    steps = rows.reshape(path.table.shape) if path.joined else rows.reshape(-1, k).T
    y = put_back(op, op.shaped(y, 0, -1, d), steps, path, merge, d, real)
    return op.cast(y, dtype, was=real)


def scan_sequences(
    op, recurrence, form, u, delta, A, B, C, D=None, bias=None, softplus=False, state=None
):
    """y (b, l, d) and the last state (b, d, n)."""
    delta = rate(op, delta, bias, softplus)
    y, last = recurrence(op, form, op("Mul", delta, u), delta, A, B, C, state)
    return y if D is None else op("Add", y, op("Mul", u, D)), last


def gather(op, x, text, backend=None):
    """selscan::gather: (b, k, d, l)."""
    path = Path.from_text(text)
    numbers = numbers_of_pixels(path, apart=is_per_route(x, path))
    return op.permuted(picked(op, *rows_of(op, x, path), numbers, x.dtype), 0, 1, 3, 2)


def scatter(op, y, text, merge, backend=None):
    """selscan::scatter: (b, d, h, w), or (b, k, d, h, w)."""
    path, d, dtype = Path.from_text(text), y.shape[2], y.dtype
    real = SUMMED_AS.get(dtype, dtype) if merge else dtype
    rows = op.shaped(op.permuted(op.cast(y, real), 0, 1, 3, 2), 0, -1, d)
    steps = np.arange(path.table.size).reshape(path.table.shape)
    return op.cast(put_back(op, rows, steps, path, merge, d, real), dtype, was=real)


def arithmetic(given):
    """The dtype to compute in."""
    return DOUBLE if any(x is not None and x.dtype == DOUBLE for x in given) else FLOAT


def rate(op, delta, bias, softplus):
    """delta with its bias and its softplus."""
    delta = delta if bias is None else op("Add", delta, bias)
    return op("Softplus", delta) if softplus else delta


def silu(op, z, real):
    """z / (1 + exp(-z)): the Sigmoid of onnxruntime is off by 1e-3 of itself where it is small."""
    one = op.constant(np.ones((), real.numpy()))
    return op("Div", z, op("Add", one, op("Exp", op("Neg", z))))
