"""Explicit SIMD vectors for Numba: a type of its own and the instructions that work on it.

A Numba type whose data model is an LLVM vector, ``<16 x float>`` say, makes a compiled function use
vector registers where the loop vectoriser would not. Kernels are generic over the element type:
the first argument of most functions, `real`, is a scalar that is never read; its *type* (float32 or
float64) chooses the vector.

Memory is addressed by plain integers (byte addresses), so that a kernel can walk arrays with any
strides. Nothing is checked: kernels keep their accesses inside the arrays.

The width is the widest that the CPU runs natively (512, 256 or 128 bits); LLVM legalises every
width on every CPU, so a wrong guess costs time, never correctness. The features are read from
Numba's own code generator: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES change both together.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

TRIPLE, _, _FEATURES = cpu_target.target_context.codegen().magic_tuple()
FEATURES = frozenset(f[1:] for f in _FEATURES.split(",") if f.startswith("+"))
IS_X86 = TRIPLE.startswith(("x86", "i686", "amd64"))
BITS = 512 if "avx512f" in FEATURES else 256 if "avx2" in FEATURES else 128
# Without the instruction, llvm.fma is a call of libm per element, fifty times slower than mul, add.
HAS_FMA = not IS_X86 or bool({"fma", "avx512f"} & FEATURES)
HAS_SCALEF = {"avx512f", "avx512dq"} <= FEATURES

_ELEMENT = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_I64 = ir.IntType(64)
_I32 = ir.IntType(32)


def lanes_of(element):
    """Number of lanes of a vector of Numba type `element`; at least 4, which LLVM may split."""
    return max(4, BITS // element.bitwidth)


class Vector(types.Type):
    """Numba type of a SIMD vector."""

    def __init__(self, element):
        self.element = element
        self.width = lanes_of(element)
        super().__init__(name=f"Vector({element}, {self.width})")

    @property
    def llvm(self):
        return ir.VectorType(_ELEMENT[self.element], self.width)

    @property
    def llvm_bits(self):
        """The integer vector of the same shape."""
        return ir.VectorType(ir.IntType(self.element.bitwidth), self.width)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.llvm)


def constant(vector, value):
    """LLVM constant with `value` in every lane."""
    element = ir.Constant(vector.element, value)
    return ir.Constant(vector, [element] * vector.count)


def emit_call(builder, name, *args, result=None):
    """Call the overloaded LLVM intrinsic `name`, typed by its first argument."""
    vector = args[0].type
    function_type = ir.FunctionType(result or vector, [a.type for a in args])
    full_name = f"{name}.{_suffix(vector)}"
    function = cgutils.get_or_insert_function(builder.module, function_type, full_name)
    return builder.call(function, args)


def _suffix(vector):
    return f"v{vector.count}{'f32' if isinstance(vector.element, ir.FloatType) else 'f64'}"


def emit_splat(builder, vector, scalar):
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(single, undefined, _mask([0] * vector.count))


def emit_fma(builder, x, y, z):
    if HAS_FMA:
        return emit_call(builder, "llvm.fma", x, y, z)
    return builder.fadd(builder.fmul(x, y), z)


def emit_load(builder, vector, address):
    return builder.load(builder.inttoptr(address, vector.as_pointer()), align=1)


def emit_broadcast(builder, vector, address):
    pointer = builder.inttoptr(address, vector.element.as_pointer())
    return emit_splat(builder, vector, builder.load(pointer, align=1))


def emit_store(builder, value, address):
    return builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def _mask(indices):
    return ir.Constant(ir.VectorType(_I32, len(indices)), list(indices))


def shuffle(builder, x, y, indices):
    """Lanes of x (0 .. w-1) and y (w .. 2w-1) picked by constant indices."""
    return builder.shuffle_vector(x, y, _mask(indices))


def _first_lanes(builder, vector, count):
    """<w x i1> that is true in lanes below the i64 `count`."""
    numbers = ir.VectorType(_I64, vector.count)
    limit = emit_splat(builder, numbers, count)
    return builder.icmp_signed("<", ir.Constant(numbers, list(range(vector.count))), limit)


def emit_load_first(builder, vector, address, count):
    """The first `count` lanes from memory, zeros behind; memory behind is not touched."""
    mask = _first_lanes(builder, vector, count)
    pointer = builder.inttoptr(address, vector.as_pointer())
    unaligned = ir.Constant(_I32, 1)
    function_type = ir.FunctionType(vector, [pointer.type, _I32, mask.type, vector])
    name = f"llvm.masked.load.{_suffix(vector)}.p0"
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, [pointer, unaligned, mask, constant(vector, 0.0)])


def emit_store_first(builder, value, address, count):
    """Write the first `count` lanes."""
    vector = value.type
    mask = _first_lanes(builder, vector, count)
    pointer = builder.inttoptr(address, vector.as_pointer())
    unaligned = ir.Constant(_I32, 1)
    function_type = ir.FunctionType(ir.VoidType(), [vector, pointer.type, _I32, mask.type])
    name = f"llvm.masked.store.{_suffix(vector)}.p0"
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, [value, pointer, unaligned, mask])


def emit_prefetch(builder, address, nearness):
    """Ask for a cache line to read: 3 into the first level, 2 into the second."""
    pointer = builder.inttoptr(address, ir.IntType(8).as_pointer())
    function_type = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    to_read, near, data = (ir.Constant(_I32, i) for i in (0, nearness, 1))
    builder.call(function, [pointer, to_read, near, data])


def emit_keep_first(builder, value, count):
    """The first `count` lanes, zeros behind them whatever was there."""
    mask = _first_lanes(builder, value.type, count)
    return builder.select(mask, value, constant(value.type, 0.0))


def _as_i64(context, builder, numba_type, value):
    return context.cast(builder, value, numba_type, types.int64)


# Arithmetic: + - * / on vectors.


def _binary(operation, instruction):
    @type_callable(operation)
    def typing(context):
        def typer(x, y):
            if isinstance(x, Vector) and x == y:
                return x
            return None

        return typer

    @lower_builtin(operation, Vector, Vector)
    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args)


_binary(operator.add, "fadd")
_binary(operator.sub, "fsub")
_binary(operator.mul, "fmul")
_binary(operator.truediv, "fdiv")


@type_callable(operator.neg)
def _neg_typing(context):
    return lambda x: x if isinstance(x, Vector) else None


@lower_builtin(operator.neg, Vector)
def _neg_lower(context, builder, sig, args):
    return builder.fneg(args[0])


@intrinsic
def fma(typingctx, x, y, z):
    """x * y + z, rounded once where the CPU can."""

    def codegen(context, builder, sig, args):
        return emit_fma(builder, *args)

    return x(x, x, x), codegen


# Constants of a type.


@intrinsic
def width(typingctx, real):
    """Number of lanes, a compile-time constant."""

    def codegen(context, builder, sig, args):
        return ir.Constant(_I64, lanes_of(real))

    return types.int64(real), codegen


@intrinsic
def itemsize(typingctx, real):
    """Bytes of one element, a compile-time constant."""

    def codegen(context, builder, sig, args):
        return ir.Constant(_I64, real.bitwidth // 8)

    return types.int64(real), codegen


@intrinsic
def splat(typingctx, real, value):
    """`value` in every lane."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        scalar = context.cast(builder, args[1], sig.args[1], real)
        return emit_splat(builder, vector.llvm, scalar)

    return vector(real, value), codegen


# Memory.


@intrinsic
def load(typingctx, real, address):
    """The vector at a byte address; only the alignment of one element is assumed."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[1], args[1])
        return emit_load(builder, vector.llvm, at)

    return vector(real, address), codegen


@intrinsic
def load_first(typingctx, real, address, count):
    """The first `count` lanes from memory, zeros behind them."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[1], args[1])
        n = _as_i64(context, builder, sig.args[2], args[2])
        return emit_load_first(builder, vector.llvm, at, n)

    return vector(real, address, count), codegen


@intrinsic
def broadcast(typingctx, real, address):
    """The element at a byte address in every lane."""
    vector = Vector(real)

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[1], args[1])
        return emit_broadcast(builder, vector.llvm, at)

    return vector(real, address), codegen


@intrinsic
def store(typingctx, address, value):
    """Write a vector at a byte address."""

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[0], args[0])
        emit_store(builder, args[1], at)
        return context.get_dummy_value()

    return types.void(address, value), codegen


@intrinsic
def store_first(typingctx, address, value, count):
    """Write the first `count` lanes."""

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[0], args[0])
        n = _as_i64(context, builder, sig.args[2], args[2])
        emit_store_first(builder, args[1], at, n)
        return context.get_dummy_value()

    return types.void(address, value, count), codegen


@intrinsic
def keep_first(typingctx, x, count):
    """The first `count` lanes, or all for None; zeros behind them whatever was there."""

    def codegen(context, builder, sig, args):
        if isinstance(sig.args[1], types.NoneType):
            return args[0]
        n = _as_i64(context, builder, sig.args[1], args[1])
        return emit_keep_first(builder, args[0], n)

    return x(x, count), codegen


@intrinsic
def peek(typingctx, element, address):
    """The scalar of type `element` at a byte address."""

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[1], args[1])
        return builder.load(builder.inttoptr(at, _ELEMENT[element].as_pointer()), align=1)

    return element(element, address), codegen


@intrinsic
def poke(typingctx, address, value):
    """Write one scalar at a byte address."""

    def codegen(context, builder, sig, args):
        at = _as_i64(context, builder, sig.args[0], args[0])
        builder.store(args[1], builder.inttoptr(at, args[1].type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(address, value), codegen


@intrinsic
def prefetch(typingctx, address):
    """Ask for the cache line at a byte address, into the second level; any address is allowed."""

    def codegen(context, builder, sig, args):
        emit_prefetch(builder, _as_i64(context, builder, sig.args[0], args[0]), 2)
        return context.get_dummy_value()

    return types.void(address), codegen


@intrinsic
def as_pointer(typingctx, address):
    """A byte address as a pointer to int64."""

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], _I64.as_pointer())

    return types.CPointer(types.int64)(address), codegen


@intrinsic
def call(typingctx, function, arguments):
    """Call the compiled entry point at the address `function` with a tuple of int64."""

    def codegen(context, builder, sig, args):
        values = cgutils.unpack_tuple(builder, args[1])
        function_type = ir.FunctionType(ir.IntType(8).as_pointer(), [_I64] * len(values))
        builder.call(builder.inttoptr(args[0], function_type.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, len(arguments))), codegen
