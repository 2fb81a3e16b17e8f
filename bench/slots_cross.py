"""Issue slots of the CUDA kernels for small maps, all in, for each pixel, channel and route.

What a thread issues for a map in bfloat16 with softplus and D, in whole vectors, from the first
instruction to the last: every loop counts as often as a thread goes around in it on average, and
what a block does once is shared by its channels, as planning has them for a batch of 128.
"""

from typing import NamedTuple

from bench.machine_code import ONCE, count, instructions, replaced
from selscan.arrays.layouts import Layout, dense_steps
from selscan.backends.cupy import instances, plan_cross
from selscan.backends.cupy.paste import paste
from selscan.backends.cupy.plan import Device
from selscan.ops import contract2d
from selscan.paths import cross

BATCH, STAGES = 128, {56: 96, 28: 192, 14: 384, 7: 768}  # channels by side: those of VMamba-T
_VECTORS = {7: 1, 14: 2, 28: 4, 56: 8}  # pixels of a load
# What the kernels know here, as expressions of the source and their values.
_KNOWN = ONCE | {"p.softplus != 0": "true", "p.D.data": "true"}
_IN_VECTORS = {"mine.size > 1": "true"}
_FORWARD = {"p.y.dtype == CODE<typename S::Element>": "true"}
_BACKWARD = {
    "p.dy_in_order && (size == 1 || is_aligned<S>(p.dy))": "true",
    "p.parts_in_order": "true",
}
# What one warp of a team does alone.
_ALONE = {"thread < TOTALS - COLUMNS": "false"}


class Stage(NamedTuple):
    """A map, and how planning spreads its scan."""

    pixels: int
    mapping: plan_cross.Mapping
    backward: bool

    @classmethod
    def of(cls, dim, side, backward):
        """Of so many channels, in bfloat16 on an H100."""

        def layout(*shape, dtype="bfloat16", size=2):
            return Layout(shape, dense_steps(shape, range(len(shape)), size), dtype)

        maps = {
            "u": layout(BATCH, dim, side, side),
            "delta": layout(BATCH, 4, dim, side, side),
            "A": layout(4, dim, 1, dtype="float32", size=4),
            "B": layout(BATCH, 4, 1, side, side),
            "C": layout(BATCH, 4, 1, side, side),
        }
        call = contract2d.check("scan2d", maps, cross(side, side))
        return cls(side * side, plan_cross.choose(call, Device(), backward), backward)

    @property
    def file(self):
        return instances.CROSS_BACKWARD if self.backward else instances.CROSS_FORWARD

    @property
    def name(self):
        shape = self.mapping.shape
        return instances.cross_name(self.file, "bfloat16", shape.side, shape.whole)

    @property
    def elements(self):
        """(pixel, channel, route) for each thread of a team, of which some may have no pixels."""
        return self.mapping.turns * plan_cross.ROUTES * self.pixels / self.mapping.team


def slots(nvrtc, target, stage):
    """Slots of an element of a Stage."""
    text = paste(stage.file)
    known = _KNOWN | (_BACKWARD if stage.backward else _FORWARD)
    if stage.mapping.shape.side > 7:
        known |= _IN_VECTORS
    text = replaced(text, known)
    total = _issued(nvrtc, target, stage, text)
    if stage.backward:
        rest = _issued(nvrtc, target, stage, replaced(text, _ALONE))
        total = rest + (total - rest) / max(1, stage.mapping.team // 32)
    return total / stage.elements


def _issued(nvrtc, target, stage, text):
    """Instructions of a thread."""
    found, loops = instructions(nvrtc.compile(text, stage.file, (stage.name,), target))
    loops = [loop for loop in loops if loop.first < loop.last]  # the end of code is one by itself
    times = {loop: _times(found, loop, loops, stage) for loop in loops}
    total = 0
    for i, (opcode, _) in enumerate(found):
        weight = opcode != "NOP"
        for loop in loops:
            if loop.first <= i <= loop.last:
                weight *= times[loop]
        total += weight
    return total


def _times(found, loop, loops, stage):
    """How often a thread goes around in a loop, on average."""
    mapping, kinds = stage.mapping, count(found, loop)
    if _is_turn(kinds):
        return mapping.turns
    in_turn = any(x.holds(loop) and _is_turn(count(found, x)) for x in loops)
    if in_turn and not kinds["LDG"] + kinds["STG"]:
        return mapping.team / 32  # sums of the warps, by one of them
    if not kinds["LDG"] + kinds["STG"]:
        return mapping.teams
    threads = mapping.team * (1 if in_turn else mapping.teams)
    if kinds["LDG"] > 4 and not in_turn:  # rows of the channels
        return max(1, plan_cross.ROUTES * plan_cross.channels_of(mapping) / threads)
    at_once = 1 if kinds["FADD"] else _VECTORS[mapping.shape.side]  # one by one where it sums up
    return stage.pixels / at_once / threads


def _is_turn(kinds):
    return kinds["SHFL"] > 0
