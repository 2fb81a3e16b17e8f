"""What the CUDA forward scan may issue for each state element, and for each step besides."""

import kernel_costs
import pytest

from bench import slots
from selscan.backends.cupy import instances
from selscan.backends.cupy.paste import paste

# Issue slots of the state loop for each element, by threads along time.
LIMITS = {1: 6.0, 2: 8.5, 8: 8.5, 32: 8.5}
# Those for each (b, d, l) besides; a warp along time stages B and C for few channels.
STEP_LIMITS = {"aligned": dict.fromkeys(LIMITS, 40), "unaligned": {1: 40, 2: 40, 8: 40, 32: 48}}


@pytest.fixture(scope="module")
def count(nvrtc):
    """The instructions and loops of an instance, perhaps of changed source."""
    if kernel_costs.disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")
    source = paste(instances.FORWARD)

    def count(element, lanes, change=lambda text: text):
        name = instances.forward_name(element, "float32", lanes, False)
        compiled = nvrtc.compile(change(source), instances.FORWARD, (name,), "sm_90")
        return slots.instructions(compiled)

    return count


@pytest.mark.parametrize("lanes", instances.LANES)
@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loop_has_one_exponential_for_each_element_and_few_slots(count, element, lanes):
    counts = slots.state_loop(*count(element, lanes))

    whole_stretches = 2 if lanes > 1 else 0  # the decay over a thread's steps, of two channels
    assert counts["MUFU"] == slots.ELEMENTS + whole_stretches
    assert counts["LDL"] == counts["STL"] == 0
    assert counts.total() <= LIMITS[lanes] * slots.ELEMENTS


@pytest.mark.parametrize("lanes", instances.LANES)
@pytest.mark.parametrize("path", slots.PATHS)
def test_what_is_done_once_for_a_step_costs_few_slots(count, path, lanes):
    found, loops = count("bfloat16", lanes, lambda text: slots.known(text, path))

    limit = STEP_LIMITS[path][lanes] * slots.ELEMENTS
    assert slots.outside(found, loops, lanes, path) <= limit


def test_a_path_of_the_source_that_is_gone_is_not_counted():
    with pytest.raises(RuntimeError, match="the kernel has no "):
        slots.known("nothing", "aligned")
