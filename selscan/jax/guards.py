"""What is refused, in sentences of ours, and what a program needs when it is lowered.

Both are identities that JAX's transforms find on their way: no operation is left of them.
"""

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ..backends.cpu import xla
from ..errors import BackendUnavailable


def _identity(name):
    """A primitive of one array whose result has its type, and which maps over any axis."""
    primitive = Primitive(name)
    primitive.def_abstract_eval(lambda x, **_: x)

    def batch(arrays, axes, **constants):
        return primitive.bind(*arrays, **constants), axes[0]

    batching.primitive_batchers[primitive] = batch
    return primitive


# x; its tangent must not be computed, only be transposed: reverse mode and no other.
_reverse_only = _identity("selscan_reverse_only")
_tangent = _identity("selscan_tangent")


def reverse_only(function, arrays):
    """The arrays, None among them, for a function that has no forward-mode derivative."""
    return [x if x is None else _reverse_only.bind(x, function=function) for x in arrays]


def _refuse_tangent(*_, function):
    raise NotImplementedError(
        f"{function}: forward-mode automatic differentiation is not supported; use jax.grad or "
        "jax.vjp."
    )


def _jvp(primals, tangents, function):
    [x], [tangent] = primals, tangents
    if type(tangent) is not ad.Zero:
        tangent = _tangent.bind(tangent, function=function)
    return _reverse_only.bind(x, function=function), tangent


_reverse_only.def_impl(lambda x, function: x)
mlir.register_lowering(_reverse_only, lambda context, x, function: [x])
ad.primitive_jvps[_reverse_only] = _jvp
_tangent.def_impl(_refuse_tangent)
mlir.register_lowering(_tangent, _refuse_tangent)
ad.primitive_jvps[_tangent] = _refuse_tangent
ad.primitive_transposes[_tangent] = lambda gradient, *_, function: [gradient]


def once(function, operation):
    """An operation on arrays that nothing differentiates, but custom rules that call it."""

    def refuse(*_):
        raise RuntimeError(
            f"{function}: double backward is not supported; to use gradients as constants, call "
            "jax.lax.stop_gradient on them."
        )

    guarded = jax.custom_vjp(operation)
    guarded.defvjp(refuse, refuse)
    return guarded


# A table of numbers; as an operand that was captured it would be another one of its function.
_constant = Primitive("selscan_constant")


def constant(table):
    """An int32 array that is part of the program."""
    return _constant.bind(table=table.tobytes())


def _table(table):
    return np.frombuffer(table, np.int32)


_constant.def_impl(lambda table: jax.numpy.asarray(_table(table)))
_constant.def_abstract_eval(lambda table: jax.core.ShapedArray((len(table) // 4,), np.int32))
mlir.register_lowering(_constant, lambda context, table: [mlir.ir_constant(_table(table))])

# x; lowered for a CPU it has the kernels of a block compiled, elsewhere it is refused.
_ready = _identity("selscan_ready")


def ready(function, array, block):
    """An operand of the call with this block (backends/cpu/xla.py)."""
    return _ready.bind(array, function=function, block=block.tobytes())


def _refuse_platform(*_, function, block):
    raise BackendUnavailable(
        f"{function}: traced JAX arrays must be on the CPU in this version; got a program for "
        "another device. Move the arrays to the CPU."
    )


def _link(block):
    xla.link(np.frombuffer(block, np.int64))


def _run(array, function, block):
    devices = array.devices() if isinstance(array, jax.Array) else jax.devices()[:1]
    if any(device.platform != "cpu" for device in devices):
        _refuse_platform(function=function, block=block)
    _link(block)
    return array


def _lower(context, array, function, block):
    _link(block)
    return [array]


_ready.def_impl(_run)
mlir.register_lowering(_ready, _refuse_platform)
mlir.register_lowering(_ready, _lower, platform="cpu")
