"""The recurrence of a scan as one node of ONNX,

    h[t] = exp(delta[t] A) h[t-1] + B[t] v[t],   y[t] = C[t] . h[t]

with v (b, l, d), which is delta u; delta (b, l, d); A (d, n); B and C (b, l, g, n), or (d, n) where
they are constant in time; and the state before the first step (b, d, n), or None. Both functions
return y (b, l, d) and the state behind the last step (b, d, n).
"""

from typing import NamedTuple

import onnx_ir as ir

from .nodes import Nodes


class Form(NamedTuple):
    """What does not depend on data."""

    d: int
    n: int
    g: int  # groups of channels
    constant: tuple  # of "B" and "C" those without time
    reverse: bool
    dtype: ir.DataType
    name: str  # what names of values inside of a step begin with


def by_scan(op, form, v, delta, A, B, C, state):
    """A Scan, whose body is one step.

    Channels are last in its state, (b, g, n, d / g), since n is small: products are of long
    vectors, and the sum over n is a vector times a matrix.
    """
    d, n, g, constant, reverse = form[:5]
    rows = d // g

    def of_state(x, *front):
        """(..., d, n) as (..., g, n, d / g)."""
        axes = range(len(front))
        x = op.shaped(x, *front, g, rows, n)
        return op.permuted(x, *axes, len(front), len(front) + 2, len(front) + 1)

    before = op.zeros(form.dtype, v, g, n, rows) if state is None else of_state(state, 0)
    fixed = {"A": of_state(A)}
    steps = {name: op.shaped(x, 0, 0, g, 1, rows) for name, x in (("delta", delta), ("v", v))}
    for name, x, axis in (("B", B, 4), ("C", C, 3)):
        if name in constant:
            fixed[name] = of_state(x)
        else:
            steps[name] = op.spread(x, axis)
    last, y = op(
        "Scan",
        before,
        *steps.values(),
        count=2,
        body=one_step(form, tuple(steps), fixed),
        num_scan_inputs=len(steps),
        scan_input_axes=[1] * len(steps),
        scan_output_axes=[1],
        scan_input_directions=[int(reverse)] * len(steps),
        scan_output_directions=[int(reverse)],
    )
    return op.shaped(y, 0, 0, d), op.shaped(op.permuted(last, 0, 1, 3, 2), 0, d, n)


def one_step(form, names, fixed):
    """The body of the Scan: from h and a step of each name to the next h and y."""
    op = Nodes()
    kind = ir.TensorType(form.dtype)
    given = [ir.Value(name=f"{form.name}.{name}", type=kind) for name in ("h", *names)]
    h, delta, v, *_ = given
    of = fixed | dict(zip(names, given[1:], strict=True))
    decay = op("Exp", op("Mul", delta, of["A"]))
    h = op("Add", op("Mul", h, decay), op("Mul", v, of["B"]))
    if "C" in names:  # (b, g, 1, n)
        y = op("MatMul", of["C"], h)
    else:
        y = op.summed(op("Mul", h, of["C"]), -2, keep=True)
    for i, node in enumerate(op.made):  # other names might be some outside, too
        node.outputs[0].name = f"{form.name}.{i}"
    h.type = y.type = kind
    return ir.Graph(given, [h, y], nodes=op.made, name=form.name)


def by_attention(op, form, v, delta, A, B, C, state):
    """A LinearAttention: each channel is a head, with a key of n numbers and a value of one.

    Decay, keys and queries are arrays (b, l, d n).
    """
    d, n, g, constant, reverse = form[:5]

    def in_time(x):
        return op.reversed(x, 1) if reverse else x

    def of_heads(name, x):
        if name in constant:
            return op("Expand", op.shaped(x, 1, 1, d * n), op("Shape", decay))
        x = op.shaped(in_time(x), 0, 0, g, 1, n)
        return op.shaped(op("Expand", x, op.constant([1, 1, 1, d // g, 1])), 0, 0, d * n)

    decay = op.shaped(op("Mul", op.spread(in_time(delta), 3), A), 0, 0, d * n)
    y, last = op(
        "LinearAttention",
        of_heads("C", C),
        of_heads("B", B),
        in_time(v),
        None if state is None else op.spread(state, 3),
        decay,
        count=2,
        update_rule="gated",
        q_num_heads=d,
        kv_num_heads=d,
        scale=1.0,
    )
    return in_time(y), op("Squeeze", last, op.constant([3]))
