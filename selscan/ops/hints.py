"""What may have gone wrong: the question or the advice at the end of a message."""

NO_BATCH = " Is the batch axis missing?"
NO_ROUTE = " Is the route axis missing?"
NO_TIME = " A step has no time axis."
TRANSPOSED = " Is it transposed?"


def other(layout):
    return "bld" if layout == "bdl" else "bdl"


def time_last(shape, layout):
    """The shape of a sequence in the order (b, ..., l)."""
    return shape if layout == "bdl" else (shape[0], *shape[2:], shape[1])


def other_layout(shape, wanted, layout):
    """For an array that would have the wanted (b, d or n, l) in the other layout."""
    if len(shape) < 3:
        return ""
    shape = time_last(shape, other(layout))
    return f" Is it in layout {other(layout)!r}?" if (shape[0], *shape[-2:]) == wanted else ""


def sequence(shape, wanted, layout):
    """For delta and z, which follow u."""
    swapped = other_layout(shape, time_last(wanted, layout), layout)
    return swapped or broadcast(shape, wanted)


def broadcast(shape, wanted):
    """For an array that NumPy would broadcast by itself."""
    pairs = zip(shape[::-1], wanted[::-1], strict=False)
    fits = len(shape) <= len(wanted) and all(n in (1, m) for n, m in pairs)
    return " Broadcast it first; that takes no memory." if fits else ""


def state(shape, wanted):
    """For a state whose last two axes may have changed places."""
    b, d, n = wanted
    return " Is it (b, n, d)?" if shape == (b, n, d) else broadcast(shape, wanted)


def gradient(shape, wanted):
    """For dy."""
    swapped = wanted[:1] + wanted[:0:-1]
    return " Is it in the other layout?" if shape == swapped else broadcast(shape, wanted)


def matrix(shape, wanted):
    """For A."""
    return TRANSPOSED if shape == wanted[::-1] else ""


def step(shape, wanted, d_state):
    """For u, delta and z of a step, which follow a state (b, d, n)."""
    if shape == (*wanted, 1):
        return NO_TIME
    return " Is state (b, n, d)?" if shape == (wanted[0], d_state) else broadcast(shape, wanted)
