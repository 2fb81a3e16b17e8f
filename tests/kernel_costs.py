"""What compiled CUDA kernels cost: registers, spills, memory and instructions, without a GPU.

    python tests/kernel_costs.py

writes kernel_costs.json, which test_nvrtc_costs.py compares with; commit the difference. It needs
the packages of `pip install -e '.[nvrtc]'`. With the compiler that torch pins for CUDA 13.0 instead
(`pip install nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-runtime==13.0.96`) it writes
kernel_costs_pinned.json, of the kernels of PINNED alone.

The file has a hash of what each file of kernels is compiled from, too. The same text, options and
compiler make the same code: where the hash is the one that is kept, only what it picks is compiled
again, by the command and by the tests; where it is not, all kernels for all targets.
"""

import functools
import hashlib
import json
import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kernel_slots
from cuda_parts import INSTANCES, SOURCES

from bench.machine_code import disassembled
from selscan.backends.cupy import instances, paste
from selscan.backends.cupy.compiler import OPTIONS, find_nvrtc

SNAPSHOT = Path(__file__).with_suffix(".json")
OTHER = SNAPSHOT.with_name("kernel_costs_pinned.json")
PINNED = {
    instances.FORWARD: tuple(
        instances.forward_name("bfloat16", "float32", lanes, False) for lanes in (1, 8, 32)
    ),
    instances.BACKWARD: (instances.backward_name(instances.BACKWARD, "bfloat16", "float32"),),
}
KERNELS = ((instances.INSTANCES, paste.SOURCES), (INSTANCES, SOURCES))
ALWAYS = kernel_slots.TARGET
TARGETS = "sm_80", ALWAYS, "sm_100"
# MUFU: exponentials and the like. LDL, STL: local memory. BAR: barriers of a block.
COUNTED = ("MUFU", "SHFL", "BAR", "LDG", "STG", "LDL", "STL")

_PTXAS = re.compile(
    r"Function properties for (?P<kernel>\S+)\n"
    r"\D*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads\n"
    r".*Used (?P<registers>\d+) registers(?P<rest>.*)"
)
_SHARED = re.compile(r"(\d+) bytes smem")
_FUNCTION = re.compile(r"\.text\.(\S+):")
_INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)")


def files():
    """(file, names of its instances, its folder) of all kernels."""
    return [(file, names, folder) for listed, folder in KERNELS for file, names in listed.items()]


def costs_of(nvrtc, target, wanted):
    """{kernel: {what: how much}} of every instance of some files for one target, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda one: _costs_of_file(nvrtc, target, *one), wanted)
    return {name: cost for costs in found for name, cost in costs.items()}


def made_from(compiler, file, names, folder):
    """A hash of all that the code of a file depends on; `compiler` is the identity of one."""
    parts = [*compiler], OPTIONS, names, paste.paste(file, folder)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def sources(nvrtc):
    """{line of the snapshot: hash} of all files."""
    return {f"source {one[0]}": made_from(nvrtc.identity, *one) for one in files()}


@functools.cache
def compiled_file(nvrtc, target, file, names, folder):
    """All instances of a file, and what nvdisasm prints of them; once for all tests."""
    compiled = nvrtc.compile(paste.paste(file, folder), file, names, target)
    return compiled, disassembled(compiled)


def _costs_of_file(nvrtc, target, file, names, folder):
    compiled, text = compiled_file(nvrtc, target, file, names, folder)
    used, instructions = resources(compiled.log), counts(text)
    return {
        f"{file} {name}": used[compiled.lowered[name]] | instructions[compiled.lowered[name]]
        for name in names
    }


def resources(log):
    """{mangled name: registers, bytes of stack, of spills and of static shared memory}."""
    found = {}
    for match in _PTXAS.finditer(log):
        shared = _SHARED.search(match["rest"])
        found[match["kernel"]] = {
            "registers": int(match["registers"]),
            "stack": int(match["stack"]),
            "spills": int(match["stores"]) + int(match["loads"]),
            "shared": int(shared[1]) if shared else 0,
        }
    return found


def counts(text):
    """{mangled name: how many instructions, and of which kinds}; NOP pads and is left out."""
    found, function = {}, None
    for line in text.splitlines():
        if match := _FUNCTION.match(line):
            function = found.setdefault(match[1], Counter())
        elif function is not None and (match := _INSTRUCTION.match(line)):
            function[match[1]] += 1
    return {name: _summary(function) for name, function in found.items()}


def _summary(function):
    total = function.total() - function["NOP"]
    return {"instructions": total} | {kind: function[kind] for kind in COUNTED}


def changed(nvrtc, kept):
    """Files, and whatever counts slots, that are not what the lines of `kept` were made from."""
    found = sources(nvrtc) | {kernel_slots.SOURCE: kernel_slots.made_from()}
    return {line for line, made_from in found.items() if kept.get(line) != made_from}


def wanted(nvrtc, kept, target):
    """What to compile for a target: files that changed; for ALWAYS an instance of the others."""
    new = changed(nvrtc, kept)
    for file, names, folder in files():
        if f"source {file}" in new:
            yield file, names, folder
        elif target == ALWAYS:
            yield file, (picked(names, kept[f"source {file}"]),), folder


def picked(listed, by):
    """One of a list, by a hash."""
    return listed[int(by, 16) % len(listed)]


def slots_of(nvrtc, kept):
    """{line: slots} of kernels or counting that changed, and of one line else."""
    new, lines = changed(nvrtc, kept), kernel_slots.lines()
    again = {
        line for line, (file, _) in lines.items() if {f"source {file}", kernel_slots.SOURCE} & new
    }
    again = again or {picked(sorted(lines), kept[kernel_slots.SOURCE])}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = pool.map(lambda line: lines[line][1](nvrtc), again)
        return dict(zip(again, counted, strict=True))


def snapshot(nvrtc, kept):
    """All that is kept: the compiler, the sources, and what kernels cost for each target."""
    found = (
        {"compiler": str(nvrtc)} | sources(nvrtc) | {kernel_slots.SOURCE: kernel_slots.made_from()}
    )
    for target in TARGETS:
        costs = costs_of(nvrtc, target, wanted(nvrtc, kept, target))
        found |= {f"{name} {target}": cost for name, cost in costs.items()}
    found |= slots_of(nvrtc, kept)
    return {line: found.get(line, kept.get(line)) for line in expected()}


def expected():
    """All lines."""
    kernels = {f"{file} {name}" for file, names, _ in files() for name in names}
    costs = {f"{kernel} {target}" for kernel in kernels for target in TARGETS}
    others = {f"source {file}" for file, _, _ in files()} | {"compiler", kernel_slots.SOURCE}
    return costs | others | set(kernel_slots.lines())


def write(lines, file=None):
    """One line for each kernel and target, sorted: differences are short."""
    rows = (f"{json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines))
    (file or SNAPSHOT).write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def files_of_pinned():
    """`files` of PINNED."""
    return [(file, names, paste.SOURCES) for file, names in PINNED.items()]


def sources_of_pinned():
    """{line: hash} of them, whatever compiles them."""
    return {f"source {one[0]}": made_from((), *one) for one in files_of_pinned()}


def snapshot_of_pinned(nvrtc):
    """The same as `snapshot` of PINNED, for ALWAYS alone."""
    costs = costs_of(nvrtc, ALWAYS, files_of_pinned())
    kept = {f"{name} {ALWAYS}": cost for name, cost in costs.items()}
    return {"compiler": str(nvrtc)} | sources_of_pinned() | kept


if __name__ == "__main__":
    compiler = find_nvrtc()
    if tuple(compiler.version) == (13, 0):
        write(snapshot_of_pinned(compiler), OTHER)
    else:
        write(snapshot(compiler, json.loads(SNAPSHOT.read_text(encoding="utf-8"))))
