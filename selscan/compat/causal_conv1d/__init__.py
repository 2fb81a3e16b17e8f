"""What `import causal_conv1d` supplies: short causal convolutions, whole and token by token."""

from .causal_conv1d_interface import causal_conv1d_fn, causal_conv1d_update

__all__ = ["causal_conv1d_fn", "causal_conv1d_update"]
__version__ = "1.6.1"
