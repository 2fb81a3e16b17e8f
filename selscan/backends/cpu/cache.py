"""Compiled kernels on disk (../folders.py), in the place of Numba's own cache.

Numba's would read whatever it finds in its folder, from whomever it is, and has no checksum: a bit
that flipped on the disk would be run.
"""

import functools
import hashlib
import pickle
import sys
import warnings
from pathlib import Path

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from ..folders import Folder, user_folder


def find():
    """$NUMBA_CACHE_DIR/selscan, where that is set; otherwise where all of selscan's kernels are."""
    chosen = numba.config.CACHE_DIR
    return Path(chosen) / "selscan" if chosen else user_folder()


folder = Folder(find, ".nbc")


class KernelCache(NullCache):
    """Numba's interface to the disk, for the one signature of one entry point."""

    def __init__(self, name):
        self.name = name  # of the entry

    @property
    def cache_path(self):
        """The folder, or None if it cannot be used."""
        try:
            return str(folder.open())
        except (OSError, RuntimeError):
            return None

    def alone(self):
        """What to compile under: of many processes, one does it and the others load."""
        return folder.alone(self.name)

    def load_overload(self, sig, target_context):
        """The compiled kernel, or None."""
        target_context.refresh()
        try:
            content = folder.get(self.name)
        except (OSError, RuntimeError) as error:
            warn(error)
            return None
        if content is None:
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(content))

    def save_overload(self, sig, compiled):
        """Keep a compiled kernel."""
        assert not compiled.library.has_dynamic_globals  # addresses of this process
        try:
            folder.put(self.name, dumps(compiled._reduce()))
        except (OSError, RuntimeError) as error:
            warn(error)

    @property
    def is_there(self):
        """Whether there is something to load."""
        try:
            return folder.has(self.name)
        except (OSError, RuntimeError):
            return False

    @property
    def is_kept(self):
        """Whether another process would find the kernel."""
        try:
            return folder.get(self.name) is not None
        except (OSError, RuntimeError):
            return False


_warned = False


def warn(reason):
    """Say once why kernels are not kept."""
    global _warned
    if _warned:
        return
    _warned = True
    warnings.warn(
        f"selscan: compiled kernels cannot be kept on disk ({reason}), so each process compiles "
        "them again. Set NUMBA_CACHE_DIR to a directory that only you can write.",
        RuntimeWarning,
        stacklevel=2,
    )


def name_of(function):
    """A name for each kind of an entry point, each CPU, and each version of all that makes it.

    It names the entry on disk, and the function in LLVM: there, two of one name would be mixed up
    where one of them is loaded and the other compiled.
    """
    codegen = cpu_target.target_context.codegen()
    closed_over = [cell.cell_contents for cell in function.__closure__ or ()]
    versions = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__)
    kind = [codegen.magic_tuple(), source_version(), versions]
    kind += [(type(x).__name__, x) for x in closed_over]
    digest = hashlib.sha256(repr((function.__module__, kind)).encode()).hexdigest()
    return f"{function.__name__}_{digest[:24]}"


@functools.cache
def source_version():
    """A hash of all source files of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
