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
def is_padding(pixels, t):
    """Whether step t is padding: nothing is taken in. Without a path `pixels` has no elements."""
    return pixels.size > 0 and pixels[t] < 0


@register_jitable
def first_step(initial_state, pixels):
    """No state comes to a step up to this one: the first that is no padding, or -1."""
    if initial_state.size > 0:
        return -1
    t = 0
    while is_padding(pixels, t):
        t += 1
        if t == pixels.size:
            break
    return t


@register_jitable
def begins(seq_idx, b, t, first, ahead):
    """Whether no state comes to step t, as another sequence begins, or the scan.

    `ahead`: steps that seq_idx has before the first one, 0 or 1; of no seq_idx anything.
    """
    if t <= first:
        return True
    at = t + ahead
    return seq_idx.size > 0 and at > 0 and seq_idx[b, at] != seq_idx[b, at - 1]
