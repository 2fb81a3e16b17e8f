"""2**x on SIMD vectors, and which x need no care.

A polynomial without tables or branches. Its coefficients interpolate the function at Chebyshev
nodes of the reduced range (computed with 60 digits), with an error below a tenth of the rounding
error of the type. NaN and infinity come out as IEEE has them. What that takes where x is large is
left out where a loop over many steps knows that no x is: `exp2_inside` has the same bits there.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import simd
from .jit import helper
from .simd import Vector, constant, emit_call, emit_fma, itemsize, load, splat, width

# 2**f = 1 + f P(f) for f in [-1/2, 1/2], highest power first.
_EXP2 = {
    types.float32: (
        1.54531629451206902e-4,
        1.33908633646712344e-3,
        9.61808255727785149e-3,
        5.55035711421907782e-2,
        2.40226507605681269e-1,
        6.93147188026228781e-1,
    ),
    types.float64: (
        4.45496059818651839e-10,
        7.0725859492692237e-9,
        1.01780624458457735e-7,
        1.32154425879216897e-6,
        1.52527338298361184e-5,
        1.54035304417360502e-4,
        1.33335581464169353e-3,
        9.61812910760688853e-3,
        5.55041086648215943e-2,
        2.40226506959100982e-1,
        6.93147180559945309e-1,
    ),
}
# Adding it rounds to an integer, which then stands in the low bits.
_ROUND = {types.float32: 1.5 * 2**23, types.float64: 1.5 * 2**52}
_MANTISSA_BITS = {types.float32: 23, types.float64: 52}
_MIN_EXPONENT = {types.float32: -127.0, types.float64: -1023.0}
_INSIDE = {types.float32: 126.0, types.float64: 1022.0}  # |x| up to there: 2**x is normal


def horner(builder, x, coefficients):
    value = constant(x.type, coefficients[0])
    for c in coefficients[1:]:
        value = emit_fma(builder, value, x, constant(x.type, c))
    return value


def _emit_exp2_polynomial(builder, f, element):
    inner = horner(builder, f, _EXP2[element])
    return emit_fma(builder, inner, f, constant(f.type, 1.0))


def _emit_exp2_scalef(builder, x, element):
    """AVX-512: one instruction scales by 2**n with all of IEEE's special cases."""
    n = emit_call(builder, "llvm.rint", x)
    p = _emit_exp2_polynomial(builder, builder.fsub(x, n), element)
    kind = "ps" if element == types.float32 else "pd"
    mask_type = ir.IntType(x.type.count)
    argument_types = [x.type, x.type, x.type, mask_type, ir.IntType(32)]
    function_type = ir.FunctionType(x.type, argument_types)
    name = f"llvm.x86.avx512.mask.scalef.{kind}.512"
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    all_lanes, current_rounding = ir.Constant(mask_type, -1), ir.Constant(ir.IntType(32), 4)
    return builder.call(function, [p, n, constant(x.type, 0.0), all_lanes, current_rounding])


def _emit_exp2_bits(builder, x, element):
    """Any CPU: 2**n is written into the exponent bits; results below the normal range are 0."""
    high = constant(x.type, 1.0 - _MIN_EXPONENT[element])
    x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
    return _emit_exp2_of_negative(builder, x, element)


def _emit_exp2_of_negative(builder, x, element):
    """_emit_exp2_bits where x is no more than 0."""
    least = _MIN_EXPONENT[element]
    low = constant(x.type, least)
    x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
    p, n = _emit_exp2_parts(builder, x, element)
    scale = _emit_as_exponent(builder, builder.add(n, constant(n.type, -int(least))), element)
    return builder.fmul(p, builder.bitcast(scale, x.type))


def _emit_exp2_inside(builder, x, element):
    """_emit_exp2_bits where |x| <= _INSIDE: n is added to the exponent of the polynomial."""
    p, n = _emit_exp2_parts(builder, x, element)
    more = _emit_as_exponent(builder, n, element)
    return builder.bitcast(builder.add(builder.bitcast(p, n.type), more), x.type)


def _emit_exp2_parts(builder, x, element):
    """2**(x - n), and n in the low bits."""
    shifted = builder.fadd(x, constant(x.type, _ROUND[element]))
    n = builder.fsub(shifted, constant(x.type, _ROUND[element]))
    p = _emit_exp2_polynomial(builder, builder.fsub(x, n), element)
    return p, builder.bitcast(shifted, Vector(element).llvm_bits)


def _emit_as_exponent(builder, n, element):
    return builder.shl(n, constant(n.type, _MANTISSA_BITS[element]))


_SCALES = simd.HAS_SCALEF and simd.BITS == 512
_emit_exp2 = _emit_exp2_scalef if _SCALES else _emit_exp2_bits


@intrinsic
def exp2(typingctx, x):
    """2**x; without AVX-512 flushed to 0 below 2**-126.5 and inf from 2**127.5 (float32)."""

    def codegen(context, builder, sig, args):
        return _emit_exp2(builder, args[0], x.element)

    return x(x), codegen


@intrinsic
def exp2_of_negative(typingctx, x):
    """The bits of exp2 where x is no more than 0."""
    emit = _emit_exp2_scalef if _SCALES else _emit_exp2_of_negative

    def codegen(context, builder, sig, args):
        return emit(builder, args[0], x.element)

    return x(x), codegen


@intrinsic
def exp2_inside(typingctx, x):
    """The bits of exp2 for what `all_inside` allows, in less time."""
    emit = _emit_exp2_scalef if _SCALES else _emit_exp2_inside

    def codegen(context, builder, sig, args):
        return emit(builder, args[0], x.element)

    return x(x), codegen


@intrinsic
def all_inside(typingctx, x):
    """Whether exp2_inside is right for all lanes: no size too large, and no NaN."""

    def codegen(context, builder, sig, args):
        if _SCALES:
            return ir.Constant(ir.IntType(1), 1)
        limit = constant(args[0].type, _INSIDE[x.element])
        size = emit_call(builder, "llvm.fabs", args[0])
        lanes = ir.IntType(x.width)
        inside = builder.bitcast(builder.fcmp_ordered("<=", size, limit), lanes)
        return builder.icmp_unsigned("==", inside, ir.Constant(lanes, -1))

    return types.boolean(x), codegen


@intrinsic
def larger_size(typingctx, x, size):
    """max(|x|, size), where `size` has no sign; NaN counts as larger than infinity."""

    def codegen(context, builder, sig, args):
        bits = x.llvm_bits
        sign = constant(bits, (1 << x.element.bitwidth - 1) - 1)
        new, old = builder.and_(builder.bitcast(args[0], bits), sign), args[1]
        old = builder.bitcast(old, bits)
        larger = builder.select(builder.icmp_signed(">", new, old), new, old)
        return builder.bitcast(larger, args[1].type)

    return x(x, x), codegen


@helper
def largest(real, rows, count):
    """The largest size of each lane in some vectors that lie one after the other."""
    found = splat(real, 0.0)
    for p in range(rows, rows + count * width(real) * itemsize(real), width(real) * itemsize(real)):
        found = larger_size(load(real, p), found)
    return found
