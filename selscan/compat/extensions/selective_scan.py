"""selective_scan: EfficientVMamba's package, a scan without a gate."""

from ..mamba_ssm.ops import selective_scan_interface as interface


def selective_scan_fn(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False, nrows=1):
    """y (b, d, l); no z stands between D and delta_bias, and nrows does not matter."""
    return interface.selective_scan_fn(u, delta, A, B, C, D, None, delta_bias, delta_softplus)


def selective_scan_ref(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False):
    """`selective_scan_fn`."""
    return selective_scan_fn(u, delta, A, B, C, D, delta_bias, delta_softplus)


class SelectiveScanFn:
    """`apply` is `selective_scan_fn`."""

    apply = staticmethod(selective_scan_fn)
