"""Models that leave Python as ONNX files: one node for each scan."""

from ..messages import not_installed

try:
    from .exporting import export, translations
except ModuleNotFoundError as error:
    raise not_installed(error, "torch", "selscan.onnx", "onnx") from None

__all__ = ["export", "translations"]
