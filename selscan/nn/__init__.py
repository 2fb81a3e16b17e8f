"""The mixers of the papers' models, in torch: layers around the scan.

Maps are (b, h, w, channels) between layers: channels are last in memory, where the lanes of the
scan are, and where linear layers and norms want them.
"""

from ..messages import not_installed

try:
    from .mamba1d import BiMamba, Mamba
    from .mixer2d import Mixer2d, Mixer3d, MultiScaleMixer2d
    from .routes import LocalMamba
    from .s6maps import set_fused
except ModuleNotFoundError as error:
    raise not_installed(error, "torch", "selscan.nn", "torch") from None

__all__ = ["BiMamba", "LocalMamba", "Mamba", "Mixer2d", "Mixer3d", "MultiScaleMixer2d", "set_fused"]
