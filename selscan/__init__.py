"""Selective state-space scans (S6, the operation behind Mamba) for any array library.

>>> import numpy as np, selscan
>>> u = np.ones((1, 2, 4), np.float32)  # (batch, channels, length)
>>> delta, A = 0.5 * u, -np.ones((2, 1), np.float32)
>>> B = C = np.ones((1, 1, 4), np.float32)  # (batch, d_state, length)
>>> selscan.scan(u, delta, A, B, C)[0, 0].round(3)
array([0.5  , 0.803, 0.987, 1.099], dtype=float32)
"""

import importlib

from . import paths as paths
from .api import BackendInfo, ScanGrads, list_backends, scan, scan_backward, scan_step, use
from .api_paths import gather, scan2d, scan3d, scatter
from .errors import BackendUnavailable

__version__ = "0.1.0.dev0"

__all__ = [
    "BackendInfo",
    "BackendUnavailable",
    "ScanGrads",
    "gather",
    "list_backends",
    "patch",
    "scan",
    "scan2d",
    "scan3d",
    "scan_backward",
    "scan_step",
    "scatter",
    "use",
]

# Subpackages that import torch: loaded when first used.
_LAZY = ("compat", "distributed", "models", "nn", "onnx")
# What other libraries call what is here.
_KNOWN_AS = {
    **dict.fromkeys(("selective_scan_fn", "selective_scan", "selective_scan_ref"), "scan"),
    "selective_state_update": "scan_step",
    "Mamba": "nn.Mamba",
    "SS2D": "nn.Mixer2d",
    "create_model": "models.create",
}


def __getattr__(name):
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    if name == "patch":
        return importlib.import_module(".compat", __name__).patch
    hint = f". Is it {__name__}.{_KNOWN_AS[name]}?" if name in _KNOWN_AS else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__():
    """What is public: other modules may have been imported, and are attributes then."""
    own = (name for name in globals() if name.startswith("__"))
    return sorted([*own, *__all__, *_LAZY, "paths"])
