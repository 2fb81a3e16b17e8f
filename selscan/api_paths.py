"""The public functions of maps and paths: documentation, and the way to the framework."""

import numpy as np

from . import deferred
from .arrays.find import is_tensor, is_traced
from .ops import gather as ops
from .ops import given_path as given
from .ops import scan2d as ops2d
from .ops.scan import framework_for
from .paths import Path

__all__ = ["gather", "scan2d", "scan3d", "scatter"]


def gather(x, path, *, size=None, backend=None):
    """The pixels of maps in the order in which the routes of a path visit them.

    With p = path.table (k, l), where -1 is padding, and pixel p in row i and column j,

        y[b, k, d, t] = x[b, d, i, j],   or x[b, k, d, i, j],   and 0 at padding

    Parameters
    ----------
    x : array, (b, d, h, w), or (b, k, d, h, w) with a map for each route
        With a path over maps with a depth t, here and below t, h, w in place of h, w.
        float16, bfloat16, float32, float64, complex64, complex128 or integers of 8 to 64 bits, of
        NumPy, torch, JAX or another library with DLPack; any strides.
    path : selscan.paths.Path, str, callable or table (k, l) or (b, k, l)
        k routes of l steps over maps of h x w pixels, as in `scan2d`, for each sample too. Whether
        they are joined makes no difference.
    size : (int, int) or (int, int, int), optional
        Height and width, or depth, height and width of the maps, where path is no Path and x is
        not (b, d, h, w).
    backend
        As in `scan`.

    Returns
    -------
    y : array, (b, k, d, l), dtype of x
        A new array in C order.

    Raises
    ------
    ValueError
        A map that is not of the path's size, or not one for each of its routes; a table with
        numbers that are no pixels, or twice in a route.
    TypeError
        A dtype that is not supported, not an array, no path.
    BackendUnavailable
        The array is on a device that no backend serves.

    Notes
    -----
    `scatter` is its gradient: in torch that is automatic, of any order and in forward mode too, in
    JAX of any order.
    With other arrays it is ``scatter(dy, path)``, and for a map for each route
    ``scatter(dy, path, merge=False)``.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> x = np.array([[[[10, 11, 12], [13, 14, 15]]]])
    >>> selscan.gather(x, selscan.paths.window(2, 3, size=2))[0, :, 0]
    array([[10, 11, 13, 14, 12,  0, 15,  0],
           [ 0, 15,  0, 12, 14, 13, 11, 10]])
    """
    path, order = _path("gather", path, "x", x, ("(b, d, h, w)", (4,), 2), size)
    if is_tensor(x):
        return deferred.gather_of_tensors(x, path, backend, order)
    return _move("gather", x, path, True, backend, order)


def scatter(y, path, merge=True, *, size=None, backend=None):
    """Sequences back in place on the map: the adjoint of `gather`.

    With p = path.table (k, l), where -1 is padding, and pixel p in row i and column j,

        x[b, k, d, i, j] = y[b, k, d, t] where p[k, t] is that pixel, and 0 where there is no such t

    and the result is the sum of x over k, or x itself with ``merge=False``.

    Parameters
    ----------
    y : array, (b, k, d, l)
        Dtypes, libraries and strides as in `gather`.
    path : selscan.paths.Path, str, callable or table (k, l) or (b, k, l)
        k routes of l steps over maps of h x w pixels, as in `scan2d`, for each sample too. Whether
        they are joined makes no difference.
    merge : bool
        Whether the routes are added up.
    size : (int, int) or (int, int, int), optional
        Height and width, or depth, height and width of the maps; needed where path is no Path.
    backend
        As in `scan`.

    Returns
    -------
    x : array, (b, d, h, w), or (b, k, d, h, w) with ``merge=False``, dtype of y
        A new array in C order; t, h, w in place of h, w where the path has a depth t.

    Raises
    ------
    ValueError
        Sequences that are not as long, or not as many, as the path's routes; a table with numbers
        that are no pixels, or twice in a route.
    TypeError
        A dtype that is not supported, not an array, no path.
    BackendUnavailable
        The array is on a device that no backend serves.

    Notes
    -----
    Routes are added up one after the other, in their order: the same bits with any number of
    threads. Sums of float16 and bfloat16 are float32 and are rounded once; those of integers wrap
    around. What stands at padding has no effect. `gather` is the gradient.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> y = np.array([[[[1, 2, 3, 4]], [[10, 20, 30, 40]]]])
    >>> selscan.scatter(y, selscan.paths.bidirectional(2, 2))
    array([[[[41, 32],
             [23, 14]]]])
    """
    path, order = _path("scatter", path, "y", y, ("", (), 2), size)
    merge = True if merge is None else merge
    if is_tensor(y):
        return deferred.scatter_of_tensors(y, path, merge, backend, order)
    return _move("scatter", y, path, merge, backend, order)


def scan2d(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    *,
    path,
    delta_bias=None,
    delta_softplus=False,
    merge=True,
    out_dtype=None,
    backend=None,
):
    """Selective scan of maps along the routes of a path, each put back in place, and their sum.

    For routes r of l steps, of which step t visits the pixel p[r, t] of a map,

        h[r, t] = exp(delta'[r, t] A[r]) h[r, t-1] + delta'[r, t] B[r, t] u[r, t],   h[r, -1] = 0
        y[p[r, t]] = sum over r of C[r, t] . h[r, t] + D[r] u[r, t]

    with delta' as in `scan`, where u[r, t] is u at the pixel p[r, t]. It is what gathering u,
    delta, B and C along the path, a scan and scattering y give, but nothing is copied in between.

    Parameters
    ----------
    u : array, (b, d, h, w), or (b, k, d, h, w) with a map for each route
        Input; float16, bfloat16, float32 or float64, as are all arrays but complex A, B and C.
    delta : array, (b, k, d, h, w), or in the order of the routes (b, k, d, l)
        Step size. As in `scan`, all arrays come from one library, dtypes mix freely and any
        strides are read in place, so channels may be last in memory.
    A : array, (k, d, n), float32, float64, complex64 or complex128
        Decay rates.
    B, C : array, (b, k, n, h, w) or (b, k, n, l)
        Input and output coefficients; real, or complex where A is.
    D : array, (k, d), optional
        Skip connection.
    path : selscan.paths.Path, str, callable or table (k, l) or (b, k, l)
        k routes of l steps over maps of h x w pixels: a Path; the name of a maker, as ``"cross"``,
        or of a route, as ``"w7_flip"``, or a list of names; a function of height and width that
        gives a path; a table of pixel numbers as a list or an array, or a single row (l,) of it.
        A table on another device is copied to the host at each call. An array (b, k, l) of int32
        or int64 has an order for each sample: it is on u's device, of u's library or NumPy's, and
        its numbers are checked by a kernel; on CUDA a wrong one is a failed assertion on the
        device, after which the process cannot use it any more.
        If a Path is joined, its routes are scanned as one sequence, without a reset in between: A,
        D, delta_bias, delta, B and C have 1 for k, and k * l for l.
    delta_bias : array, (k, d), optional
        Added to delta, before the softplus.
    delta_softplus : bool
        Whether softplus is applied; where its argument is above 20 it is the identity.
    merge : bool
        Whether the routes are added up.
    out_dtype, backend
        As in `scan`.

    Returns
    -------
    y : array, (b, d, h, w), or (b, k, d, h, w) with ``merge=False``
        0 where no route visits a pixel.

    Raises
    ------
    ValueError
        Shapes, devices or options that do not fit; a table with numbers that are no pixels, or
        twice in a route.
    TypeError
        A dtype that is not supported, not an array, no path, or arrays of two frameworks.
    BackendUnavailable
        The arrays are on a device that no backend serves.

    Notes
    -----
    At a step of padding u, B and C are 0, and so is delta before its bias and softplus: the state
    decays there, as LocalMamba (Huang et al. 2024) and EfficientVMamba (Pei et al. 2024) were
    trained to expect. The scan is that of VMamba (Liu et al. 2024) with `selscan.paths.cross`.

    Sums over routes are taken in the dtype of the arithmetic and rounded once. torch and JAX
    differentiate through every array, once, and compile and export it.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> path = selscan.paths.cross(8, 8)
    >>> rng = np.random.default_rng(0)
    >>> u = rng.random((2, 6, 8, 8), dtype=np.float32)
    >>> delta = rng.random((2, 4, 6, 8, 8), dtype=np.float32)
    >>> A = -rng.random((4, 6, 16), dtype=np.float32)
    >>> B, C = rng.random((2, 2, 4, 16, 8, 8), dtype=np.float32)
    >>> selscan.scan2d(u, delta, A, B, C, path=path).shape
    (2, 6, 8, 8)
    """
    inputs = (u, delta, A, B, C, D, delta_bias)
    return _scan(2, inputs, path, delta_softplus, merge, out_dtype, backend)


def scan3d(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    *,
    path,
    delta_bias=None,
    delta_softplus=False,
    merge=True,
    out_dtype=None,
    backend=None,
):
    """`scan2d` of maps with a depth: videos, whose depth is time, and volumes.

    Parameters
    ----------
    u : array, (b, d, t, h, w), or (b, k, d, t, h, w) with a map for each route
        Input.
    delta : array, (b, k, d, t, h, w), or in the order of the routes (b, k, d, l)
        Step size.
    A : array, (k, d, n)
        Decay rates.
    B, C : array, (b, k, n, t, h, w) or (b, k, n, l)
        Input and output coefficients.
    D, delta_bias : array, (k, d), optional
        Skip connection; what is added to delta, before the softplus.
    path : selscan.paths.Path, str, callable or table (k, l)
        k routes of l steps over maps of t x h x w pixels: a Path with a depth, the name of a maker,
        as ``"cross3d"``, or of routes, as ``["thw", "hwt_flip"]``, a function of depth, height and
        width, a table, or one for each sample.
    delta_softplus, merge, out_dtype, backend
        As in `scan2d`, and so are dtypes, strides and libraries of all arrays.

    Returns
    -------
    y : array, (b, d, t, h, w), or (b, k, d, t, h, w) with ``merge=False``

    Raises
    ------
    ValueError, TypeError, BackendUnavailable
        As `scan2d` does.

    Notes
    -----
    With `selscan.paths.spatial_first` and its kin the scan is that of VideoMamba (Li et al. 2024),
    with `selscan.paths.tri_orientated` that of SegMamba (Xing et al. 2024).

    Examples
    --------
    >>> import numpy as np, selscan
    >>> rng = np.random.default_rng(0)
    >>> u = rng.random((2, 6, 4, 8, 8), dtype=np.float32)
    >>> delta = rng.random((2, 3, 6, 4, 8, 8), dtype=np.float32)
    >>> A = -rng.random((3, 6, 16), dtype=np.float32)
    >>> B, C = rng.random((2, 2, 3, 16, 4, 8, 8), dtype=np.float32)
    >>> selscan.scan3d(u, delta, A, B, C, path="tri_orientated").shape
    (2, 6, 4, 8, 8)
    """
    inputs = (u, delta, A, B, C, D, delta_bias)
    return _scan(3, inputs, path, delta_softplus, merge, out_dtype, backend)


_MAPS = {
    2: ("(b, d, h, w) or (b, k, d, h, w)", (4, 5), 2),
    3: ("(b, d, t, h, w) or (b, k, d, t, h, w)", (5, 6), 3),
}


def _scan(sides, inputs, path, delta_softplus, merge, out_dtype, backend):
    """Of maps with so many axes."""
    u, function = inputs[0], f"scan{sides}d"
    path, order = _path(function, path, "u", u, _MAPS[sides])
    given.check_sides(function, path, sides)
    delta_softplus = False if delta_softplus is None else delta_softplus
    merge = True if merge is None else merge
    if is_tensor(u):
        options = delta_softplus, merge, out_dtype, backend
        return deferred.scan2d_of_tensors(inputs, path, *options, order)
    if is_traced(u, (*inputs, order)):
        options = delta_softplus, merge, out_dtype, backend
        return deferred.scan2d_of_tracers(inputs, path, *options, order)
    framework = framework_for(function, u, "u")
    options = ops2d.switches(function, path, delta_softplus, merge, out_dtype, framework)
    inputs = framework.borrow(function, ops2d.ARGUMENTS, inputs)
    if order is not None:
        inputs = *inputs, _borrowed(function, framework, order)
    asked = ops2d.request(function, framework, inputs, options, backend, "scan2d")
    y, _ = ops2d.forward(asked, inputs)
    return framework.hand_out(u, (y,))[0]


def _path(function, path, name, array, axes, size=None):
    """The Path of what was given as one, and None; or Orders per sample, and their numbers."""
    if not isinstance(path, Path):
        size = given.size_of(function, name, array, axes, size)
        orders = given.orders_of(function, path, size)
        return (given.path_over(function, path, size), None) if orders is None else (orders, path)
    if size is not None:
        given.check_size(function, path, size)
    return path, None


def _borrowed(function, framework, order):
    """Orders per sample as an array of a framework; one of NumPy is taken everywhere on the CPU."""
    if type(order) is np.ndarray:
        return order
    return framework.borrow(function, ("path",), (order,))[0]


def _move(function, array, path, merge, backend, order):
    """By the framework of the array, which is not torch."""
    if is_traced(array, (order,)):
        return deferred.moved_of_tracers(function, array, path, merge, backend, order)
    name = ops.name_of(function)
    framework = framework_for(function, array, name)
    [view] = framework.borrow(function, (name,), (array,))
    if order is not None:
        order = _borrowed(function, framework, order)
    asked = ops.request(function, framework, view, path, merge, backend, order)
    result = ops.run(asked, view, order)
    return framework.hand_out(array, (result,))[0]
