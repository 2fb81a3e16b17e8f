# Results are of the library of `u`, or of `state`. NumPy's have a dtype in their type: it is left
# open, as that of a result may be another one.
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

from numpy.typing import NDArray

from .backends import BackendInfo as BackendInfo
from .backends import list_backends as list_backends
from .backends import use as use
from .types import Array, BackendName, Layout, Like, Switch

class ScanGrads(NamedTuple):
    u: Any
    delta: Any
    A: Any
    B: Any
    C: Any
    D: Any
    z: Any
    delta_bias: Any
    initial_state: Any

@overload
def scan(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[False] | None = False,
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> NDArray[Any]: ...
@overload
def scan(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[True],
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def scan(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[False] | None = False,
    return_states_at: Sequence[int],
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def scan(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[True],
    return_states_at: Sequence[int],
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
@overload
def scan(
    u: NDArray[Any],
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Switch = False,
    return_states_at: Sequence[int] | None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], ...]: ...
@overload
def scan(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[False] | None = False,
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Like: ...
@overload
def scan(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[True],
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[Like, Like]: ...
@overload
def scan(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[False] | None = False,
    return_states_at: Sequence[int],
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[Like, Like]: ...
@overload
def scan(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Literal[True],
    return_states_at: Sequence[int],
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[Like, Like, Like]: ...
@overload
def scan(
    u: Like,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_last_state: Switch = False,
    return_states_at: Sequence[int] | None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Like | tuple[Like, ...]: ...
def scan_backward(
    dy: Array,
    u: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    dlast_state: Array | None = None,
    dstates_at: Array | None = None,
    delta_softplus: Switch = False,
    initial_state: Array | None = None,
    return_states_at: Sequence[int] | None = None,
    reverse: Switch = False,
    seq_idx: Array | None = None,
    layout: Layout = "bdl",
    backend: BackendName | None = None,
) -> ScanGrads: ...
@overload
def scan_step(
    state: NDArray[Any],
    u: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    backend: BackendName | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def scan_step(
    state: Like,
    u: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    z: Array | None = None,
    delta_bias: Array | None = None,
    *,
    delta_softplus: Switch = False,
    backend: BackendName | None = None,
) -> tuple[Like, Like]: ...
