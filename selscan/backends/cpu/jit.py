"""How functions are compiled: options, the disk cache."""

import functools
import hashlib
import warnings
from pathlib import Path

from numba import njit
from numba.core.caching import NullCache
from numba.core.registry import cpu_target

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}

INLINE = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_OPTIONS}

# A function of a kernel, compiled with the kernel that calls it.
helper = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)
# The same, always inlined: arguments and results stay in vector registers.
inline = njit(**INLINE)
# Copied into its callers before they are compiled. Numba compiles every function alone and again
# with each level above it, so thin functions above the tile functions are cheaper as copies.
merge = njit(inline="always", **_OPTIONS)


def kernel(function, **options):
    """Compile an entry point: without the GIL, kept on disk where that is possible."""
    function.__qualname__ = _unique_name(function)
    try:
        return njit(cache=True, **_OPTIONS, **options)(function)
    except RuntimeError as error:  # Numba found no directory that it may write
        _warn_no_cache(str(error))
        return njit(**_OPTIONS, **options)(function)


def _unique_name(function):
    """A name for each kind of an entry point and each CPU, which names its files on disk.

    Numba would keep all kinds under one name and number them, without a lock: of two processes that
    compile different kinds at once, one could later load what the other has written.
    """
    codegen = cpu_target.target_context.codegen()
    closed_over = [cell.cell_contents for cell in function.__closure__ or ()]
    kind = [codegen.magic_tuple(), *((type(x).__name__, x) for x in closed_over)]
    return f"{function.__name__}_{hashlib.sha256(repr(kind).encode()).hexdigest()[:12]}"


def compile_or_load(kernel, signature):
    """Compile an entry point, or load it from disk; do without the disk where that fails."""
    try:
        kernel.compile(signature)
    except Exception as error:  # a full disk, a damaged file; if it is the compiler, it fails again
        kernel._cache = NullCache()
        kernel.compile(signature)
        _warn_no_cache(f"{type(error).__name__}: {error}")


_warned_no_cache = False


def _warn_no_cache(reason):
    global _warned_no_cache
    if _warned_no_cache:
        return
    _warned_no_cache = True
    warnings.warn(
        f"selscan: compiled kernels cannot be kept on disk ({reason}), so each process compiles "
        "them again. Set NUMBA_CACHE_DIR to a directory that you can write.",
        RuntimeWarning,
        stacklevel=2,
    )


@functools.cache
def source_version():
    """A number that changes with any source file of this package.

    Numba's cache looks at the file of an entry point only; entry points are made by functions that
    take this number, because what a function closes over is part of the key of its cache.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "little")
