"""Softplus, sigmoid, sums across lanes and transposes of the SIMD vectors.

log1p is a polynomial like exp2 (exponential.py). NaN and infinity come out as IEEE has them.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import simd
from .exponential import exp2_of_negative, horner
from .jit import inline
from .simd import Vector, constant, emit_call, emit_fma, shuffle, splat

# log(1 + e) = s (2 + v P(v)), s = e / (2 + e), v = s**2, for e in [0, 1], highest power first.
_LOG1P = {
    types.float32: (0.280258283, 0.279988841, 0.400217133, 0.666664129),
    types.float64: (
        0.161649381694713386,
        0.0880031765086877347,
        0.120011551828577787,
        0.133141355508811629,
        0.153855705929122436,
        0.181817894173264479,
        0.222222227178017817,
        0.285714285671050609,
        0.400000000000145966,
        0.666666666666666586,
    ),
}

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453


@intrinsic
def absolute(typingctx, x):
    """|x|."""

    def codegen(context, builder, sig, args):
        return emit_call(builder, "llvm.fabs", args[0])

    return x(x), codegen


@intrinsic
def where_less(typingctx, x, y, value, other):
    """`value` where x < y, else `other` (also where x or y is NaN)."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return x(x, x, x, x), codegen


@intrinsic
def unless_zero(typingctx, x, value):
    """`value`, but zero where x is, whatever the value is there."""

    def codegen(context, builder, sig, args):
        zero = constant(args[0].type, 0.0)
        return builder.select(builder.fcmp_ordered("==", args[0], zero), zero, args[1])

    return x(x, x), codegen


@intrinsic
def _log1p_series(typingctx, s):
    """log(1 + e) from s = e / (2 + e), e in [0, 1]."""

    def codegen(context, builder, sig, args):
        vector = args[0].type
        v = builder.fmul(args[0], args[0])
        tail = horner(builder, v, _LOG1P[s.element])
        return builder.fmul(args[0], emit_fma(builder, v, tail, constant(vector, 2.0)))

    return s(s), codegen


@inline
def softplus(real, x):
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)); x itself above 20, as mamba has it."""
    zero = splat(real, 0.0)
    e = exp2_of_negative(absolute(x) * splat(real, -LOG2_E))
    value = where_less(x, zero, zero, x) + _log1p_series(e / (e + splat(real, 2.0)))
    return where_less(splat(real, 20.0), x, x, value)


@inline
def sigmoid(real, x):
    """1 / (1 + exp(-x)), from exp(-|x|), which cannot overflow."""
    one = splat(real, 1.0)
    e = exp2_of_negative(absolute(x) * splat(real, -LOG2_E))
    inverse = one / (one + e)
    return where_less(x, splat(real, 0.0), e * inverse, inverse)


@inline
def softplus_slope(real, x):
    """d softplus / dx: the sigmoid, and 1 above 20."""
    return where_less(splat(real, 20.0), x, splat(real, 1.0), sigmoid(real, x))


# Sums across lanes.


@intrinsic
def sum_lanes(typingctx, x):
    """The sum over the lanes of one vector, by halves."""

    def codegen(context, builder, sig, args):
        value, count = args[0], x.width
        while count > 1:
            count //= 2
            high = shuffle(builder, value, value, range(count, 2 * count))
            low = shuffle(builder, value, value, range(count))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return x.element(x), codegen


@intrinsic
def interleave_sums(typingctx, x, y, u, v):
    """One vector whose lane 4 i + k holds a part of the sum of the k-th of x, y, u, v."""

    def codegen(context, builder, sig, args):
        w = x.width

        def groups(pattern):
            return [
                4 * g + i if i < 4 else w + 4 * g + i - 4 for g in range(w // 4) for i in pattern
            ]

        def combine(a, b, first, second):
            left = shuffle(builder, a, b, groups(first))
            return builder.fadd(left, shuffle(builder, a, b, groups(second)))

        xy = combine(args[0], args[1], (0, 4, 1, 5), (2, 6, 3, 7))
        uv = combine(args[2], args[3], (0, 4, 1, 5), (2, 6, 3, 7))
        return combine(xy, uv, (0, 1, 4, 5), (2, 3, 6, 7))

    return x(x, x, x, x), codegen


@intrinsic
def store_interleaved(typingctx, address, x):
    """Finish `interleave_sums`: write its four sums at a byte address."""

    def codegen(context, builder, sig, args):
        value, count = args[1], x.width
        while count > 4:
            count //= 2
            high = shuffle(builder, value, value, range(count, 2 * count))
            low = shuffle(builder, value, value, range(count))
            value = builder.fadd(low, high)
        simd.emit_store(builder, value, context.cast(builder, args[0], sig.args[0], types.int64))
        return context.get_dummy_value()

    return types.void(address, x), codegen


@intrinsic
def add_pair(typingctx, address, x, y):
    """Add the sums over the lanes of x and of y to two neighbours in memory."""

    def codegen(context, builder, sig, args):
        (a, b), w = args[1:], x.width
        # Lanes 2 i of x and 2 i of y, and 2 i + 1 of both, side by side.
        even = [i + k * w for i in range(0, w, 2) for k in (0, 1)]
        value = builder.fadd(
            shuffle(builder, a, b, even), shuffle(builder, a, b, [i + 1 for i in even])
        )
        count = w
        while count > 2:
            count //= 2
            high = shuffle(builder, value, value, range(count, 2 * count))
            low = shuffle(builder, value, value, range(count))
            value = builder.fadd(low, high)
        at = context.cast(builder, args[0], sig.args[0], types.int64)
        total = builder.fadd(simd.emit_load(builder, value.type, at), value)
        simd.emit_store(builder, total, at)
        return context.get_dummy_value()

    return types.void(address, x, y), codegen


# Transpose.


def emit_transpose(builder, rows):
    """Transpose in registers, in rounds of exchanging off-diagonal blocks: a square of rows as long
    as there are rows, or as many such squares as lie side by side."""
    block, lanes = 1, range(rows[0].type.count)
    w = len(lanes)
    while block < len(rows):
        upper = [i if not i & block else w + (i ^ block) for i in lanes]
        lower = [i ^ block if not i & block else w + i for i in lanes]
        result = list(rows)
        for i in range(len(rows)):
            if not i & block:
                result[i] = shuffle(builder, rows[i], rows[i + block], upper)
                result[i + block] = shuffle(builder, rows[i], rows[i + block], lower)
        rows, block = result, 2 * block
    return rows


@intrinsic
def transpose(typingctx, real, source, source_step, target, target_step):
    """Transpose a w x w block between two byte addresses with the given byte steps of its rows."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        src, src_step, dst, dst_step = (
            context.cast(builder, a, t, types.int64)
            for a, t in zip(args[1:], sig.args[1:], strict=True)
        )
        rows = []
        for _ in range(vector.width):
            rows.append(simd.emit_load(builder, vector.llvm, src))
            src = builder.add(src, src_step)
        for row in emit_transpose(builder, rows):
            simd.emit_store(builder, row, dst)
            dst = builder.add(dst, dst_step)
        return context.get_dummy_value()

    return types.void(real, source, source_step, target, target_step), codegen


@intrinsic
def transpose_part(typingctx, real, source, source_step, rows, columns, target, target_step, full):
    """Transpose `rows` x `columns` (at most w each).

    With `full` nonzero all `columns` target rows are written w wide, zeros behind `rows`; else
    only their first `rows` lanes.
    """
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        src, src_step, n_rows, n_columns, dst, dst_step, pad = (
            context.cast(builder, a, t, types.int64)
            for a, t in zip(args[1:], sig.args[1:], strict=True)
        )
        zero = ir.Constant(ir.IntType(64), 0)
        lanes = []
        for i in range(vector.width):
            inside = builder.icmp_signed("<", ir.Constant(ir.IntType(64), i), n_rows)
            count = builder.select(inside, n_columns, zero)
            lanes.append(simd.emit_load_first(builder, vector.llvm, src, count))
            src = builder.add(src, src_step)
        all_lanes = ir.Constant(ir.IntType(64), vector.width)
        written = builder.select(builder.icmp_signed("!=", pad, zero), all_lanes, n_rows)
        for i, row in enumerate(emit_transpose(builder, lanes)):
            inside = builder.icmp_signed("<", ir.Constant(ir.IntType(64), i), n_columns)
            count = builder.select(inside, written, zero)
            simd.emit_store_first(builder, row, dst, count)
            dst = builder.add(dst, dst_step)
        return context.get_dummy_value()

    arguments = (real, source, source_step, rows, columns, target, target_step, full)
    return types.void(*arguments), codegen
