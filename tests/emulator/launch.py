"""Modules and kernels with the interface that CuPy gives them; device memory is the host's."""

import contextlib
import ctypes
import operator
import threading

import numpy as np

from . import compiler, source

ORDERS = ("forward", "reverse", "random")
DEFAULT_SHARED = 48 * 1024  # bytes a block may have without asking for more
MOST_SHARED = 227 * 1024  # on compute capability 9.0
MOST_BLOCKS, MOST_THREADS = (2**31 - 1, 65535, 65535), (1024, 1024, 64)

_lock = threading.Lock()  # the runtime keeps its state in global variables
_order = ("forward", 0)
_first = 0  # block that is run


class DeviceArray(np.ndarray):
    """An array in the memory of the device: a kernel gets its address, as it does of CuPy's."""


def pointers(*arrays):
    """NumPy arrays as arguments that are pointers to them; others are passed by value."""
    return tuple(array.view(DeviceArray) for array in arrays)


class KernelError(RuntimeError):
    """A kernel did what is not allowed; the message has the place and the thread."""


class Module:
    """Compiled kernels of one source.

    `names` are name expressions, such as "scale<float>", as NVRTC takes them. Quoted includes are
    searched in the folders of -I options. `file` is the name of the source in messages, `flags` are
    for g++.
    """

    def __init__(self, code, names, *, options=(), file="kernel.cu", flags=()):
        defines, folders = compiler.split_options(options)
        text = source.translate(code, file, names, folders)
        library = ctypes.CDLL(str(compiler.build(text, (*defines, *flags))))
        self._kernels = {name: Kernel(library, i, name) for i, name in enumerate(names)}

    def get_function(self, name):
        """The kernel of a name expression."""
        if name not in self._kernels:
            known = ", ".join(self._kernels)
            raise ValueError(f"get_function: name must be one of {known}; got {name!r}.")
        return self._kernels[name]


class _Launch(ctypes.Structure):
    """emulator::Launch (cuda/emulator/interface.h)."""

    _fields_ = (
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32 * 3),
        ("dynamic_bytes", ctypes.c_uint64),
        ("shared_limit", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("first", ctypes.c_uint64),
        ("order", ctypes.c_int32),
    )


class Kernel:
    """A kernel: `kernel(grid, block, args, shared_mem=0)` runs it and returns when it is done."""

    def __init__(self, library, number, name):
        sizes = library[f"emulator_sizes_{number}"]
        sizes.restype = ctypes.POINTER(ctypes.c_size_t)
        self._run = library[f"emulator_launch_{number}"]
        self._name = name
        self._most_dynamic = DEFAULT_SHARED
        self._sizes = []
        while size := sizes()[len(self._sizes)]:
            self._sizes.append(size)

    @property
    def max_dynamic_shared_size_bytes(self):
        """Dynamic shared memory that a block may have; more than 48 KiB must be asked for."""
        return self._most_dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        if not 0 <= size <= MOST_SHARED:
            raise ValueError(
                f"{self._name}: max_dynamic_shared_size_bytes must be at most {MOST_SHARED}; "
                f"got {size}."
            )
        self._most_dynamic = size

    def __call__(self, grid, block, args, shared_mem=0, stream=None):  # there are no streams
        grid = self._extent("grid", grid, MOST_BLOCKS)
        block = self._extent("block", block, MOST_THREADS)
        if np.prod(block) > MOST_THREADS[0]:
            raise ValueError(f"{self._name}: block must have at most 1024 threads; got {block}.")
        if not 0 <= shared_mem <= self._most_dynamic:
            raise ValueError(
                f"{self._name}: shared_mem must be at most max_dynamic_shared_size_bytes, "
                f"{self._most_dynamic}; got {shared_mem}."
            )
        memory, addresses = self._packed(args)
        kind, seed = _order
        limit = DEFAULT_SHARED if self._most_dynamic <= DEFAULT_SHARED else MOST_SHARED
        launch = _Launch(grid, block, shared_mem, limit, seed, _first, ORDERS.index(kind))
        error = ctypes.create_string_buffer(1024)
        with _lock:
            failed = self._run(ctypes.byref(launch), addresses, error, ctypes.c_size_t(1024))
        del memory
        if failed:
            raise KernelError(f"{self._name}: {error.value.decode(errors='replace')}")

    def _extent(self, what, extent, most):
        """Three numbers of blocks or threads; none is an error, where CuPy launches one block."""
        try:
            sizes = [operator.index(size) for size in extent]
        except TypeError:
            sizes = []
        fits = all(1 <= size <= limit for size, limit in zip(sizes, most, strict=False))
        if not isinstance(extent, tuple) or not 1 <= len(sizes) <= 3 or not fits:
            raise ValueError(
                f"{self._name}: {what} must be a tuple of 1 to 3 integers, from 1 to {most}; "
                f"got {extent!r:.80}."
            )
        return (*sizes, 1, 1)[:3]

    def _packed(self, args):
        """The arguments' bytes, and the addresses of each one's."""
        values = [self._bytes(i, value) for i, value in enumerate(args)]
        if len(values) != len(self._sizes):
            raise TypeError(f"{self._name}: takes {len(self._sizes)} arguments; got {len(values)}.")
        for i, (value, size) in enumerate(zip(values, self._sizes, strict=True)):
            if len(value) != size:
                raise TypeError(
                    f"{self._name}: argument {i} must have the {size} bytes of the kernel's "
                    f"parameter; got {len(value)} ({type(args[i]).__name__})."
                )
        # Each at a multiple of 64 bytes, whatever alignment its type has.
        starts = np.cumsum([0, *(-(-len(value) // 64) * 64 for value in values)])
        memory = np.zeros(starts[-1] + 64, np.uint8)
        base = -memory.ctypes.data % 64
        for start, value in zip(starts, values, strict=False):
            memory[base + start : base + start + len(value)] = np.frombuffer(value, np.uint8)
        addresses = [memory.ctypes.data + base + int(start) for start in starts]
        return memory, (ctypes.c_void_p * len(addresses))(*addresses)

    def _bytes(self, i, value):
        """An argument's bytes, as CuPy passes it."""
        if isinstance(value, DeviceArray):
            return value.ctypes.data.to_bytes(8, "little")
        if isinstance(value, np.ndarray):
            if value.size != 1:
                raise TypeError(
                    f"{self._name}: argument {i} must have one element to be passed by value; got "
                    f"the shape {value.shape}. Arrays on the device are pointers(array)."
                )
            return value.tobytes()
        if value is None:
            return bytes(8)
        if isinstance(value, np.generic):
            return value.tobytes()
        if type(value) is int and -(2**63) <= value < 2**64:
            return (value % 2**64).to_bytes(8, "little")
        if type(value) in (bool, float, complex):
            return np.asarray(value).tobytes()
        raise TypeError(
            f"{self._name}: argument {i} must be an array, a scalar or a structured scalar; "
            f"got {value!r:.80}."
        )


@contextlib.contextmanager
def order(kind, seed=0):
    """Run the threads of a warp, the warps and the blocks in this order inside a `with` block."""
    global _order
    if kind not in ORDERS:
        raise ValueError(f"order: kind must be one of {', '.join(ORDERS)}; got {kind!r}.")
    before, _order = _order, (kind, seed)
    try:
        yield
    finally:
        _order = before


@contextlib.contextmanager
def blocks_from(first):
    """Leave out the blocks before this one inside a `with` block: of a grid too large to run."""
    global _first
    before, _first = _first, first
    try:
        yield
    finally:
        _first = before
