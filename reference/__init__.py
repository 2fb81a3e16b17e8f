"""The naive twin of selscan: NumPy, float64, literal loops; every backend is compared with it.

It never imports selscan. `reference.scan` is the function; `from reference.scan import scan` is
the same one, but `import reference.scan as x` binds the function, not the module; so for scan2d.
`reference.paths` is a module.
"""

from reference.orders import sample_by_sample
from reference.paths import gather, scatter
from reference.scan import dense_matrix, scan, scan_step
from reference.scan2d import Scan2dGrads, scan2d, scan2d_backward
from reference.scan2d_error import scan2d_backward_error_bound, scan2d_error_bound
from reference.scan_backward import ScanGrads, scan_backward
from reference.scan_error import scan_backward_error_bound, scan_error_bound

__all__ = [
    "Scan2dGrads",
    "ScanGrads",
    "dense_matrix",
    "gather",
    "sample_by_sample",
    "scan",
    "scan2d",
    "scan2d_backward",
    "scan2d_backward_error_bound",
    "scan2d_error_bound",
    "scan_backward",
    "scan_backward_error_bound",
    "scan_error_bound",
    "scan_step",
    "scatter",
]
