"""Issue slots of the CUDA backward scan, counted as slots.py counts those of the forward.

A tile besides its state loop is a whole one, with 16 states and softplus, without z, of a block of
four warps whose part of dB and dC is float32 and empty so far.
"""

from collections import Counter

from bench.machine_code import ONCE, PATHS, count, innermost, instructions, replaced
from selscan.backends.cupy import instances
from selscan.backends.cupy.paste import paste
from selscan.backends.cupy.plan import WARPS
from selscan.backends.cupy.plan_backward import CHUNK, MOST_STAGED, shape_of

ELEMENTS = 16  # of a thread: (channel, step)
_ACCESS = ("x.access", "min(x.B.access, x.C.access)")
_KNOWN = ONCE | {
    "p.reverse != 0": "false",
    "tile.all_steps<S>()": "true",
    "own.steps == S::STEPS && own.channels == S::CHANNELS": "true",
    "own.steps < S::STEPS || own.channels < S::CHANNELS": "false",
    "i < steps": "true",
    "w < warps": "true",
    "p.z.data": "false",
    "p.D.data": "true",
    "p.seq_idx.data": "false",
    "p.constant_b": "0",
    "p.constant_c": "0",
    "p.softplus": "1",
    "parts.adds": "false",
    "chunk == 0": "false",
    "x.dtype == FLOAT32": "false",
    "x.dtype == OWN_CODE<Number>": "true",
    "x.state != 0 && x.state < x.time": "false",
}


def state_loops(found, loops):
    """Counts of the plain loop over states, of the one with y, and of the general one."""
    counted = [count(found, loop) for loop in innermost(loops)]
    return sorted((kinds for kinds in counted if _is_state_loop(kinds)), key=Counter.total)


def _is_state_loop(kinds):
    return kinds["MUFU"] >= ELEMENTS < kinds["SHFL"]


def known(text, access):
    """The source of the kernel that can go one path only."""
    return replaced(text, _KNOWN | dict.fromkeys(_ACCESS, access))


def outside(found, loops, width):
    """Instructions that a thread of a `known` kernel issues for a tile, besides its state loop.

    `width`: elements that it loads at once.
    """
    counted = {loop: count(found, loop) for loop in loops}
    [states] = [loop for loop in innermost(loops) if _is_state_loop(counted[loop])]
    around = sorted(loop for loop in loops if loop.holds(states))
    tile = around[-2]  # in the one over blocks of channels; the last is over parts of the states
    total = counted[tile].total() - counted[states].total()
    for loop in innermost(loops):
        if tile.holds(loop) and loop != states:
            total += (_times(found, loop, width) - 1) * counted[loop].total()
    return total


def _times(found, loop, width):
    """How often a loop runs that moves B and C, saved states, or dB and dC."""
    threads, rows = 32 * WARPS, WARPS * shape_of("float32").rows
    codes = [code for code, _ in found[loop.first : loop.last + 1]]
    stores = sum(code.startswith("STG") for code in codes)
    floats = codes.count("LDG.E")
    loads = sum(code.startswith("LDG") for code in codes)
    if stores:
        return 2 * MOST_STAGED * CHUNK / threads / stores
    if floats:
        return MOST_STAGED * rows / threads / floats
    return max(1, 2 * MOST_STAGED * CHUNK / threads / width / loads)


def show(nvrtc, target):
    """Print the counts for bfloat16."""
    file, text = instances.BACKWARD, paste(instances.BACKWARD)
    name = instances.backward_name(file, "bfloat16", "float32")
    plain, gated, general = state_loops(*instructions(nvrtc.compile(text, file, (name,), target)))
    print("The backward")
    for kind, counts in (("", plain), (" with z", gated), (" with seq_idx", general)):
        print(f"          {counts.total() / ELEMENTS:.2f} for each state element{kind}")
    for path, (access, width) in PATHS.items():
        compiled = nvrtc.compile(known(text, access), file, (name,), target)
        slots = outside(*instructions(compiled), width) / ELEMENTS
        print(f"          {slots:.1f} for each step besides, {path} rows")
