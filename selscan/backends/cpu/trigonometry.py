"""Cosine and sine of SIMD vectors, for the exponential of complex numbers.

The angle is taken to quarter turns (1 = pi / 2) in twice the precision, so that the error is
absolute, about 2**-24 (2**-53), up to 2**20 (2**49) radians. Without fma the rounding of the
product counts as well, which is at most that of the angle itself. Above 2**22 (2**51) quarter
turns, where the next angle is a third of a quarter further, results are just some numbers from -1
to 1. The polynomials interpolate at Chebyshev nodes, as that of exponential.py; infinity gives
NaN.
"""

from numba import types
from numba.extending import intrinsic

from .exponential import horner
from .simd import Vector, constant, emit_fma

# sin(pi/2 g) = g P(g**2), cos(pi/2 g) = 1 + g**2 Q(g**2) for g in [-1/2, 1/2], highest power first.
_SIN = {
    types.float32: (
        -0.00460214921281417593,
        0.0796802176477554134,
        -0.645963477664811795,
        1.57079632195323669,
    ),
    types.float64: (
        -6.62762493899247236e-10,
        5.69192785048963342e-8,
        -3.5988427171448578e-6,
        0.0001604411847266723,
        -0.00468175413531482707,
        0.0796926262461669245,
        -0.645964097506246252,
        1.57079632679489662,
    ),
}
_COS = {
    types.float32: (
        0.000906739898403266509,
        -0.0208615283421999686,
        0.253669410357108499,
        -1.23370054937421936,
    ),
    types.float64: (
        -6.32939634496742351e-9,
        4.71067840550522711e-7,
        -0.0000252020390280291761,
        0.000919260274546844619,
        -0.0208634807633407725,
        0.253669507901047823,
        -1.23370055013616983,
    ),
}
# 2 / pi, and what its rounding left.
_PER_QUARTER = {
    types.float32: (0.6366197466850281, 2.568255326690366e-08),
    types.float64: (0.6366197723675814, -3.935735335036497e-17),
}
# Adding it rounds to an integer, whose last two bits then are the last two of the number.
_ROUND = {types.float32: 1.5 * 2**23, types.float64: 1.5 * 2**52}


@intrinsic
def cos_sin(typingctx, angle):
    """(cos, sin) of an angle in radians."""
    element = angle.element
    bits = Vector(element).llvm_bits

    def signed(builder, value, odd_half):
        """`value`, negative where bit 1 of `odd_half` is set."""
        bit = builder.and_(odd_half, constant(bits, 2))
        sign = builder.shl(bit, constant(bits, element.bitwidth - 2))
        return builder.bitcast(builder.xor(builder.bitcast(value, bits), sign), value.type)

    def codegen(context, builder, sig, args):
        x = args[0]
        kind = x.type
        high, low = (constant(kind, value) for value in _PER_QUARTER[element])
        shifted = builder.fadd(builder.fmul(x, high), constant(kind, _ROUND[element]))
        nearest = builder.fsub(shifted, constant(kind, _ROUND[element]))
        g = emit_fma(builder, x, low, emit_fma(builder, x, high, builder.fneg(nearest)))
        # Where `nearest` is far off, the polynomials must not run away.
        one, minus_one = constant(kind, 1.0), constant(kind, -1.0)
        g = builder.select(builder.fcmp_ordered(">", g, one), one, g)
        g = builder.select(builder.fcmp_ordered("<", g, minus_one), minus_one, g)
        v = builder.fmul(g, g)
        sine = builder.fmul(g, horner(builder, v, _SIN[element]))
        cosine = emit_fma(builder, v, horner(builder, v, _COS[element]), one)
        quadrant = builder.bitcast(shifted, bits)
        odd = builder.icmp_unsigned(
            "!=", builder.and_(quadrant, constant(bits, 1)), constant(bits, 0)
        )
        cos_turned = builder.select(odd, sine, cosine)
        sin_turned = builder.select(odd, cosine, sine)
        after = builder.add(quadrant, constant(bits, 1))
        results = signed(builder, cos_turned, after), signed(builder, sin_turned, quadrant)
        return context.make_tuple(builder, sig.return_type, results)

    return types.UniTuple(angle, 2)(angle), codegen
