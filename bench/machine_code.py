"""Instructions of compiled kernels and their loops, as nvdisasm prints them; needs no GPU."""

import re
import subprocess
import tempfile
from collections import Counter
from typing import NamedTuple

from selscan.backends.cupy.toolkit import disassembler

_INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
# How rows are reached, in the kernels' words, and elements that are loaded at once.
PATHS = {"aligned": ("VECTORS_ALONG_TIME", 4), "unaligned": ("ELEMENTS_ALONG_TIME", 1)}
# What a block knows that meets finite numbers only (run.cuh).
ONCE = {
    "block(in_order != 0)": "block(false)",
    "__all_sync(0xffffffffu, finite || in_order != 0)": "true",
}
_LABEL = re.compile(r"\s*(\.L_x_\d+):")


class Loop(NamedTuple):
    """Instructions first ... last, a backward branch."""

    first: int
    last: int

    def holds(self, other):
        """Whether another loop lies inside."""
        return self != other and self.first <= other.first and other.last <= self.last


def instructions(compiled):
    """[(opcode, operands)] of a kernel that is compiled alone, and its loops."""
    return parsed(disassembled(compiled))


def disassembled(compiled):
    """What nvdisasm prints of all kernels that are compiled together."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.image)
        file.flush()
        command = [disassembler(), "-c", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def section(text, lowered):
    """The lines of one kernel, by its mangled name."""
    lines = text.splitlines()
    first = lines.index(f".text.{lowered}:") + 1
    end = (i for i in range(first, len(lines)) if lines[i].startswith(".text."))
    return "\n".join(lines[first : next(end, len(lines))])


def parsed(text):
    """`instructions` of the lines of one kernel."""
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


def replaced(text, values):
    """The source of a kernel with expressions of it replaced by their values."""
    for expression, value in values.items():
        pattern = rf"(?<![\w.]){re.escape(expression)}(?!\w)"
        text, times = re.subn(pattern, value, text)
        if not times:
            raise RuntimeError(f"the kernel has no {expression}")
    return text
