"""causal_conv1d_cuda: the extension of causal_conv1d, in the forms of all its releases.

They differ in the number of arguments.

    causal_conv1d_fwd     4   x, weight, bias, silu
                          5   x, weight, bias, seq_idx, silu
                          7   x, weight, bias, seq_idx, initial_states, final_states_out, silu
                          8   the same with `out`, which is written, before final_states_out
    causal_conv1d_bwd     6   x, weight, bias, dout, dx, silu
                          7   x, weight, bias, dout, seq_idx, dx, silu
                         10   x, weight, bias, dout, seq_idx, initial_states, dfinal_states, dx,
                              return_dinitial_states, silu
                         12   ..., dx, dweight, dbias, dinitial_states, silu: these are written
    causal_conv1d_update  5   x, conv_state, weight, bias, silu
                          6   the same, and cache_seqlens
                          7   the same, and conv_state_indices
                          8   the same with `out`, which is written, before silu
"""

from ...messages import fail
from ..causal_conv1d import cpp_functions as functions


def causal_conv1d_fwd(*arguments):
    """y; None where `out` is written."""
    counted("causal_conv1d_fwd", arguments, (4, 5, 7, 8))
    x, weight, bias, *states, silu = arguments
    out = states.pop(2) if len(states) == 4 else None
    seq_idx, initial_states, final_states_out = (*states, None, None, None)[:3]
    states = seq_idx, initial_states, final_states_out
    y = functions.causal_conv1d_fwd_function(x, weight, bias, *states, silu)
    return written((out,), (y,)) if out is not None else y


def causal_conv1d_bwd(*arguments):
    """(dx, dweight, dbias), with 10 arguments dinitial_states, too; None where they are written."""
    counted("causal_conv1d_bwd", arguments, (6, 7, 10, 12))
    *inputs, silu = arguments
    backward = functions.causal_conv1d_bwd_function
    if len(arguments) == 12:
        inputs, outputs = inputs[:7], inputs[7:]
        return written(outputs, backward(*inputs, None, outputs[3] is not None, silu))
    if len(arguments) == 10:
        return backward(*inputs, silu)
    x, weight, bias, dout, *seq_idx, dx = inputs
    states = *(seq_idx or [None]), None, None
    return backward(x, weight, bias, dout, *states, dx, False, silu)[:3]


def causal_conv1d_update(*arguments):
    """y of the next tokens, conv_state is updated; None where `out` is written."""
    counted("causal_conv1d_update", arguments, (5, 6, 7, 8))
    x, conv_state, weight, bias, *rest = arguments
    out = rest.pop(0) if len(rest) == 4 else None
    silu, cache_seqlens, conv_state_indices = (*rest, None, None)[:3]
    places = cache_seqlens, conv_state_indices
    y = functions.causal_conv1d_update_function(x, conv_state, weight, bias, silu, *places)
    return written((out,), (y,)) if out is not None else y


def counted(function, arguments, counts):
    """The number of arguments is that of a release."""
    if len(arguments) not in counts:
        expected = f"{', '.join(map(str, counts[:-1]))} or {counts[-1]} in number"
        fail(function, "arguments", expected, len(arguments))


def written(targets, results):
    """Write results to where they are wanted; nothing is returned."""
    for target, result in zip(targets, results, strict=True):
        if target is not None:
            target.copy_(result)
