"""Single numbers in memory that are moved and added up, in loops that LLVM can vectorise.

An element is a marker of which only the type counts, as in formats.py. Its address is a base and an
offset in bytes: with an address computed for each number, as `peek` of simd.py has it, LLVM would
not see that neighbours in a loop are neighbours in memory.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import simd
from .formats import emit_narrow, emit_widen
from .vector_math import emit_transpose

_I64 = ir.IntType(64)


def _pointer(context, builder, element, base, offset):
    start = builder.inttoptr(base, ir.IntType(8).as_pointer())
    stored = context.get_value_type(element)
    return builder.bitcast(builder.gep(start, [offset]), stored.as_pointer())


@intrinsic
def get(typingctx, total, element, base, offset):
    """The number of format `element` at base + offset, as one of type `total`."""

    def codegen(context, builder, sig, args):
        value = builder.load(_pointer(context, builder, element, *args[2:]), align=1)
        return value if total == element else emit_widen(builder, value, element, total)

    return total(total, element, types.int64, types.int64), codegen


@intrinsic
def put(typingctx, element, base, offset, value):
    """Write one number in the format `element`: a float into 16 bits is rounded."""

    def codegen(context, builder, sig, args):
        pointer = _pointer(context, builder, element, *args[1:3])
        if isinstance(value, types.Float) and isinstance(element, types.Integer):
            stored = emit_narrow(builder, args[3], element, value)
        else:
            stored = context.cast(builder, args[3], value, element)
        builder.store(stored, pointer, align=1)
        return context.get_dummy_value()

    return types.void(element, types.int64, types.int64, value), codegen


@intrinsic
def tile_side(typingctx, element):
    """Rows and columns of a tile of `turn_tile`, a compile-time constant."""

    def codegen(context, builder, sig, args):
        return ir.Constant(_I64, side_of(element))

    return types.int64(element), codegen


def side_of(element):
    """A row fills a vector register, unless that takes more than 16 numbers."""
    return max(4, min(16, simd.BITS // element.bitwidth))


@intrinsic
def turn_tile(typingctx, element, source, source_step, target, target_step):
    """Transpose a tile between two byte addresses with the given byte steps of its rows."""

    def codegen(context, builder, sig, args):
        _, source, source_step, target, target_step = args
        side = side_of(element)
        vector, rows = ir.VectorType(ir.IntType(element.bitwidth), side), []
        for _ in range(side):
            rows.append(simd.emit_load(builder, vector, source))
            source = builder.add(source, source_step)
        for row in emit_transpose(builder, rows):
            simd.emit_store(builder, row, target)
            target = builder.add(target, target_step)
        return context.get_dummy_value()

    return types.void(element, *(types.int64,) * 4), codegen
