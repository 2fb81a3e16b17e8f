"""What threads tell each other: atomic int64 in memory, all in one order that all threads see."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd import IS_X86, TRIPLE

_I64 = ir.IntType(64)
_ORDER = "seq_cst"


def _pointer(builder, address):
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic
def read(typingctx, address):
    """The number at a byte address, a multiple of 8."""

    def codegen(context, builder, sig, args):
        return builder.load_atomic(_pointer(builder, args[0]), _ORDER, 8)

    return types.int64(types.int64), codegen


@intrinsic
def fetch_add(typingctx, address, value):
    """Add to a number; what it was before."""

    def codegen(context, builder, sig, args):
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], _ORDER)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def exchange(typingctx, address, value):
    """Write a number; what was there before."""

    def codegen(context, builder, sig, args):
        return builder.atomic_rmw("xchg", _pointer(builder, args[0]), args[1], _ORDER)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def replace(typingctx, address, old, new):
    """Write `new` if `old` is there; whether it was."""

    def codegen(context, builder, sig, args):
        pointer = _pointer(builder, args[0])
        pair = builder.cmpxchg(pointer, args[1], args[2], _ORDER, _ORDER)
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell the CPU that a loop waits, where there is an instruction for it."""

    def codegen(context, builder, sig, args):
        if IS_X86:
            name, numbers = "llvm.x86.sse2.pause", []
        elif TRIPLE.startswith(("aarch64", "arm64")):
            name, numbers = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]  # yield
        else:
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [number.type for number in numbers])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), numbers)
        return context.get_dummy_value()

    return types.void(), codegen
