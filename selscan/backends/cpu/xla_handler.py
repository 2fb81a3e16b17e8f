"""The function that XLA calls: from a call frame to a kernel, with no Python in between.

A handler of XLA's typed foreign functions is a C function that gets a call frame: operands,
results, and here one attribute, an int64 array ("the block", below). It fills in the argument array
of a kernel, in the scratch memory that is the last result, and runs the kernel on XLA's own thread,
which has no GIL and does not ask for it.

A program may be written to a file and run elsewhere, so a block carries no address: kernels are
numbers, by which a table (xla.py) has their addresses.

Offsets are words of 8 bytes in the structs of xla/ffi/api/c_api.h (jaxlib/include), version 0.3.
Every struct begins with its size, which a later version may only raise.
"""

import ctypes

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import layout as at
from .atomic import exchange, replace
from .jit import helper, inline, kernel
from .simd import call

# The block: these, then the slots of operands and results in the argument array, then that array.
(
    STAMP,
    KERNEL,  # numbers of kernels; of a tile 0 where there is none
    LOAD_TILE,
    STORE_TILE,
    LOAD_ROWS,
    STORE_ROWS,
    WORKERS,
    SCRATCH_SIZE,  # bytes
    SCRATCH_SLOT,
    OWN_SLOT,  # where a kernel looks for the address of its argument array; -1: it does not
    WRONG_SLOT,  # where a check leaves whether something is wrong; -1: it is none
    OPERANDS,
    RESULTS,  # without the scratch memory
    SIZE,  # of the argument array
    HEAD,
) = range(15)
LOCKS = 64  # calls that may run on several threads at once; more run on one each
# The table: these, then the addresses of kernels by number.
(
    DO_TASKS,
    POOL,  # address and number of the threads that wait for jobs (threads.py)
    POOL_SIZE,
    OWN_STAMP,
    BAD_FRAME,
    BAD_CALL,
    OTHER_STAMP,
    NOT_LINKED,
    WRONG_ORDERS,
    TAKEN,  # for each lock whether a call has it
) = range(10)
LOCK = TAKEN + LOCKS  # and the locks
FIRST = LOCK + LOCKS
SYMBOL = "selscan_xla_table"

_FIRST_MINOR, _MINOR = 1, 3  # versions 0.1 to 0.3 are the same in all that is used here
# Call frame.
_SIZE, _EXTENSION, _API = 0, 1, 2
_ARGS, _RETS, _ATTRS, _FRAME_WORDS = 5, 10, 15, 21
# Each of its three parts, whose values are behind the names if it has those.
_COUNT, _KINDS, _VALUES, _NAMED = 2, 3, 4, 5
# Buffer; array, whose dtype is 32 bits; extension; metadata; the API's functions.
_DATA, _DIMS, _BUFFER_WORDS = 3, 5, 6
_DTYPE, _LENGTH, _ITEMS = 0, 1, 2
_KIND, _METADATA = 1, 3
_VERSION = 4  # the last word of the version in the metadata (from word 1) and the API (from 2)
_ERROR_CREATE = 6
# Values of enumerations.
_IS_METADATA, _ARRAY, _S64, _FAILED_PRECONDITION = 1, 1, 5, 9

_I64 = ir.IntType(64)


@intrinsic
def word(typingctx, address, i):
    """The i-th int64 from a byte address on."""

    def codegen(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        return builder.load(builder.gep(pointer, [args[1]]))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def set_word(typingctx, address, i, value):
    """Write it."""

    def codegen(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        builder.store(args[2], builder.gep(pointer, [args[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def table(typingctx):
    """The address of the table; the linker knows it by its name, as processes differ in it."""

    def codegen(context, builder, sig, args):
        found = builder.module.globals.get(SYMBOL)
        if found is None:
            found = ir.GlobalVariable(builder.module, _I64, SYMBOL)
        return builder.ptrtoint(found, _I64)

    return types.int64(), codegen


@intrinsic
def make_error(typingctx, create, message, code):
    """The XLA_FFI_Error of a message, by the function at the address `create`."""

    def codegen(context, builder, sig, args):
        words = 4
        arguments = cgutils.alloca_once(builder, ir.ArrayType(_I64, words))
        first = builder.bitcast(arguments, _I64.as_pointer())
        values = ir.Constant(_I64, 8 * words), ir.Constant(_I64, 0), args[1], args[2]
        for i, value in enumerate(values):
            builder.store(value, builder.gep(first, [ir.Constant(_I64, i)]))
        function = ir.FunctionType(_I64, [_I64.as_pointer()])
        return builder.call(builder.inttoptr(args[0], function.as_pointer()), [first])

    return types.int64(types.int64, types.int64, types.int64), codegen


@helper
def complain(frame, message):
    """An error, which XLA raises in Python."""
    create = word(word(frame, _API), _ERROR_CREATE)
    return make_error(create, word(table(), message), _FAILED_PRECONDITION)


@inline
def version_of(frame):
    """The version of the caller: major and minor in the lower and the upper 32 bits."""
    return word(word(frame, _API), _VERSION)


@inline
def answer(frame):
    """Tell the version of this handler where it is asked for that: the caller's, up to 0.3."""
    extension = word(frame, _EXTENSION)
    if extension == 0 or (word(extension, _KIND) & 0xFFFFFFFF) != _IS_METADATA:
        return False
    minor = _FIRST_MINOR  # callers of version 0.1 do not tell theirs here
    if word(frame, _API) != 0:
        minor = min(version_of(frame) >> 32, _MINOR)
    set_word(word(extension, _METADATA), _VERSION - 1, minor << 32)
    return True


@inline
def is_known(frame):
    """Whether the frame and its parts are what this handler knows, or longer; major is 0."""
    return (
        word(frame, _SIZE) >= 8 * _FRAME_WORDS
        and (version_of(frame) & 0xFFFFFFFF) == 0
        and word(frame, _ARGS) >= 40
        and word(frame, _RETS) >= 40
        and word(frame, _ATTRS) >= 48
        and word(frame, _ATTRS + _COUNT) == 1
        and (word(word(frame, _ATTRS + _KINDS), 0) & 0xFFFFFFFF) == _ARRAY
    )


@inline
def block_of(frame):
    """The address of the block; 0 if it is none, or of other operands than those of the frame."""
    attribute = word(word(frame, _ATTRS + _NAMED), 0)
    block, length = word(attribute, _ITEMS), word(attribute, _LENGTH)
    if (word(attribute, _DTYPE) & 0xFFFFFFFF) != _S64 or length < HEAD:
        return 0
    operands, results, size = word(block, OPERANDS), word(block, RESULTS), word(block, SIZE)
    if (
        length != HEAD + operands + results + size
        or word(frame, _ARGS + _COUNT) != operands
        or word(frame, _RETS + _COUNT) != results + 1
    ):
        return 0
    scratch = word(word(frame, _RETS + _VALUES), results)
    if word(scratch, _SIZE) < 8 * _BUFFER_WORDS:
        return 0
    return block if word(word(scratch, _DIMS), 0) == word(block, SCRATCH_SIZE) else 0


@inline
def aligned(address):
    return (address + 63) & ~63


@inline
def fill(frame, block):
    """Write the argument array and return its address."""
    operands, results, size = word(block, OPERANDS), word(block, RESULTS), word(block, SIZE)
    given, made = word(frame, _ARGS + _VALUES), word(frame, _RETS + _VALUES)
    slots = block + 8 * HEAD
    template = slots + 8 * (operands + results)
    args = aligned(word(word(made, results), _DATA))
    for i in range(size):
        set_word(args, i, word(template, i))
    for i in range(operands):
        set_word(args, word(slots, i), word(word(given, i), _DATA))
    for i in range(results):
        set_word(args, word(slots, operands + i), word(word(made, i), _DATA))
    set_word(args, word(block, SCRATCH_SLOT), aligned(args + 8 * size))
    if word(block, OWN_SLOT) >= 0:
        set_word(args, word(block, OWN_SLOT), args)
    return args


@inline
def fill_tiles(block, args):
    """Enter the addresses of tiles; False if one is not linked."""
    linked = True
    for i in range(4):
        number = word(block, LOAD_TILE + i)
        if number != 0:
            tile = word(table(), number)
            linked = linked and tile != 0
            set_word(args, at.LOAD_TILE + i, tile)
    return linked


@helper
def run_tasks(args, workers):
    """Do the tasks of an argument array, on this thread alone where no lock is free."""
    taken, i = table() + 8 * TAKEN, 0
    if workers > 1:
        while i < LOCKS and not replace(taken + 8 * i, 0, 1):
            i += 1
        if i < LOCKS:
            set_word(args, at.DONE, word(table(), LOCK + i))
        else:
            workers = 1
    pool, size = word(table(), POOL), word(table(), POOL_SIZE)
    call(word(table(), DO_TASKS), (args, pool, size, workers))
    if workers > 1:
        exchange(taken + 8 * i, 0)


def compile_handler():
    """The function that XLA calls with a call frame; it returns 0 or an error."""

    @kernel
    def handler(frame):
        if answer(frame):
            return 0
        if not is_known(frame):
            return complain(frame, BAD_FRAME)
        block = block_of(frame)
        if block == 0:
            return complain(frame, BAD_CALL)
        if word(block, STAMP) != word(table(), OWN_STAMP):
            return complain(frame, OTHER_STAMP)
        entry = word(table(), word(block, KERNEL))
        args = fill(frame, block)
        if entry == 0 or not fill_tiles(block, args):
            return complain(frame, NOT_LINKED)
        set_word(args, at.ENTRY, entry)
        run_tasks(args, word(block, WORKERS))
        if word(block, WRONG_SLOT) >= 0 and word(args, word(block, WRONG_SLOT)) != 0:
            return complain(frame, WRONG_ORDERS)
        return 0

    return handler


def find_block(frame):
    """The block of a call frame in Python, a copy; None if there is none that is known."""

    def words(address, count):
        return np.frombuffer(ctypes.string_at(address, 8 * count), np.int64)

    found = words(frame, _FRAME_WORDS)
    if found[_EXTENSION] or found[_SIZE] < 8 * _FRAME_WORDS or found[_ATTRS + _COUNT] != 1:
        return None
    attribute = words(int(words(int(found[_ATTRS + _NAMED]), 1)[0]), 3)
    if attribute[_DTYPE] & 0xFFFFFFFF != _S64:
        return None
    return words(int(attribute[_ITEMS]), int(attribute[_LENGTH]))
