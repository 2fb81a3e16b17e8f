"""Third-party Mamba code runs unmodified: modules under the names that it imports.

`mamba_ssm`, `causal_conv1d` and `extensions` have the names, arguments and semantics of those
packages and of the compiled extensions around them; all their scans are `selscan.scan`,
`selscan.scan_step` and `selscan.scan_backward`. `aliases` is the table from names to modules, and
`patch` makes Python find them:

>>> import selscan
>>> with selscan.patch("mamba_ssm"):
...     from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
>>> selective_scan_fn.__module__
'selscan.compat.mamba_ssm.ops.selective_scan_interface'
"""

from .patching import Patch, patch

__all__ = ["Patch", "patch"]
