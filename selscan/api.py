"""The public functions: documentation, and the way to the framework of the arrays."""

from typing import Any, NamedTuple

from . import deferred
from .arrays.find import is_tensor, is_traced
from .backends import BackendInfo, list_backends, use
from .ops import scan as ops
from .ops import step as steps

__all__ = [
    "BackendInfo",
    "ScanGrads",
    "list_backends",
    "scan",
    "scan_backward",
    "scan_step",
    "use",
]


class ScanGrads(NamedTuple):
    """Gradients of a scan: for each input one of its shape and dtype, None if not given."""

    u: Any
    delta: Any
    A: Any
    B: Any
    C: Any
    D: Any
    z: Any
    delta_bias: Any
    initial_state: Any


def scan(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    *,
    delta_softplus=False,
    initial_state=None,
    return_last_state=False,
    return_states_at=None,
    reverse=False,
    seq_idx=None,
    layout="bdl",
    out_dtype=None,
    backend=None,
):
    """Selective scan (S6) along time.

    For a batch of b sequences of l steps, d channels in g groups and n states a channel, with
    delta' = softplus(delta + delta_bias), or delta + delta_bias without softplus,

        h[t] = exp(delta'[t] A) h[t-1] + delta'[t] B[t] u[t],   h[-1] = initial_state or 0
        y[t] = C[t] . h[t] + D u[t],   with complex A: 2 Re(C[t] . h[t]) + D u[t]

    and the result is y, or y * silu(z) where z is given (silu(z) = z / (1 + exp(-z))).

    Parameters
    ----------
    u, delta : array, (b, d, l), float16, bfloat16, float32 or float64
        Input and step size; with ``layout="bld"`` (b, l, d). All arrays come from one library,
        NumPy, torch, JAX, CuPy, Numba or another one with DLPack, and are on one device. Their
        dtypes mix freely, and any strides are read in place.
    A : array, (d, n), float32, float64, complex64 or complex128
        Decay rates, with negative real parts for a stable scan. The number of states has no
        limit.
    B, C : array, (b, n, l), (b, g, n, l) with d % g == 0, or (d, n); real, or complex where A is
        Input and output coefficients: shared by all channels, by the d / g channels of a group,
        or constant in time; with ``layout="bld"`` (b, l, n) and (b, l, g, n). Where both have
        a time axis they have the same g.
    D : array, (d,), optional
        Skip connection.
    z : array like u, optional
        Gate.
    delta_bias : array, (d,), optional
        Added to delta, before the softplus.
    delta_softplus : bool
        Whether softplus is applied; where its argument is above 20 it is the identity.
    initial_state : array, (b, d, n), real, or complex where A is, optional
        State before the first step.
    return_last_state : bool
        Whether the state after the last step is returned as well.
    return_states_at : sequence of int, optional
        Steps, from 0 to l - 1, ascending and each once, maybe none: the states after them are
        returned as well, in the direction of the scan.
    reverse : bool
        Scan from the end; the last state is then the one after position 0.
    seq_idx : array, (b, l), int32 or int64, optional
        Numbers of the sequences packed along time: the state restarts at zero where the number
        changes. The initial state feeds the first sequence, the last state is that of the last.
    layout : {"bdl", "bld"}
        Order of the axes batch, channel and time in u, delta, z, B, C and y.
    out_dtype : dtype, optional
        Dtype of y: float16, bfloat16, float32 or float64, as the framework names it or as a
        string; that of u if not given. The arithmetic does not depend on it.
    backend : {"cpu", "cupy", "numba_cuda"}, optional
        Run on this backend whatever `use`, the environment variable SELSCAN_BACKEND or the device
        of the arrays would choose. `list_backends` says which can be used.

    Returns
    -------
    y : array
        Shape and memory order of u; its dtype, or out_dtype.
    last_state : array, (b, d, n), float32, or float64 if any input is; complex where A is
        Only with ``return_last_state=True``.
    states : array, (b, d, k, n), of the dtype of last_state
        Only with ``return_states_at``: those after its k steps.

    Raises
    ------
    ValueError
        Shapes, devices or options that do not fit.
    TypeError
        A dtype that is not supported, not an array, or arrays of two frameworks.
    BackendUnavailable
        The arrays are on a device that no backend serves.

    Notes
    -----
    Switches are True or False, and None for what they are by default, here and in all functions.

    Gu and Dao 2023, eq. 2, with zero-order hold on A and Euler on B. Arithmetic and states are
    float32, float64 if any input is float64 or complex128; a result in fewer bits is rounded once.
    A float16 result above 65504 is infinite: ``out_dtype`` helps. The same inputs give the same
    bits, however they are batched, packed or cut: docs/bits.md has the table. torch differentiates
    through every array, once (no second derivatives), and from all states, and compiles and exports
    it (docs/torch.md), and so does JAX (docs/jax.md); for other arrays `scan_backward` is the
    gradient.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> rng = np.random.default_rng(0)
    >>> u, delta = rng.random((2, 2, 8, 64), dtype=np.float32)
    >>> A = -rng.random((8, 16), dtype=np.float32)
    >>> B, C = rng.random((2, 2, 16, 64), dtype=np.float32)
    >>> selscan.scan(u, delta, A, B, C).shape
    (2, 8, 64)
    """
    inputs = (u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx)
    delta_softplus = False if delta_softplus is None else delta_softplus
    return_last_state = False if return_last_state is None else return_last_state
    reverse = False if reverse is None else reverse
    if is_tensor(u):
        options = delta_softplus, reverse, layout, out_dtype, return_states_at, backend
        return deferred.scan_of_tensors(inputs, *options, return_last_state)
    if is_traced(u, inputs):
        options = delta_softplus, reverse, layout, out_dtype, return_states_at, backend
        return deferred.scan_of_tracers(inputs, *options, return_last_state)
    framework = ops.framework_for("scan", u, "u")
    given = delta_softplus, reverse, layout, out_dtype, framework, return_states_at
    options = ops.switches("scan", *given)
    if return_last_state is not True and return_last_state is not False:
        ops.contract.check_flags("scan", return_last_state=return_last_state)
    inputs = framework.borrow("scan", ops.contract.ARGUMENTS, inputs)
    request = ops.request("scan", framework, inputs, options, backend)
    y, last, _, states = ops.forward(request, inputs, want_last=return_last_state)
    results = [y, last, states] if return_states_at is not None else [y, last]
    y, *states = framework.hand_out(u, [x for x in results if x is not None])
    return (y, *states) if states else y


def scan_backward(
    dy,
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    *,
    dlast_state=None,
    dstates_at=None,
    delta_softplus=False,
    initial_state=None,
    return_states_at=None,
    reverse=False,
    seq_idx=None,
    layout="bdl",
    backend=None,
):
    """Gradient of `scan`: the vector-Jacobian product with dy, and with others that are given.

    Parameters
    ----------
    dy : array, shape of u
        Gradient of what `scan` returned (after the gate, where z is given).
    dlast_state : array, (b, d, n), optional
        Gradient of the last state.
    dstates_at : array, (b, d, k, n), optional
        Gradient of the states after the k steps of `return_states_at`.
    u, delta, A, B, C, D, z, delta_bias
        As they were given to `scan`.
    delta_softplus, initial_state, return_states_at, reverse, seq_idx, layout, backend
        As they were given to `scan`.

    Returns
    -------
    ScanGrads
        One gradient for each input, in its shape and dtype; None for those not given. The
        gradients of A, D, delta_bias and of B and C constant in time are summed over the batch.
        That of a complex x is dL/dRe(x) + i dL/dIm(x), as torch has it.

    Raises
    ------
    ValueError, TypeError, BackendUnavailable
        As `scan` does.

    Notes
    -----
    The adjoint recurrence is derived in docs/maths.md. The states are computed once more;
    torch's ``.backward()`` does without. Arithmetic is float64 if any array here is.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> u = delta = np.ones((1, 1, 3), np.float32)
    >>> A, B = np.zeros((1, 1), np.float32), np.ones((1, 1, 3), np.float32)
    >>> selscan.scan_backward(np.ones_like(u), u, delta, A, B, B).u  # every later step has it
    array([[[3., 2., 1.]]], dtype=float32)
    """
    inputs = (u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx)
    upstream = dy, dlast_state, dstates_at
    delta_softplus = False if delta_softplus is None else delta_softplus
    reverse = False if reverse is None else reverse
    if is_tensor(u):
        options = delta_softplus, reverse, layout, return_states_at, backend
        return ScanGrads(*deferred.scan_backward_of_tensors(inputs, upstream, *options))
    if is_traced(u, (*upstream, *inputs)):
        options = delta_softplus, reverse, layout, return_states_at, backend
        return ScanGrads(*deferred.scan_backward_of_tracers(inputs, upstream, *options))
    framework = ops.framework_for("scan_backward", u, "u")
    options = ops.switches(
        "scan_backward", delta_softplus, reverse, layout, positions=return_states_at
    )
    names = (*ops.contract.ARGUMENTS, *ops.UPSTREAM)
    arrays = framework.borrow("scan_backward", names, (*inputs, *upstream))
    inputs, upstream = arrays[: len(inputs)], arrays[len(inputs) :]
    request = ops.request("scan_backward", framework, inputs, options, backend, "scan_backward")
    grads = ops.backward(request, inputs, *upstream)
    return ScanGrads(*framework.hand_out(u, grads))


def scan_step(
    state,
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    *,
    delta_softplus=False,
    backend=None,
):
    """One step of `scan`, for decoding token by token.

        state = exp(delta' A) state + delta' B u,   y = C . state + D u   (times silu(z))

    Parameters
    ----------
    state : array, (b, d, n), real, or complex where A is
        Updated in place; best in float32, as it is rounded to its dtype after each step. In JAX,
        and in torch where grad mode is on and an input requires a gradient, the new state is a
        new array instead.
    u, delta, z : array, (b, d)
    A : array, (d, n)
    B, C : array, (b, n), (b, g, n) with d % g == 0, or (d, n)
        Where b = d, two axes are read as (b, n).
    D, delta_bias : array, (d,), optional
    delta_softplus, backend
        As in `scan`.

    Returns
    -------
    y : array, (b, d)
    state : array, (b, d, n)

    Raises
    ------
    ValueError
        Shapes that do not fit, or a state that cannot be written or overlaps itself or an input.
    TypeError, BackendUnavailable
        As `scan` does.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> state = np.zeros((1, 2, 4), np.float32)
    >>> u = delta = np.ones((1, 2), np.float32)
    >>> A, B = -np.ones((2, 4), np.float32), np.ones((1, 4), np.float32)
    >>> y, state = selscan.scan_step(state, u, delta, A, B, B)
    >>> y
    array([[4., 4.]], dtype=float32)
    """
    inputs = (u, delta, A, B, C, D, z, delta_bias)
    delta_softplus = False if delta_softplus is None else delta_softplus
    if is_tensor(state):
        return deferred.scan_step_of_tensors(state, inputs, delta_softplus, backend)
    if is_traced(state, inputs):
        return deferred.scan_step_of_tracers(state, inputs, delta_softplus, backend)
    framework = ops.framework_for("scan_step", state, "state")
    arrays = framework.borrow("scan_step", ops.contract.STEP_ARGUMENTS, (*inputs, state))
    *inputs, memory = arrays
    request = steps.step_request("scan_step", framework, memory, inputs, delta_softplus, backend)
    y, new = steps.step(request, memory, inputs)
    in_place = new is memory
    y, new = framework.hand_out(state, (y, None if in_place else new))
    return y, state if in_place else new
