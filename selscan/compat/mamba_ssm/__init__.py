"""What `import mamba_ssm` supplies: Mamba-1, its functions and its language models."""

from .models.mixer_seq_simple import MambaLMHeadModel
from .modules.mamba_simple import Mamba
from .ops.selective_scan_interface import mamba_inner_fn, selective_scan_fn

__all__ = ["Mamba", "MambaLMHeadModel", "mamba_inner_fn", "selective_scan_fn"]
# Of the last release whose code does not look for Mamba-2 in what it finds under this name.
__version__ = "2.0.3"


def __getattr__(name):
    if name in ("Mamba2", "Mamba3"):
        raise ImportError(f"mamba_ssm.{name}: selscan has neither Mamba-2 nor Mamba-3.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
