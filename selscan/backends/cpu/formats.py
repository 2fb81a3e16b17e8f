"""Formats of numbers in memory: float16, bfloat16, float32 and float64, one number or a vector.

Conversions round to nearest, ties to even, and keep NaN and infinity. From float64 to 16 bits they
go through a float32 rounded to odd, so that the result is rounded once (Boldo and Melquiond 2008).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inline
from .simd import FEATURES, IS_X86, Vector, emit_load, emit_store, lanes_of

# Codes of the formats, as kernels receive them.
FLOAT32, FLOAT64, FLOAT16, BFLOAT16 = range(4)
COMPLEX = 4  # added: pairs of numbers, the real part first
INT32, INT64 = 8, 9
CODES = {
    "float16": FLOAT16,
    "bfloat16": BFLOAT16,
    "float32": FLOAT32,
    "float64": FLOAT64,
    "complex64": COMPLEX + FLOAT32,
    "complex128": COMPLEX + FLOAT64,
    "int32": INT32,
    "int64": INT64,
}
# Markers, of which only the type counts: Numba has no types for the 16-bit formats.
F16, BF16, F32, F64 = np.int16(0), np.uint16(0), np.float32(0), np.float64(0)
_STORED = {
    types.int16: ir.IntType(16),
    types.uint16: ir.IntType(16),
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
}
HAS_HALF = not IS_X86 or "f16c" in FEATURES


def _like(value, element):
    """The type of `value` with another element type."""
    kind = value.type
    return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element


def _number(kind, value):
    """A constant, in every lane if `kind` is a vector."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [ir.Constant(kind.element, value)] * kind.count)
    return ir.Constant(kind, value)


class _Bits:
    """Integer operations with constants on one value, as bits or as float32."""

    def __init__(self, builder, value):
        self.builder = builder
        self.i32, self.f32 = _like(value, ir.IntType(32)), _like(value, ir.FloatType())
        self.i16, self.f16 = _like(value, ir.IntType(16)), _like(value, ir.HalfType())

    def __getattr__(self, operation):
        """An operation of the builder whose second operand is a constant."""
        emit = getattr(self.builder, operation)
        return lambda value, constant: emit(value, _number(value.type, constant))

    def above(self, value, limit):
        return self.builder.icmp_unsigned(">", value, _number(self.i32, limit))


def _widen_bfloat16(builder, value):
    bits = _Bits(builder, value)
    return builder.bitcast(bits.shl(builder.zext(value, bits.i32), 16), bits.f32)


def _narrow_bfloat16(builder, value):
    bits = _Bits(builder, value)
    x = builder.bitcast(value, bits.i32)
    high = bits.lshr(x, 16)
    rounded = bits.lshr(bits.add(builder.add(x, bits.and_(high, 1)), 0x7FFF), 16)
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, bits.or_(high, 0x40), rounded), bits.i16)


def _widen_float16(builder, value):
    bits = _Bits(builder, value)
    if HAS_HALF:
        return builder.fpext(builder.bitcast(value, bits.f16), bits.f32)
    x = builder.zext(value, bits.i32)
    size = bits.shl(bits.and_(x, 0x7FFF), 13)
    # The exponent is 112 too small; subnormal numbers are right as well.
    scaled = builder.bitcast(bits.fmul(builder.bitcast(size, bits.f32), 2.0**112), bits.i32)
    special = bits.above(size, 0x0F7FFFFF)
    scaled = builder.select(special, bits.or_(size, 0x7F800000), scaled)
    return builder.bitcast(builder.or_(scaled, bits.shl(bits.and_(x, 0x8000), 16)), bits.f32)


def _narrow_float16(builder, value):
    bits = _Bits(builder, value)
    if HAS_HALF:
        return builder.bitcast(builder.fptrunc(value, bits.f16), bits.i16)
    x = builder.bitcast(value, bits.i32)
    size = bits.and_(x, 0x7FFFFFFF)
    # Below 2**-14: adding 1/2 leaves the last bit of float16 in the last bit of float32.
    tiny = bits.fadd(builder.bitcast(size, bits.f32), 0.5)
    tiny = bits.sub(builder.bitcast(tiny, bits.i32), 0x3F000000)
    odd = bits.and_(bits.lshr(size, 13), 1)
    rounded = bits.lshr(bits.sub(builder.add(size, odd), 0x38000000 - 0xFFF), 13)
    rounded = builder.select(bits.above(size, 0x387FFFFF), rounded, tiny)
    rounded = builder.select(bits.above(size, 0x477FEFFF), _number(bits.i32, 0x7C00), rounded)
    rounded = builder.select(bits.above(size, 0x7F800000), _number(bits.i32, 0x7E00), rounded)
    return builder.trunc(builder.or_(rounded, bits.and_(bits.lshr(x, 16), 0x8000)), bits.i16)


def _narrow_to_odd(builder, value):
    """float64 to float32; where that is not exact, the neighbour whose last bit is 1."""
    bits = _Bits(builder, value)
    nearest = builder.fptrunc(value, bits.f32)
    back = builder.fpext(nearest, value.type)
    size, exact_size = (_absolute(builder, x) for x in (back, value))
    # Toward zero first; a last bit of 0 then becomes 1.
    away = builder.zext(builder.fcmp_ordered(">", size, exact_size), bits.i32)
    inexact = builder.zext(builder.fcmp_ordered("!=", back, value), bits.i32)
    odd = builder.or_(builder.sub(builder.bitcast(nearest, bits.i32), away), inexact)
    return builder.bitcast(odd, bits.f32)


def _absolute(builder, value):
    kind = _like(value, ir.IntType(64))
    bits = builder.and_(builder.bitcast(value, kind), _number(kind, 2**63 - 1))
    return builder.bitcast(bits, value.type)


def emit_widen(builder, value, element, real):
    """A stored number or vector as the type of the arithmetic."""
    if element == types.int16:
        value = _widen_float16(builder, value)
    elif element == types.uint16:
        value = _widen_bfloat16(builder, value)
    if real == types.float64 and element != types.float64:
        return builder.fpext(value, _like(value, ir.DoubleType()))
    if real == types.float32 and element == types.float64:
        return builder.fptrunc(value, _like(value, ir.FloatType()))
    return value


def emit_narrow(builder, value, element, real):
    """The inverse of `emit_widen`."""
    if element in (types.int16, types.uint16):
        value = _narrow_to_odd(builder, value) if real == types.float64 else value
        narrow = _narrow_float16 if element == types.int16 else _narrow_bfloat16
        return narrow(builder, value)
    return emit_widen(builder, value, real, element)


@intrinsic
def peek_as(typingctx, real, element, address):
    """The number of format `element` at a byte address."""

    def codegen(context, builder, sig, args):
        pointer = builder.inttoptr(args[2], _STORED[element].as_pointer())
        return emit_widen(builder, builder.load(pointer, align=1), element, real)

    return real(real, element, types.int64), codegen


@intrinsic
def poke_as(typingctx, element, address, value):
    """Write one number at a byte address, in the format `element`."""

    def codegen(context, builder, sig, args):
        stored = emit_narrow(builder, args[2], element, value)
        builder.store(stored, builder.inttoptr(args[1], stored.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(element, types.int64, value), codegen


@intrinsic
def load_as(typingctx, real, element, address):
    """w neighbours of format `element` at a byte address."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        stored = ir.VectorType(_STORED[element], lanes_of(real))
        return emit_widen(builder, emit_load(builder, stored, args[2]), element, real)

    return vector(real, element, types.int64), codegen


@intrinsic
def store_as(typingctx, element, address, value):
    """Write w neighbours at a byte address, in the format `element`."""

    def codegen(context, builder, sig, args):
        emit_store(builder, emit_narrow(builder, args[2], element, value.element), args[1])
        return context.get_dummy_value()

    return types.void(element, types.int64, value), codegen


@intrinsic
def block(typingctx, real):
    """The address of w * w numbers on the stack of the function that it is called in."""

    def codegen(context, builder, sig, args):
        size = ir.ArrayType(_STORED[real], lanes_of(real) ** 2)
        return builder.ptrtoint(cgutils.alloca_once(builder, size), ir.IntType(64))

    return types.int64(real), codegen


@intrinsic
def _integer(typingctx, element, address):
    """The integer of the type of `element` at a byte address, as int64."""

    def codegen(context, builder, sig, args):
        stored = ir.IntType(element.bitwidth)
        pointer = builder.inttoptr(args[1], stored.as_pointer())
        return builder.sext(builder.load(pointer, align=1), ir.IntType(64))

    return types.int64(element, types.int64), codegen


@inline
def read_integer(code, address):
    """One int32 or int64."""
    if code == INT32:
        return _integer(np.int32(0), address)
    return _integer(np.int64(0), address)


@inline
def size_of(code):
    """Bytes of a number; of a part, for complex ones."""
    part = code & 3
    return np.int64(8 if part == FLOAT64 else 4 if part == FLOAT32 else 2)


@inline
def read(real, code, address):
    """One number of any format."""
    part = code & 3
    if part == FLOAT32:
        return peek_as(real, F32, address)
    if part == FLOAT64:
        return peek_as(real, F64, address)
    if part == FLOAT16:
        return peek_as(real, F16, address)
    return peek_as(real, BF16, address)


@inline
def write(code, address, value):
    part = code & 3
    if part == FLOAT32:
        poke_as(F32, address, value)
    elif part == FLOAT64:
        poke_as(F64, address, value)
    elif part == FLOAT16:
        poke_as(F16, address, value)
    else:
        poke_as(BF16, address, value)
