import os
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.onnx import ONNXProgram

def export(
    model: nn.Module,
    example: Tensor | tuple[Any, ...] | list[Any],
    path: str | os.PathLike[str],
    *,
    dynamic: tuple[Any, ...] | list[Any] | dict[str, Any] | None = None,
    opset: int = 18,
) -> ONNXProgram: ...
def translations(opset: int = 18) -> dict[Callable[..., Any], Callable[..., Any]]: ...
