"""JAX's automatic differentiation of a scan: what is saved and what is passed on. No maths."""

import jax

from ..arrays.rounding import narrowable
from ..paths.keeping import keeping
from .guards import reverse_only
from .manual import alike
from .operations import backward, forward


def scan(call, arrays, want_last=False):
    """[y], and the states that are wanted, differentiable once, in reverse mode."""
    return _scan(call, want_last)(*reverse_only(call.function, alike(arrays)))


@keeping
def _scan(call, want_last):
    @jax.custom_vjp
    def scan(*arrays):
        return forward(call, False, want_last)(*arrays)

    def keep(*arrays):
        states, *results = forward(call, True, want_last)(*arrays)
        return results, (arrays, states)

    def pull_back(saved, incoming):
        # JAX's gradient of a complex number is the conjugate of what `scan_backward` returns.
        arrays, states = saved
        dy, *others = incoming
        others = [x.conj() for x in others]
        dlast_state = others.pop(0) if want_last else None
        dstates_at = others.pop() if others else None
        found = gradients(call, arrays, states, dy, dlast_state, dstates_at)
        return tuple(found[name].conj() if name in found else None for name in call.names)

    scan.defvjp(keep, pull_back)
    return scan


def scan_backward(call, arrays, *incoming):
    """The gradients, by name."""
    arrays = reverse_only(call.function, alike(arrays))
    states, *_ = forward(call, True, False, False)(*arrays)
    return gradients(call, arrays, states, *incoming)


def gradients(call, arrays, states, *incoming):
    """By name, of the shapes and dtypes of the inputs, as `scan_backward` defines them.

    `incoming` are dy and, None where there is none, others.
    """
    given = tuple(x is not None for x in incoming[1:])
    incoming = [x for x in incoming if x is not None]
    found = backward(call, given)(*arrays, states, *incoming)
    inputs, results = dict(zip(call.names, arrays, strict=True)), {}
    for name, gradient in zip(call.differentiable(), found, strict=True):
        if gradient.ndim > inputs[name].ndim:  # one for each batch element
            dtype = inputs[name].dtype
            gradient = narrowable(gradient.sum(0), dtype).astype(dtype)
        results[name] = gradient
    return results
