"""Where a block is, and where sequences begin: what both scans have in common.

Functions of the device that name `cuda` get numbers of another thread in the simulator; so these
get what they need as arguments.
"""

from numba.cuda.extending import register_jitable


@register_jitable
def place_of(block, blocks, batch, groups):
    """Batch entry, group and slice of a block."""
    slices = blocks // (batch * groups)
    return block // slices // groups, block // slices % groups, block % slices


@register_jitable
def restarts(seq_idx, b, t):
    """Whether another sequence begins at step t."""
    return seq_idx.size > 0 and t > 0 and seq_idx[b, t] != seq_idx[b, t - 1]
