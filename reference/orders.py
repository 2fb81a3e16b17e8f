"""Orders per sample: each batch element along a path of its own, one after the other.

Element i of what has a batch is gathered, scanned and scattered along the path of p[i], as (16) to
(19) have it. What all elements share has the sum of their gradients.
"""

import numpy as np

from reference.paths import Path

_SHARED = ("A", "D", "delta_bias")


def sample_by_sample(function, table, size, **arguments):
    """What a function of this package gives along orders per sample.

    Parameters
    ----------
    function : callable
        `gather`, `scatter`, `scan2d`, its gradient, or a bound of their errors.
    table : array, (b, k, l)
    size : tuple
        (height, width), or (depth, height, width).
    **arguments
        Those of the function but path, by name; all arrays but A, D and delta_bias have a batch.

    Examples
    --------
    >>> from reference.paths import gather
    >>> x = np.array([10, 11, 12, 13]).reshape(2, 1, 1, 2)
    >>> sample_by_sample(gather, [[[0, 1]], [[1, -1]]], (1, 2), x=x)[:, 0, 0]
    array([[10, 11],
           [13,  0]])
    """
    *depth, height, width = size
    found = []
    for i, order in enumerate(np.asarray(table)):
        path = Path(order, height, width, False, *depth)
        own = {name: _of_sample(name, x, i) for name, x in arguments.items()}
        found.append(function(**own, path=path))
    if not isinstance(found[0], tuple):
        return np.concatenate(found)
    gradients = zip(found[0]._fields, zip(*found, strict=True), strict=True)
    return type(found[0])(*(_together(name, parts) for name, parts in gradients))


def _of_sample(name, x, i):
    """An argument of element i: an array is cut, an option is not."""
    is_cut = np.ndim(x) > 0 and name not in _SHARED
    return x[i : i + 1] if is_cut else x


def _together(name, parts):
    """A gradient of the whole batch."""
    if parts[0] is None:
        return None
    return np.sum(parts, axis=0) if name in _SHARED else np.concatenate(parts)
