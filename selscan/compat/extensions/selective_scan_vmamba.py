"""selective_scan_vmamba, and selective_scan_vmamba_pt202: where EfficientVMamba finds its scan."""

from . import selective_scan_cuda_core

__all__ = ["selective_scan_cuda_core"]
