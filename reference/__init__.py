"""The naive twin of selscan: NumPy, float64, literal loops; every backend is compared with it.

It never imports selscan. `reference.scan` is the function; `from reference.scan import scan` is
the same one, but `import reference.scan as x` binds the function, not the module.
"""

from reference.scan import dense_matrix, scan, scan_step
from reference.scan_backward import ScanGrads, scan_backward
from reference.scan_error import scan_backward_error_bound, scan_error_bound

__all__ = [
    "ScanGrads",
    "dense_matrix",
    "scan",
    "scan_backward",
    "scan_backward_error_bound",
    "scan_error_bound",
    "scan_step",
]
