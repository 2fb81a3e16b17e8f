"""Issue slots of compiled CUDA kernels: lines of kernel_costs.json, for its ALWAYS alone."""

import hashlib
from functools import partial
from pathlib import Path

from bench import machine_code, slots, slots_backward, slots_cross, slots_maps
from bench.machine_code import PATHS, instructions
from selscan.backends.cupy import instances
from selscan.backends.cupy.paste import paste

TARGET, SIDE = "sm_90", 56
SOURCE = "source slots"  # the line of what counts them
_COUNTED_BY = machine_code, slots, slots_backward, slots_cross, slots_maps


def made_from():
    """A hash of what counts slots."""
    texts = [Path(module.__file__).read_text(encoding="utf-8") for module in _COUNTED_BY]
    return hashlib.sha256(repr(texts).encode()).hexdigest()[:16]


def lines():
    """{line: (file of the kernel, function of the compiler that counts it)}."""
    found = {}
    for element in instances.ELEMENTS:
        for lanes in instances.LANES:
            name = instances.forward_name(element, "float32", lanes, False)
            found |= _of_loops(instances.FORWARD, name, _forward_loops)
        for lanes in instances.LANES_2D:
            name = instances.forward2d_name(element, "float32", lanes)
            found |= _of_loops(instances.FORWARD_2D, name, _forward_loops)
        for file in (instances.BACKWARD, instances.BACKWARD_2D):
            name = instances.backward_name(file, element, "float32")
            found |= _of_loops(file, name, slots_backward.state_loops)
    for path in PATHS:
        for lanes in instances.LANES:
            found[step_line(instances.FORWARD, path, lanes)] = (
                instances.FORWARD,
                partial(_forward_step, path, lanes),
            )
        found[step_line(instances.BACKWARD, path)] = (
            instances.BACKWARD,
            partial(_backward_step, path),
        )
    for backward in (False, True):
        stage = slots_cross.Stage.of(slots_cross.STAGES[SIDE], SIDE, backward)
        found[map_line(stage.file)] = stage.file, partial(_small_map, stage)
    return found


def _forward_loops(found, loops):
    return [slots.state_loop(found, loops)]


def loops_line(file, name):
    """Of the loops over states of a kernel."""
    return f"loops {file} {name}"


def step_line(file, path, *lanes):
    """Of what is done once for a step, in bfloat16."""
    return " ".join(("step", file, path, *map(str, lanes)))


def map_line(file):
    """Of all that is done for a small map, in bfloat16."""
    return f"map {file} {SIDE}"


def _of_loops(file, name, choose):
    return {loops_line(file, name): (file, partial(_loops, file, name, choose))}


def _loops(file, name, choose, nvrtc):
    return [
        {"slots": kinds.total(), "MUFU": kinds["MUFU"], "spilled": slots_maps.spills(kinds)}
        for kinds in choose(*instructions(nvrtc.compile(paste(file), file, (name,), TARGET)))
    ]


def _forward_step(path, lanes, nvrtc):
    file = instances.FORWARD
    name = instances.forward_name("bfloat16", "float32", lanes, False)
    known = slots.known(paste(file), path)
    found, loops = instructions(nvrtc.compile(known, file, (name,), TARGET))
    return round(slots.outside(found, loops, lanes, path) / slots.ELEMENTS, 2)


def _backward_step(path, nvrtc):
    access, width = PATHS[path]
    file = instances.BACKWARD
    name = instances.backward_name(file, "bfloat16", "float32")
    known = slots_backward.known(paste(file), access)
    found, loops = instructions(nvrtc.compile(known, file, (name,), TARGET))
    return round(slots_backward.outside(found, loops, width) / slots_backward.ELEMENTS, 2)


def _small_map(stage, nvrtc):
    return round(slots_cross.slots(nvrtc, TARGET, stage), 2)
