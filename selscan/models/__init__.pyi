import builtins
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

from .interface import Model

_Model = TypeVar("_Model", bound=nn.Module)

def list(filter: str = "*") -> builtins.list[str]: ...
def create(
    name: str,
    pretrained: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    img_size: int | tuple[int, int] = 224,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    drop_path_rate: float | None = None,
    **options: Any,
) -> Model: ...
def load(model: _Model, source: str | os.PathLike[str] | Mapping[str, Tensor]) -> _Model: ...
