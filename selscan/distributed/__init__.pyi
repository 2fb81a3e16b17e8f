from typing import Any, Literal, overload

from torch import Tensor
from torch.distributed import ProcessGroup

from ..types import BackendName, Layout, Switch

@overload
def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    group: ProcessGroup | None = None,
    mode: Literal["gather", "ring"] = "gather",
    delta_softplus: Switch = False,
    initial_state: Tensor | None = None,
    return_last_state: Literal[False] | None = False,
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Tensor | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Tensor: ...
@overload
def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    group: ProcessGroup | None = None,
    mode: Literal["gather", "ring"] = "gather",
    delta_softplus: Switch = False,
    initial_state: Tensor | None = None,
    return_last_state: Literal[True],
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Tensor | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> tuple[Tensor, Tensor]: ...
@overload
def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    group: ProcessGroup | None = None,
    mode: Literal["gather", "ring"] = "gather",
    delta_softplus: Switch = False,
    initial_state: Tensor | None = None,
    return_last_state: Switch,
    return_states_at: None = None,
    reverse: Switch = False,
    seq_idx: Tensor | None = None,
    layout: Layout = "bdl",
    out_dtype: Any = None,
    backend: BackendName | None = None,
) -> Tensor | tuple[Tensor, Tensor]: ...
def halo(
    x: Tensor, width: int, group: ProcessGroup | None = None, *, reverse: Switch = False
) -> Tensor: ...
