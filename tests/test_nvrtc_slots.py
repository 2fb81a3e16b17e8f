"""The loops over states of the CUDA forward scan: what they may issue for each state element."""

import kernel_costs
import pytest

from bench import slots
from selscan.backends.cupy import instances
from selscan.backends.cupy.paste import paste

# Issue slots, by threads along time.
LIMITS = {1: 6.0, 2: 8.5, 8: 8.5, 32: 8.5}


@pytest.mark.parametrize("lanes", instances.LANES)
def test_the_state_loop_has_one_exponential_for_each_element_and_few_slots(nvrtc, lanes):
    if kernel_costs.disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")
    name = instances.forward_name("bfloat16", "float32", lanes, False)
    compiled = nvrtc.compile(paste(instances.FORWARD), instances.FORWARD, (name,), "sm_90")
    counts = slots.state_loop(*slots.instructions(compiled))

    whole_stretches = 2 if lanes > 1 else 0  # the decay over a thread's steps, of two channels
    assert counts["MUFU"] == slots.ELEMENTS + whole_stretches
    assert counts["STL"] == 0
    assert counts.total() <= LIMITS[lanes] * slots.ELEMENTS
