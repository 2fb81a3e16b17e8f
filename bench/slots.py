"""Issue slots of the CUDA scan and of its gradient, counted in machine code; needs no GPU.

    python -m bench.slots [sm_90]

Counts are not times. It needs the packages of `pip install -e '.[nvrtc]'`.

The state loop is counted for each state element (b, d, l, n), in the kernel as it is. What a tile
costs besides, for each (b, d, l), is counted in a kernel that can do nothing else: a whole tile in
the order of memory with 16 states, softplus, D and delta_bias, without z and saved states; rows are
either aligned, or not (`known`). Its loops count as often as it takes to load or store all elements
of a tile.
"""

import sys
from collections import Counter

from bench import slots_backward
from bench.machine_code import ONCE, PATHS, count, innermost, instructions, replaced
from selscan.backends.cupy import instances
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.cupy.paste import paste
from selscan.backends.cupy.plan import MOST_STAGED, WARPS, Shape

ELEMENTS = 32  # of a thread: (channel, step)
_ACCESS = ("x.access", "y.access", "min(x.B.access, x.C.access)")
# What both know, as expressions of the source and their values.
_KNOWN = ONCE | {
    "p.reverse != 0": "false",
    "row_step == x.channel": "true",
    "tile.channels >= S::ROWS": "true",
    "tile.all_steps<S>()": "true",
    "p.z.data": "false",
    "p.seq_idx.data": "false",
    "p.saved.data != nullptr": "false",
    "p.maps": "0",
    "p.segments": "1",
    "p.constant_b": "0",
    "p.constant_c": "0",
    "p.softplus": "1",
    "p.D.data && part == 0": "true",
    "p.parts": "1",
    "p.y.dtype == FLOAT32": "false",
    "steps < S::STEPS": "false",
}


def state_loops(found, loops):
    """The loops over states: those with an exponential for half the elements or more."""
    counted = {loop: count(found, loop) for loop in innermost(loops)}
    few = ELEMENTS // 2
    return [loop for loop, kinds in counted.items() if kinds["MUFU"] >= few < kinds["FFMA"]]


def state_loop(found, loops):
    """The plain loop over states: the shortest with an exponential for each element."""
    counted = [count(found, loop) for loop in state_loops(found, loops)]
    return min((c for c in counted if c["MUFU"] >= ELEMENTS), key=Counter.total)


def known(text, path):
    """The source of a kernel that can go one path only."""
    access, _ = PATHS[path]
    return replaced(text, _KNOWN | dict.fromkeys(_ACCESS, access))


def outside(found, loops, lanes, path):
    """Instructions that a thread of a `known` kernel issues for a tile, besides its state loops."""
    states = state_loops(found, loops)
    around = sorted(loop for loop in loops if all(loop.holds(x) for x in states))
    tile, staging = around[0], around[-1]  # the loop over tiles; the one over parts of the states
    _, width = PATHS[path]
    staged = 2 * MOST_STAGED * Shape.of("float32", lanes).length / (32 * WARPS)  # B and C
    total = count(found, tile).total() - sum(count(found, x).total() for x in states)
    for loop in loops:
        kinds = count(found, loop)
        accesses = kinds["LDG"] + kinds["STG"]
        if tile.holds(loop) and loop not in (*states, *around) and accesses:
            wanted = (staged if staging.holds(loop) else ELEMENTS) / width
            total += (max(1, wanted / accesses) - 1) * kinds.total()
    return total


def show(target):
    """Print the counts of the forward and of the backward for bfloat16."""
    nvrtc, text = find_nvrtc(), paste(instances.FORWARD)
    print(f"{nvrtc}, {target}, bfloat16: issue slots of the forward")
    for lanes in instances.LANES:
        name = instances.forward_name("bfloat16", "float32", lanes, False)
        compiled = nvrtc.compile(text, instances.FORWARD, (name,), target)
        counts = state_loop(*instructions(compiled))
        kinds = ", ".join(f"{kind} {number}" for kind, number in counts.most_common(6))
        print(f"{lanes:2} lanes: {counts.total() / ELEMENTS:.2f} for each state element  ({kinds})")
        for path in PATHS:
            compiled = nvrtc.compile(known(text, path), instances.FORWARD, (name,), target)
            slots = outside(*instructions(compiled), lanes, path) / ELEMENTS
            print(f"          {slots:.1f} for each step besides, {path} rows")
    slots_backward.show(nvrtc, target)


if __name__ == "__main__":
    show(sys.argv[1] if len(sys.argv) > 1 else "sm_90")
