"""The public functions that move maps along a path: documentation, and the way to the framework."""

import sys

from .ops import gather as ops
from .ops.scan import framework_for

__all__ = ["gather", "scatter"]


def gather(x, path):
    """The pixels of maps in the order in which the routes of a path visit them.

    With p = path.table (k, l), where -1 is padding, and pixel p in row i and column j,

        y[b, k, d, t] = x[b, d, i, j],   or x[b, k, d, i, j],   and 0 at padding

    Parameters
    ----------
    x : array, (b, d, h, w), or (b, k, d, h, w) with a map for each route
        float16, bfloat16, float32, float64, complex64, complex128 or integers of 8 to 64 bits, of
        NumPy, torch, JAX or another library with DLPack, on the CPU; any strides.
    path : selscan.paths.Path
        k routes of l steps over maps of h x w pixels. Whether they are joined makes no difference.

    Returns
    -------
    y : array, (b, k, d, l), dtype of x
        A new array in C order.

    Raises
    ------
    ValueError
        A map that is not of the path's size, or not one for each of its routes.
    TypeError
        A dtype that is not supported, not an array, not a Path.
    BackendUnavailable
        The array is on a device that no backend serves.

    Notes
    -----
    `scatter` is its gradient: in torch that is automatic, of any order and in forward mode too.
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
    if route := _torch_paths(x):
        return route.gather(x, path)
    return _move("gather", x, path)


def scatter(y, path, merge=True):
    """Sequences back in place on the map: the adjoint of `gather`.

    With p = path.table (k, l), where -1 is padding, and pixel p in row i and column j,

        x[b, k, d, i, j] = y[b, k, d, t] where p[k, t] is that pixel, and 0 where there is no such t

    and the result is the sum of x over k, or x itself with ``merge=False``.

    Parameters
    ----------
    y : array, (b, k, d, l)
        Dtypes, libraries and strides as in `gather`.
    path : selscan.paths.Path
        k routes of l steps over maps of h x w pixels. Whether they are joined makes no difference.
    merge : bool
        Whether the routes are added up.

    Returns
    -------
    x : array, (b, d, h, w), or (b, k, d, h, w) with ``merge=False``, dtype of y
        A new array in C order.

    Raises
    ------
    ValueError
        Sequences that are not as long, or not as many, as the path's routes.
    TypeError
        A dtype that is not supported, not an array, not a Path.
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
    if route := _torch_paths(y):
        return route.scatter(y, path, merge)
    return _move("scatter", y, path, merge)


def _move(function, array, path, merge=True):
    """By the framework of the array, which is not torch."""
    name = ops.name_of(function)
    framework = framework_for(function, array, name)
    if not framework.borrows:
        return ops.run(ops.request(function, framework, array, path, merge), array)
    [view] = framework.borrow(function, (name,), (array,))
    result = ops.run(ops.request(function, framework, view, path, merge), view)
    [result] = framework.hand_out(array, (result,))
    return result


def _torch_paths(array):
    """The module for torch tensors if the array is one: it imports torch, which is loaded then."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return None
    from . import torch_paths

    return torch_paths
