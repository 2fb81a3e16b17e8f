"""The kernels that measure what a device can do: their loops have that and little else."""

import kernel_costs
import pytest

from bench import slots
from bench.gpu.parts import micro
from bench.machine_code import parsed, section
from selscan.backends.cupy.toolkit import disassembler

# What a loop has of it, and how many others it may have: for each of them, and for the loop itself.
LOOPS = {
    "copy<4>": ("LDG", 4, 8 * 4 + 20),
    "exponentials<0>": ("MUFU", 8, 8 + 4),
    "exponentials<3>": ("MUFU", 8, 8 * 4 + 4),
    **{f"shared_reads<{lanes}>": ("LDS", 8, 8 * 2 + 8) for lanes in (1, 2, 8, 32)},
    "cache_reads<8>": ("LDG", 8, 8 * 8 + 8),
}


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_does_what_is_measured_and_little_else(nvrtc, name, target):
    if disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")
    names = micro.INSTANCES[micro.FILE]
    assert set(LOOPS) == set(names)

    compiled, text = kernel_costs.compiled_file(nvrtc, target, micro.FILE, names, micro.FOLDER)
    found, loops = parsed(section(text, compiled.lowered[name]))

    kind, count, others = LOOPS[name]
    counts = [slots.count(found, loop) for loop in slots.innermost(loops)]
    longest = max(counts, key=lambda kinds: kinds[kind])
    assert longest[kind] == count
    assert longest.total() - longest[kind] <= others
    wide = [op for op, _ in found if op.startswith(kind) and ".128" in op]
    assert kind == "MUFU" or len(wide) >= longest[kind]
