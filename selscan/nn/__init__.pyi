from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from ..paths import AnyPath

_Module = TypeVar("_Module", bound=nn.Module)

class Mamba(nn.Module):
    def __init__(
        self,
        d_model: int | None = None,
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        dt_rank: int | Literal["auto"] = "auto",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init: Literal["random", "constant"] = "random",
        dt_scale: float = 1.0,
        dt_init_floor: float = 0.0001,
        conv_bias: bool = True,
        bias: bool = False,
        use_fast_path: bool = True,
        layer_idx: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        group: ProcessGroup | None = None,
        dim: int | None = None,
    ) -> None: ...
    def forward(
        self,
        x: Tensor,
        inference_params: Any = None,
        *,
        state: Any = None,
        return_state: bool = False,
        return_states_at: Sequence[int] | None = None,
    ) -> Any: ...

class BiMamba(Mamba):
    def __init__(
        self,
        d_model: int | None = None,
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        version: Literal["v1", "v2"] = "v2",
        halved: bool = True,
        **options: Any,
    ) -> None: ...

class LocalMamba(nn.Module):
    def __init__(
        self,
        d_model: int | None = None,
        routes: Sequence[str] | None = None,
        class_token: bool = False,
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        dt_rank: int | Literal["auto"] = "auto",
        bias: bool = False,
        *,
        dim: int | None = None,
        **form: Any,
    ) -> None: ...
    def forward(self, x: Tensor, grid: tuple[int, int], inference_params: Any = None) -> Tensor: ...

class _MapMixer(nn.Module):
    def forward(self, x: Tensor) -> Tensor: ...

class Mixer2d(_MapMixer):
    def __init__(
        self,
        dim: int,
        path: AnyPath = ...,
        *,
        d_state: int = 16,
        dt_rank: int | Literal["auto"] = "auto",
        ratio: float = 2.0,
        conv_bias: bool = True,
        gate: bool = True,
        combine: nn.Module | None = None,
    ) -> None: ...

class Mixer3d(_MapMixer):
    def __init__(
        self,
        dim: int,
        path: AnyPath = ...,
        *,
        d_state: int = 16,
        dt_rank: int | Literal["auto"] = "auto",
        ratio: float = 2.0,
        conv_bias: bool = True,
        gate: bool = True,
        combine: nn.Module | None = None,
    ) -> None: ...

class MultiScaleMixer2d(_MapMixer):
    def __init__(
        self,
        dim: int,
        *,
        d_state: int = 1,
        ratio: float = 2.0,
        gate: bool = True,
        version: Literal[1, 3] = 1,
    ) -> None: ...

def set_fused(model: _Module, fused: bool) -> _Module: ...
