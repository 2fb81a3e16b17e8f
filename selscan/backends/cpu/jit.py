"""How functions are compiled: options, the disk cache."""

import functools
import hashlib
import warnings
from pathlib import Path

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}

INLINE = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_OPTIONS}

# A function of a kernel, compiled with the kernel that calls it.
helper = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)
# The same, always inlined: arguments and results stay in vector registers.
inline = njit(**INLINE)
# Copied into its callers before they are compiled. Numba compiles every function alone and again
# with each level above it, so thin functions above the tile functions are cheaper as copies.
merge = njit(inline="always", **_OPTIONS)


def kernel(function):
    """Compile an entry point: parallel, without the GIL, kept on disk where that is possible."""
    try:
        return njit(parallel=True, cache=True, **_OPTIONS)(function)
    except RuntimeError as error:  # Numba found no directory that it may write
        _warn_no_cache(str(error))
        return njit(parallel=True, **_OPTIONS)(function)


@functools.cache
def _warn_no_cache(reason):
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
