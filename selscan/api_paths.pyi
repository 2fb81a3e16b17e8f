from typing import Any, overload

from numpy.typing import NDArray

from .paths import AnyPath
from .types import Array, BackendName, Like, Switch

_Size = tuple[int, ...] | list[int]

def gather(
    x: Like, path: AnyPath, *, size: _Size | None = None, backend: BackendName | None = None
) -> Like: ...
def scatter(
    y: Like,
    path: AnyPath,
    merge: Switch = True,
    *,
    size: _Size | None = None,
    backend: BackendName | None = None,
) -> Like: ...
@overload
def scan2d(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    *,
    path: AnyPath,
    delta_bias: Array | None = None,
    delta_softplus: Switch = False,
    merge: Switch = True,
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> NDArray[Any]: ...
@overload
def scan2d(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    *,
    path: AnyPath,
    delta_bias: Array | None = None,
    delta_softplus: Switch = False,
    merge: Switch = True,
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Like: ...
@overload
def scan3d(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    *,
    path: AnyPath,
    delta_bias: Array | None = None,
    delta_softplus: Switch = False,
    merge: Switch = True,
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> NDArray[Any]: ...
@overload
def scan3d(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    *,
    path: AnyPath,
    delta_bias: Array | None = None,
    delta_softplus: Switch = False,
    merge: Switch = True,
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Like: ...
