"""Issue slots of the CUDA kernels of maps, counted in machine code; needs no GPU.

    python -m bench.slots_maps [sm_90]

The loops over states are counted for each state element, in the kernels as they are, as bench.slots
counts those of sequences. All that is issued is counted for each pixel, channel and route of a scan
with one state, in kernels that can do nothing else: whole tiles of maps whose pixels follow one
another, softplus, no saved states. The forward adds up routes in shared memory; the backward adds
up none, which leaves that part out. slots_cross.py counts the kernels for small maps.
"""

import sys
from collections import Counter

from bench import slots, slots_backward, slots_cross
from bench.machine_code import ONCE, count, innermost, instructions, replaced
from selscan.backends.cupy import instances, plan_cross
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.cupy.paste import paste
from selscan.backends.cupy.plan import WARPS, Shape
from selscan.backends.cupy.plan_backward import shape_of

_LANES, _AT_ONCE = 8, 4  # rows of a tile in a turn of a copy
# What both know, as expressions of the source and their values.
_KNOWN = ONCE | {
    "p.softplus": "1",
    "p.joined": "false",
    "along_channels(x)": "false",
    "along_channels(result)": "false",
    "p.whole != 0": "true",
    "x.row": "0",
    "p.staged": "1",
    "p.states": "1",
    "at.pixel >= 0": "true",
}
_FORWARD = _KNOWN | {
    "row < tile.channels": "row < S::ROWS",
    "steps < S::STEPS": "false",
    "tile.channels <= 0": "false",
    "p.y.data": "true",
    "p.mode": "RESIDENT",
    "end % CHUNK != 0": "true",
}
_BACKWARD = _KNOWN | {
    "p.parts": "1",
    "count < S::STEPS || own.channels < S::CHANNELS": "false",
    "p.du_mode": "APART",
    "p.ddelta_mode": "APART",
    "x.dtype == FLOAT32": "false",
}


def all_of_forward(nvrtc, target):
    """Slots of a pixel, channel and route, with eight lanes."""
    name = instances.forward2d_name("bfloat16", "float32", _LANES)
    text = replaced(paste(instances.FORWARD_2D), _FORWARD)
    found, loops = instructions(nvrtc.compile(text, instances.FORWARD_2D, (name,), target))
    shape, tile = Shape.of("float32", _LANES), _tile(found, loops)
    copies = shape.length / 32, shape.rows / _AT_ONCE
    issued = count(found, tile).total()
    for loop in _outermost(tile, loops):
        kinds, inner = count(found, loop), [x for x in loops if loop.holds(x)]
        if inner and kinds["LDG"] + kinds["LDS"] > _AT_ONCE:
            issued += _times(found, loop, inner, *copies) - kinds.total()
    # In the end a lane takes a pixel of all rows of the warp, once for four routes.
    ends = [x for x in loops if x.first > tile.last and count(found, x)["STG"]]
    [end] = [x for x in ends if any(x.holds(y) for y in ends)]
    inner = [x for x in ends if end.holds(x)]
    last = _times(found, end, inner, 1, shape.rows) / shape.rows
    return issued / slots.ELEMENTS + last / plan_cross.ROUTES


def all_of_backward(nvrtc, target):
    """The same of the backward."""
    name = instances.backward_name(instances.BACKWARD_2D, "bfloat16", "float32")
    text = replaced(paste(instances.BACKWARD_2D), _BACKWARD)
    found, loops = instructions(nvrtc.compile(text, instances.BACKWARD_2D, (name,), target))
    tile = _tile(found, loops)
    issued = count(found, tile).total()
    for loop in _outermost(tile, loops):  # pixels, B and C, and their sums: by one of the warps
        issued -= count(found, loop).total() * (1 - 1 / WARPS)
    shape = shape_of("float32")
    return issued / (shape.steps * shape.channels)


def _tile(found, loops):
    """The loop over tiles: the smallest that shuffles."""
    return min((x for x in loops if count(found, x)["SHFL"]), key=lambda x: x.last - x.first)


def _outermost(tile, loops):
    """The largest loops in a tile."""
    inside = [x for x in loops if tile.holds(x)]
    return [x for x in inside if not any(y.holds(x) for y in inside)]


def _times(found, loop, inner, outer_times, inner_times):
    """Instructions of a loop and of those in it, each as often as a thread goes around."""
    rows = sum(count(found, x).total() for x in inner)
    return outer_times * (count(found, loop).total() - rows + inner_times * rows)


def forward(found, loops):
    """Slots of an element of the forward, and spilled registers that a turn loads or stores."""
    kinds = slots.state_loop(found, loops)
    return kinds.total() / slots.ELEMENTS, spills(kinds)


def backward(found, loops):
    """The same of the backward, which has one loop over states."""
    [kinds] = slots_backward.state_loops(found, loops)
    return kinds.total() / slots_backward.ELEMENTS, spills(kinds)


def spills(kinds: Counter):
    return kinds["LDL"] + kinds["STL"]


def moves(found, loops):
    """Instructions of the loop of a move that loads, for each number that it loads."""
    counted = [count(found, loop) for loop in innermost(loops)]
    return min(kinds.total() / kinds["LDG"] for kinds in counted if kinds["LDG"])


def show(target):
    """Print the counts for bfloat16."""
    nvrtc = find_nvrtc()

    def of(file, name):
        return instructions(nvrtc.compile(paste(file), file, (name,), target))

    print(f"{nvrtc}, {target}, bfloat16: issue slots for each state element of a map's scan")
    for lanes in instances.LANES_2D:
        name = instances.forward2d_name("bfloat16", "float32", lanes)
        each, spilled = forward(*of(instances.FORWARD_2D, name))
        print(f"forward, {lanes:2} lanes: {each:.2f}, {spilled} spilled")
    name = instances.backward_name(instances.BACKWARD_2D, "bfloat16", "float32")
    each, spilled = backward(*of(instances.BACKWARD_2D, name))
    print(f"backward:          {each:.2f}, {spilled} spilled")
    print(f"all in, of one state: forward {all_of_forward(nvrtc, target):.1f}, 8 lanes")
    print(f"                      backward {all_of_backward(nvrtc, target):.1f}, unmerged")
    for side, dim in slots_cross.STAGES.items():
        both = (slots_cross.Stage.of(dim, side, backward) for backward in (False, True))
        issued = [slots_cross.slots(nvrtc, target, stage) for stage in both]
        print(f"small maps, {side:2} x {side:2}: {issued[0]:.1f}, backward {issued[1]:.1f}")
    each = moves(*of(instances.MOVE, instances.move_name("bfloat16", 2, False)))
    print(f"gather:            {each:.2f} for each number")


if __name__ == "__main__":
    show(sys.argv[1] if len(sys.argv) > 1 else "sm_90")
