"""What the CUDA scan and its gradient may issue for a state element, and for a step besides."""

import kernel_costs
import pytest

from bench import slots, slots_backward, slots_cross, slots_maps
from bench.machine_code import PATHS, instructions, parsed, section
from selscan.backends.cupy import instances
from selscan.backends.cupy.paste import SOURCES, paste
from selscan.backends.cupy.toolkit import disassembler

# Issue slots of the state loop for each element, by threads along time.
LIMITS = {1: 6.0, 2: 8.5, 8: 8.5, 32: 8.5}
# Those for each (b, d, l) besides; a warp along time stages B and C for few channels.
STEP_LIMITS = {"aligned": dict.fromkeys(LIMITS, 40), "unaligned": {1: 40, 2: 40, 8: 40, 32: 48}}


@pytest.fixture(scope="module")
def compiled(nvrtc):
    """The instructions and loops of an instance, perhaps of changed source, for sm_90."""
    if disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")

    def compiled(file, name, change=None):
        if change is not None:
            return instructions(nvrtc.compile(change(paste(file)), file, (name,), "sm_90"))
        names = instances.INSTANCES[file]
        together, text = kernel_costs.compiled_file(nvrtc, "sm_90", file, names, SOURCES)
        return parsed(section(text, together.lowered[name]))

    return compiled


@pytest.fixture(scope="module")
def count(compiled):
    """The same of the forward."""

    def count(element, lanes, change=None):
        name = instances.forward_name(element, "float32", lanes, False)
        return compiled(instances.FORWARD, name, change)

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
@pytest.mark.parametrize("path", PATHS)
def test_what_is_done_once_for_a_step_costs_few_slots(count, path, lanes):
    found, loops = count("bfloat16", lanes, lambda text: slots.known(text, path))

    limit = STEP_LIMITS[path][lanes] * slots.ELEMENTS
    assert slots.outside(found, loops, lanes, path) <= limit


# The same of the backward: without z, with z, and with seq_idx.
BACKWARD_LIMITS, BACKWARD_STEP_LIMIT = (24, 26, 40), 80


@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loops_of_the_backward_have_few_slots(compiled, element):
    name = instances.backward_name(instances.BACKWARD, element, "float32")

    found = slots_backward.state_loops(*compiled(instances.BACKWARD, name))

    for counts, limit in zip(found, BACKWARD_LIMITS, strict=True):
        assert counts["MUFU"] == slots_backward.ELEMENTS + 2  # the decay over a thread's steps
        assert counts["LDL"] == counts["STL"] == 0
        assert counts.total() <= limit * slots_backward.ELEMENTS


@pytest.mark.parametrize("path", PATHS)
def test_what_the_backward_does_once_for_a_step_costs_few_slots(compiled, path):
    access, width = PATHS[path]
    name = instances.backward_name(instances.BACKWARD, "bfloat16", "float32")

    found, loops = compiled(
        instances.BACKWARD, name, lambda text: slots_backward.known(text, access)
    )

    limit = BACKWARD_STEP_LIMIT * slots_backward.ELEMENTS
    assert slots_backward.outside(found, loops, width) <= limit


# Those of the scan of maps.
MAPS_LIMITS, MAPS_BACKWARD_LIMIT = {1: 6.0, 8: 8.5, 32: 9.0}, 24


@pytest.mark.parametrize("lanes", instances.LANES_2D)
@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loop_of_maps_has_few_slots(compiled, element, lanes):
    name = instances.forward2d_name(element, "float32", lanes)

    each, spilled = slots_maps.forward(*compiled(instances.FORWARD_2D, name))

    assert each <= MAPS_LIMITS[lanes]
    assert spilled <= (2 if lanes == 32 else 0)


@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loop_of_the_backward_of_maps_has_few_slots(compiled, element):
    name = instances.backward_name(instances.BACKWARD_2D, element, "float32")

    each, spilled = slots_maps.backward(*compiled(instances.BACKWARD_2D, name))

    assert each <= MAPS_BACKWARD_LIMIT
    assert spilled == 0


@pytest.mark.parametrize(("backward", "limit"), [(False, 36), (True, 95)])
def test_a_small_map_has_few_slots_all_in(nvrtc, backward, limit):
    if disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")
    stage = slots_cross.Stage.of(slots_cross.STAGES[56], 56, backward)

    assert slots_cross.slots(nvrtc, "sm_90", stage) <= limit


def test_a_path_of_the_source_that_is_gone_is_not_counted():
    with pytest.raises(RuntimeError, match="the kernel has no "):
        slots.known("nothing", "aligned")
