"""Bounds on the rounding of `scan2d` and its gradient in low precision, used as scan_error.py's.

Each route has the bounds of its scan. Where k routes are added up, the sum has k - 1 roundings more
of at most half an epsilon of the sum of what is added, and 2 k half epsilons of it are allowed.
"""

import numpy as np

from reference.paths import scatter
from reference.scan import scan
from reference.scan2d import Scan2dGrads, arguments, as_maps, in_order, in_place, parted
from reference.scan_backward import scan_backward
from reference.scan_error import scan_backward_error_bound, scan_error_bound


@np.errstate(all="ignore")
def scan2d_error_bound(u, delta, A, B, C, D=None, *, path, delta_bias=None, merge=True, **options):
    """Bound E on the error of `scan2d`: |computed - scan2d(...)| <= eps * E.

    Parameters
    ----------
    u, delta, A, B, C, D, path, delta_bias, merge, **options
        As for `scan2d`.

    Returns
    -------
    E : array like y
    """
    u, delta, B, C = (in_order(x, path) for x in (as_maps(u, path), delta, B, C))
    routes = list(arguments(u, delta, A, B, C, D, delta_bias, path))
    bounds = [
        scan_error_bound(**route, **options) + 2 * len(path.table) * abs(scan(**route, **options))
        for route in routes
    ]
    return scatter(parted(np.stack(bounds, axis=1), path), path, merge)


@np.errstate(all="ignore")
def scan2d_backward_error_bound(
    dy, u, delta, A, B, C, D=None, *, path, delta_bias=None, merge=True, **options
):
    """Bounds E on the error of `scan2d_backward`.

    Parameters
    ----------
    dy, u, delta, A, B, C, D, path, delta_bias, merge, **options
        As for `scan2d_backward`.

    Returns
    -------
    Scan2dGrads
        An array like each gradient, real; None where there is none.
    """
    maps = {"u": as_maps(u, path), "delta": delta, "B": B, "C": C}
    routes = arguments(
        A=A,
        D=D,
        delta_bias=delta_bias,
        path=path,
        **{name: in_order(x, path) for name, x in maps.items()},
    )
    dy, more = in_order(as_maps(dy, path), path), 2 * len(path.table)
    bounds, grads = [], []
    for r, route in enumerate(routes):
        bounds.append(scan_backward_error_bound(dy[:, r], **route, **options))
        grads.append(scan_backward(dy[:, r], **route, **options))

    def stacked(name, axis, source=bounds):
        return np.stack([abs(getattr(x, name)) for x in source], axis)

    placed = {
        name: in_place(stacked(name, 1) + more * stacked(name, 1, grads), x, path)
        for name, x in maps.items()
    }
    return Scan2dGrads(
        u=placed["u"].reshape(np.shape(u)),
        delta=placed["delta"],
        A=stacked("A", 0),
        B=placed["B"],
        C=placed["C"],
        D=None if D is None else stacked("D", 0),
        delta_bias=None if delta_bias is None else stacked("delta_bias", 0),
    )
