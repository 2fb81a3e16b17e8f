"""What the types of the public functions are made of; only type checkers import it.

Signatures stand in the stubs (.pyi) beside the code, with the names that are used here.
"""

from typing import Any, Literal, Protocol, TypeVar

BackendName = Literal["cpu", "cupy", "numba_cuda"]
Layout = Literal["bdl", "bld"]
Switch = bool | None  # None is the default


class Array(Protocol):
    """An array of NumPy, torch, JAX, CuPy, Numba, or of another library with DLPack."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


# The arrays of one library, which come back as what went in.
Like = TypeVar("Like", bound=Array)
