"""Which bytes an array lies on: what a kernel updates in place shares them with nothing."""

from ..messages import fail

SIZES = {  # bytes of an element
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}


def in_64_bits(layout):
    """The layout with steps that an int64 holds: torch lets an axis of length 1 have any.

    Symbolic steps are of tensors without data, whose addresses nobody asks for.
    """
    if all(not isinstance(step, int) or -(2**63) <= step < 2**63 for step in layout.steps):
        return layout
    axes = zip(layout.shape, layout.steps, strict=True)
    return layout._replace(steps=tuple(0 if n == 1 else step for n, step in axes))


def span(layout):
    """The first byte of an array and the one behind its last, relative to its address."""
    reach = [(n - 1) * step for n, step in zip(layout.shape, layout.steps, strict=True)]
    low, high = sum(min(x, 0) for x in reach), sum(max(x, 0) for x in reach)
    return low, high + SIZES[layout.dtype]


def overlaps_itself(layout):
    """Whether two elements may share a byte; an exotic order of axes may be taken for that."""
    behind = SIZES[layout.dtype]  # the last byte of the axes so far
    for step, n in sorted((abs(s), n) for s, n in zip(layout.steps, layout.shape, strict=True)):
        if n > 1 and step < behind:
            return True
        behind += (n - 1) * step
    return False


def check_apart(function, addresses, target, spans):
    """Refuse inputs on the bytes of the state: kernels write those while they read inputs.

    `target` is the span of the state, `spans` are (name, low, high) of the inputs.
    """
    address = addresses["initial_state"]
    low, high = address + target[0], address + target[1]
    for name, first, last in spans:
        address = addresses[name]
        if address + first < high and low < address + last:
            expected = "in other memory than state, which is updated in place"
            fail(
                function,
                name,
                expected,
                "one that overlaps it or lies between its elements",
                " Pass a copy.",
            )
