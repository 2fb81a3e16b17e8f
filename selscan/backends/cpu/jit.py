"""How functions are compiled."""

from llvmlite.binding import ffi
from numba import njit
from numba.core.compiler_lock import global_compiler_lock

from ..forks import hold
from .cache import KernelCache, name_of

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}

INLINE = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_OPTIONS}

# A function of a kernel, compiled with the kernel that calls it.
helper = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)
# The same, always inlined: arguments and results stay in vector registers.
inline = njit(**INLINE)
# Copied into its callers before they are compiled. Numba compiles every function alone and again
# with each level above it, so thin functions above the tile functions are cheaper as copies.
merge = njit(inline="always", **_OPTIONS)

hold(global_compiler_lock, ffi.lib._lock)


def kernel(function):
    """An entry point: compiled without the GIL, kept on disk where that is possible."""
    function.__qualname__ = name_of(function)
    compiled = njit(**_OPTIONS)(function)
    compiled._cache = KernelCache(function.__qualname__)
    return compiled


def address_of(entry):
    """The address of a compiled entry point, in C's calling convention."""
    [compiled] = entry.overloads.values()
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
