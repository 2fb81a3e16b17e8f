"""How an array lies in memory."""

from typing import NamedTuple


class Layout(NamedTuple):
    """An array without its data."""

    shape: tuple
    steps: tuple  # bytes
    dtype: str


class Output(NamedTuple):
    """An array to allocate: dense, its axes in any order in memory."""

    layout: Layout
    recipe: tuple  # how the framework allocates it


def dense_order(shape, steps):
    """Axes from the largest step to the smallest if the array is dense, else in their own order.

    Outputs are allocated in the memory order of the input they belong to, as
    ``torch.empty_like`` and ``numpy.empty_like`` do.
    """
    order = sorted(range(len(shape)), key=lambda i: (-abs(steps[i]), i))
    expected = None
    for i in reversed(order):
        if shape[i] != 1:
            if steps[i] != (expected or steps[i]) or steps[i] <= 0:
                return tuple(range(len(shape)))
            expected = steps[i] * shape[i]
    return tuple(order)


def dense_steps(shape, order, unit):
    """Steps of a dense array whose axes run from slowest to fastest as in `order`."""
    steps = [0] * len(shape)
    for i in reversed(order):
        steps[i] = unit
        unit *= max(1, shape[i])
    return tuple(steps)
