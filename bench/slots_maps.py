"""Issue slots of the CUDA kernels of maps: what their loops over states issue for each element.

    python -m bench.slots_maps [sm_90]

Counted in the kernels as they are, as bench.slots counts those of sequences.
"""

import sys
from collections import Counter

from bench import slots, slots_backward
from bench.machine_code import count, innermost, instructions
from selscan.backends.cupy import instances
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.cupy.paste import paste


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
    each = moves(*of(instances.MOVE, instances.move_name("bfloat16", 2, False)))
    print(f"gather:            {each:.2f} for each number")


if __name__ == "__main__":
    show(sys.argv[1] if len(sys.argv) > 1 else "sm_90")
