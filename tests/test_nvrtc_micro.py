"""The kernels that measure what a device can do: their loops have that and little else."""

import kernel_costs
import pytest

from bench import slots
from bench.gpu.parts import micro
from selscan.backends.cupy.paste import paste

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
    if kernel_costs.disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")
    text = paste(micro.FILE, micro.FOLDER)
    assert set(LOOPS) == set(micro.INSTANCES[micro.FILE])

    found, loops = slots.instructions(nvrtc.compile(text, micro.FILE, (name,), target))

    kind, count, others = LOOPS[name]
    counts = [slots.count(found, loop) for loop in slots.innermost(loops)]
    longest = max(counts, key=lambda kinds: kinds[kind])
    assert longest[kind] == count
    assert longest.total() - longest[kind] <= others
    wide = [op for op, _ in found if op.startswith(kind) and ".128" in op]
    assert kind == "MUFU" or len(wide) >= longest[kind]
