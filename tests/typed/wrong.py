"""Wrong calls: mypy --strict reports an ignored error that it does not find (test_types.py)."""

import numpy as np
import torch

import selscan
from selscan import models, nn, paths

u = np.ones((1, 2, 3), np.float32)
A = torch.ones(2, 1)
path = paths.cross(2, 2)

selscan.scan(u, 0.1, u, u, u)  # type: ignore[call-overload]
selscan.scan(u, u, [[1.0]], u, u)  # type: ignore[call-overload]
selscan.scan(u, u, u, u, u, layout="dbl")  # type: ignore[call-overload]
selscan.scan(u, u, u, u, u, softplus=True)  # type: ignore[call-overload]
selscan.scan(u, u, u, u)  # type: ignore[call-overload]
y: torch.Tensor = selscan.scan(u, u, u, u, u)  # type: ignore[assignment]
z: float = selscan.scan(A, A, A, A, A)  # type: ignore[assignment]
selscan.scan_backward(u, u, u, u, u, u, backend="gpu")  # type: ignore[arg-type]
selscan.scan2d(u, u, u, u, u)  # type: ignore[call-overload]
selscan.gather(u, 3)  # type: ignore[arg-type]
selscan.selective_scan(u)  # type: ignore[attr-defined]
paths.window(4, 4)  # type: ignore[call-arg]
nn.Mamba(16, width=3)  # type: ignore[call-arg]
models.create("vim_tiny", classes="10", num_classes="10")  # type: ignore[arg-type]
with selscan.use("tpu"):  # type: ignore[arg-type]
    pass
