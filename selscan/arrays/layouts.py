"""How an array lies in memory."""

from typing import NamedTuple


class Layout(NamedTuple):
    """An array without its data."""

    shape: tuple
    steps: tuple  # bytes
    dtype: str


class Axes(NamedTuple):
    """Where an operand has its axes, None where it has no such axis."""

    b: int | None  # batch
    d: int | None  # channels, or groups of them
    n: int | None  # states
    t: int | None  # steps, or columns of a map
    r: int | None = None  # routes
    h: int | None = None  # rows of a map
    p: int | None = None  # frames of a map with a depth
    is_shared: bool = False  # a map that several routes share

    def stacked(self):
        """Those of such arrays stacked in front, one for each batch element."""
        moved = (None if axis is None else axis + 1 for axis in self[1:7])
        return Axes(0, *moved, self.is_shared)

    @property
    def is_map(self):
        return self.h is not None


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
