from typing import Any, overload

from numpy.typing import NDArray

from .paths import Path
from .types import Array, BackendName, Like, Switch

def gather(x: Like, path: Path, *, backend: BackendName | None = None) -> Like: ...
def scatter(
    y: Like, path: Path, merge: Switch = True, *, backend: BackendName | None = None
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
    path: Path,
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
    path: Path,
    delta_bias: Array | None = None,
    delta_softplus: Switch = False,
    merge: Switch = True,
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Like: ...
