"""The scan, one step of it and its gradient for traced arrays that were checked."""

import functools

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from ..ops import contract
from ..ops import scan as ops
from ..ops import step as steps
from . import calls, gradients
from .arrays import FRAMEWORK
from .guards import once, reverse_only
from .manual import alike
from .operations import Call


def scan(request, inputs, want_last):
    """[y], and the last state and those at the steps of the options, if wanted."""
    return gradients.scan(*prepared(request, inputs), want_last)


def scan_backward(request, inputs, dy, dlast_state, dstates_at):
    """Gradients of all inputs, None where not given."""
    call, arrays = prepared(request, inputs)
    found = gradients.scan_backward(call, arrays, dy, dlast_state, dstates_at)
    return tuple(
        found[name].reshape(x.shape) if name in found else None
        for name, x in zip(ops.GRADIENT_OF, inputs, strict=False)
    )


def prepared(request, inputs):
    """The Call and its arrays, B and C with an axis of groups if they have time."""
    given = named(contract.ARGUMENTS, inputs)
    for name in "BC":
        if given[name].ndim == 3:
            axis = 1 if request.options.layout == "bdl" else 2
            given[name] = jnp.expand_dims(given[name], axis)
    call = Call(request.function, request.options, request.backend, tuple(given))
    return call, list(given.values())


def named(names, arrays):
    """Those that are given, by name."""
    return {n: x for n, x in zip(names, arrays, strict=True) if x is not None}


def step(request, state, inputs):
    """(y, state): the forward is a kernel of its own, the gradient that of a scan of length 1."""
    given = named(contract.ARGUMENTS, (*inputs, state, None))
    call = Call(request.function, request.options, request.backend, tuple(given))
    return tuple(_step(call)(*reverse_only(call.function, alike(given.values()))))


@functools.lru_cache(ops.CACHED_SHAPES)
def _step(call):
    as_scan = functools.partial(_as_scan, call)
    kernel = custom_vmap(functools.partial(_run_step, call))

    @kernel.def_vmap
    def over_batches(size, is_batched, *arrays):
        results = jax.vmap(as_scan, [0 if new else None for new in is_batched])(*arrays)
        return results, [True] * len(results)

    guarded = once(call.function, kernel)

    @jax.custom_vjp
    def step(*arrays):
        return guarded(*arrays)

    step.defvjp(functools.partial(jax.vjp, as_scan), lambda saved, incoming: saved(incoming))
    return step


def _run_step(call, *arrays):
    """[y, state] by the kernel of steps."""
    *inputs, state, _ = call.inputs(arrays)
    arrays = (*inputs, state)
    found = FRAMEWORK.signatures(arrays)
    request = ops.Request(call.function, FRAMEWORK, call.backend, found, call.options)
    prepared = steps.prepare_step(request)
    if prepared.plan is None:
        return [jnp.zeros(arrays[0].shape, arrays[0].dtype), state]
    operands = {name: arrays[i] for i, name in prepared.given}
    outputs = {"y": prepared.y, "last_state": prepared.new}
    return calls.launch(call.function, prepared.plan, operands, outputs)


def _as_scan(call, *arrays):
    """[y, state] by a scan of length 1."""
    u, delta, A, B, C, D, z, delta_bias, state, _ = call.inputs(arrays)
    batch, dtype = len(state), state.dtype
    B, C = (x if x.ndim == 2 and len(x) != batch else x[..., None] for x in (B, C))
    u, delta, z = (x if x is None else x[..., None] for x in (u, delta, z))
    inputs = u, delta, A, B, C, D, z, delta_bias, state, None
    options = ops.switches(call.function, call.options)
    request = ops.Request(call.function, FRAMEWORK, call.backend, (), options)
    y, state = scan(request, inputs, True)
    return [y[..., 0], state.astype(dtype)]
