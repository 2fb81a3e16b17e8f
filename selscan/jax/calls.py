"""The call of a kernel from a program of XLA."""

import ctypes

import jax

from ..backends.cpu import xla
from . import guards, manual

TARGET = "selscan_cpu"


def register():
    """Make the functions known that XLA calls: when a program is loaded, and when it runs."""
    stages = {"instantiate": xla.loader(), "execute": xla.handler()}
    capsules = {x: jax.ffi.pycapsule(ctypes.c_void_p(found)) for x, found in stages.items()}
    jax.ffi.register_ffi_target(TARGET, capsules, platform="cpu")


def launch(function, plan, operands, outputs):
    """Results of a plan in the order of `outputs`; both are by name, those Outputs (layouts.py).

    Scratch memory is one more result, which is dropped: XLA finds room for it and reuses it.
    """
    program = xla.program(plan, tuple(operands), tuple(outputs))
    arrays = manual.alike([*operands.values(), *map(guards.constant, program.tables)])
    arrays[0] = guards.ready(function, arrays[0], program.block)
    shapes = [(x.layout.shape, x.layout.dtype) for x in outputs.values()]
    shapes.append(((program.scratch,), "uint8"))
    results = [manual.struct(*shape, like=arrays[0]) for shape in shapes]
    call = jax.ffi.ffi_call(TARGET, results, vmap_method="sequential")
    *results, _ = call(*arrays, block=program.block)
    return results


def run(request, call, arrays, states=None, keep=None):
    """Results of a prepared call (ops/scan.py), as the kernel leaves them: some are in parts.

    `states` are those that a backward begins from; with `keep` those of a forward come last.
    """
    operands = {name: arrays[i] for i, name in call.given}
    outputs = {sink.name: sink.parts or sink.output for sink in call.sinks.all}
    if states is not None:
        operands["states"] = states
    if keep:
        outputs["states"] = call.states
    return launch(request.function, call.plan, operands, outputs)
