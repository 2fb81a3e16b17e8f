"""The selective scan along the routes of a path, and its gradient, by gather, scan and scatter.

With x' = gather(x) of (16), route r is scanned as (1) to (3) have it, each batch element by itself:

    y'[r] = scan(u'[r], delta'[r], A[r], B'[r], C'[r], D[r], delta_bias[r])               (18)
    y     = scatter(y')                                                                   (19)

u', delta', B' and C' are 0 at padding. It takes nothing in and gives nothing out, but a state
decays there by exp(softplus(delta_bias) A), or by exp(delta_bias A) without softplus. Before the
first pixel there is no state.

The routes of a joined path follow one another in one scan of k l steps, with the parameters A[0],
D[0] and delta_bias[0]: each starts from the last state of the one before.

The gradient takes the same way back: dy' = gather(dy), equations (5) to (15) for each route, then
scatter, which adds up what routes share.
"""

from typing import NamedTuple

import numpy as np

from reference.paths import gather, scatter
from reference.scan import scan
from reference.scan_backward import scan_backward


class Scan2dGrads(NamedTuple):
    """One value for each input of `scan2d`, None where the input was not given."""

    u: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray | None
    delta_bias: np.ndarray | None


@np.errstate(all="ignore")
def scan2d(u, delta, A, B, C, D=None, *, path, delta_bias=None, delta_softplus=False, merge=True):
    """Selective scan of maps along the routes of a path, equations (18) and (19).

    Parameters
    ----------
    u : array, (b, d, h, w), or (b, k, d, h, w) with a map for each route
        Of a path with a depth, here and below, (t, h, w) in the place of (h, w).
    delta : array, (b, k, d, h, w), or in the order of the routes (b, k, d, l)
    A : array, (k, d, n), real or complex
    B, C : array, (b, k, n, h, w) or (b, k, n, l)
    D, delta_bias : array, (k, d), real
    path : Path
        If it is joined, delta, A, B, C, D and delta_bias have 1 for k and k * l for l; maps of
        delta, B and C are then read by every route.
    merge : bool
        Whether the routes are added up.

    Returns
    -------
    y : array, (b, d, h, w), or (b, k, d, h, w) for merge=False, float64

    Examples
    --------
    >>> from reference.paths import bidirectional
    >>> one = np.ones((1, 2, 1, 1, 3))
    >>> scan2d(one[:, 0], one, np.zeros((2, 1, 1)), one, one, path=bidirectional(1, 3))
    array([[[[4., 4., 4.]]]])
    """
    u, delta, B, C = (in_order(x, path) for x in (as_maps(u, path), delta, B, C))
    routes = arguments(u, delta, A, B, C, D, delta_bias, path)
    y = [scan(**route, delta_softplus=delta_softplus) for route in routes]
    return scatter(parted(np.stack(y, axis=1), path), path, merge)


@np.errstate(all="ignore")
def scan2d_backward(
    dy, u, delta, A, B, C, D=None, *, path, delta_bias=None, delta_softplus=False, merge=True
):
    """Vector-Jacobian product of `scan2d`.

    Parameters
    ----------
    dy : array like y
        Gradient of the loss with respect to y.
    u, delta, A, B, C, D, path, delta_bias, delta_softplus, merge
        As for `scan2d`.

    Returns
    -------
    Scan2dGrads
        Arrays in the shapes of the inputs, complex128 where the input is complex, else float64.

    Examples
    --------
    >>> from reference.paths import unidirectional
    >>> one = np.ones((1, 1, 1, 1, 3))
    >>> A, path = np.zeros((1, 1, 1)), unidirectional(1, 3)
    >>> scan2d_backward(one[:, 0], one[:, 0], one, A, one, one, path=path).u
    array([[[[3., 2., 1.]]]])
    """
    maps = {"u": as_maps(u, path), "delta": delta, "B": B, "C": C}
    routes = arguments(
        A=A,
        D=D,
        delta_bias=delta_bias,
        path=path,
        **{name: in_order(x, path) for name, x in maps.items()},
    )
    dy = in_order(as_maps(dy, path), path)
    grads = [
        scan_backward(dy[:, r], **route, delta_softplus=delta_softplus)
        for r, route in enumerate(routes)
    ]

    def stacked(name, axis):
        return np.stack([getattr(grad, name) for grad in grads], axis)

    placed = {name: in_place(stacked(name, 1), x, path) for name, x in maps.items()}
    return Scan2dGrads(
        u=placed["u"].reshape(np.shape(u)),
        delta=placed["delta"],
        A=stacked("A", 0),
        B=placed["B"],
        C=placed["C"],
        D=None if D is None else stacked("D", 0),
        delta_bias=None if delta_bias is None else stacked("delta_bias", 0),
    )


def arguments(u, delta, A, B, C, D, delta_bias, path):
    """The arrays that `scan` takes, for each route."""
    for r in range(len(A)):
        yield {
            "u": u[:, r],
            "delta": delta[:, r],
            "A": A[r],
            "B": B[:, r],
            "C": C[:, r],
            "D": None if D is None else D[r],
            "delta_bias": None if delta_bias is None else delta_bias[r],
            "padding": padding(path)[r, 0],
        }


def as_maps(u, path):
    """u, or dy, with an axis for the route: of length 1 where all have the same map."""
    u = np.asarray(u)
    return u[:, None] if u.ndim == 2 + len(path.size) else u


def in_order(x, path):
    """x' (b, k, d, l) of (18), or (b, 1, d, k l) of a joined path.

    x has maps, (b, k, d, h, w) or (b, 1, d, h, w) for all routes, or is in this order already.
    """
    x = np.asarray(x)
    if x.ndim == 4:
        return np.where(padding(path), 0, x)
    return joined(gather(x[:, 0] if x.shape[1] == 1 else x, path), path)


def in_place(grad, x, path):
    """The adjoint of `in_order`, in the shape of x."""
    shape = np.shape(x)
    if len(shape) == 4:
        return np.where(padding(path), 0, grad)
    return scatter(parted(grad, path), path, merge=shape[1] == 1).reshape(shape)


def padding(path):
    """True where a step is padding: (k, 1, l), or (1, 1, k l) of a joined path."""
    k, l = path.table.shape
    return path.table.reshape((1, 1, k * l) if path.joined else (k, 1, l)) < 0


def joined(x, path):
    """(b, k, d, l) with the routes one after the other, (b, 1, d, k l), if the path is joined."""
    b, k, d, l = x.shape
    return np.swapaxes(x, 1, 2).reshape(b, 1, d, k * l) if path.joined else x


def parted(x, path):
    """The inverse of `joined`."""
    k, l = path.table.shape
    b, _, d, _ = x.shape
    return np.swapaxes(x.reshape(b, d, k, l), 1, 2) if path.joined else x
