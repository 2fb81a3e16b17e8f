"""Issue slots of the state loops of the CUDA forward scan, counted in machine code; needs no GPU.

    python -m bench.slots [sm_90]

Counts are not times. It needs the packages of `pip install -e '.[nvrtc]'`.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from typing import NamedTuple

from selscan.backends.cupy import instances
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.cupy.paste import paste
from selscan.backends.cupy.toolkit import disassembler

_INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
_LABEL = re.compile(r"\s*(\.L_x_\d+):")
ELEMENTS = 32  # of a thread: (channel, step)


class Loop(NamedTuple):
    """Instructions first ... last, a backward branch."""

    first: int
    last: int

    def holds(self, other):
        """Whether another loop lies inside."""
        return self != other and self.first <= other.first and other.last <= self.last


def instructions(compiled):
    """[(opcode, operands)] of a kernel, and its loops."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.image)
        file.flush()
        command = [disassembler(), "-c", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, labels, loops = [], {}, []
    for line in text.splitlines():
        if match := _LABEL.match(line):
            labels[match[1]] = len(found)
        elif match := _INSTRUCTION.match(line):
            found.append((match[1], match[2]))
    for i, (opcode, operands) in enumerate(found):
        target = re.search(r"\.L_x_\d+", operands)
        if opcode.startswith("BRA") and target and labels[target[0]] <= i:
            loops.append(Loop(labels[target[0]], i))
    return found, loops


def count(found, loop):
    """Instructions of a loop by kind; NOP pads."""
    kinds = Counter(op.partition(".")[0] for op, _ in found[loop.first : loop.last + 1])
    del kinds["NOP"]
    return kinds


def innermost(loops):
    return [loop for loop in loops if not any(loop.holds(other) for other in loops)]


def state_loop(found, loops):
    """The plain loop over states: the shortest with an exponential for each element."""
    counted = [count(found, loop) for loop in innermost(loops)]
    return min((c for c in counted if c["MUFU"] >= ELEMENTS), key=Counter.total)


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "sm_90"
    nvrtc, text = find_nvrtc(), paste(instances.FORWARD)
    print(f"{nvrtc}, {target}, bfloat16: issue slots of the state loop for each state element")
    for lanes in instances.LANES:
        name = instances.forward_name("bfloat16", "float32", lanes, False)
        compiled = nvrtc.compile(text, instances.FORWARD, (name,), target)
        counts = state_loop(*instructions(compiled))
        kinds = ", ".join(f"{kind} {number}" for kind, number in counts.most_common(6))
        print(f"{lanes:2} lanes: {counts.total() / ELEMENTS:.2f}  ({kinds})")
