"""What the CUDA scan and its gradient may issue for a state element, and for a step besides.

These are kept numbers; test_nvrtc_costs.py compares them with what is compiled.
"""

import json

import kernel_costs
import kernel_slots
import pytest

from bench import slots, slots_backward
from bench.machine_code import PATHS
from selscan.backends.cupy import instances, plan_cross

KEPT = json.loads(kernel_costs.SNAPSHOT.read_text(encoding="utf-8"))
# Issue slots of the state loop for each element, by threads along time.
LIMITS = {1: 6.0, 2: 8.5, 8: 8.5, 32: 8.5}
# Those for each (b, d, l) besides; a warp along time stages B and C for few channels.
STEP_LIMITS = {"aligned": dict.fromkeys(LIMITS, 40), "unaligned": {1: 42, 2: 42, 8: 42, 32: 48}}
# The same of the backward: without z, with z, and with seq_idx.
BACKWARD_LIMITS, BACKWARD_STEP_LIMIT = (24, 26, 40), 88
# Those of the scan of maps.
MAPS_LIMITS, MAPS_BACKWARD_LIMIT = {1: 6.0, 8: 8.75, 32: 9.25}, 24.5
SMALL_MAP_LIMITS = {instances.CROSS_FORWARD: 36, instances.CROSS_BACKWARD: 98}


def loops_of(file, name):
    return KEPT[kernel_slots.loops_line(file, name)]


@pytest.mark.parametrize("lanes", instances.LANES)
@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loop_has_one_exponential_for_each_element_and_few_slots(element, lanes):
    name = instances.forward_name(element, "float32", lanes, False)

    [loop] = loops_of(instances.FORWARD, name)

    whole_stretches = 2 if lanes > 1 else 0  # the decay over a thread's steps, of two channels
    assert loop["MUFU"] == slots.ELEMENTS + whole_stretches
    assert loop["spilled"] <= (2 if lanes == 32 else 0)
    assert loop["slots"] <= LIMITS[lanes] * slots.ELEMENTS


@pytest.mark.parametrize("lanes", instances.LANES)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_done_once_for_a_step_costs_few_slots(path, lanes):
    found = KEPT[kernel_slots.step_line(instances.FORWARD, path, lanes)]

    assert found <= STEP_LIMITS[path][lanes]


@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loops_of_the_backward_have_few_slots(element):
    name = instances.backward_name(instances.BACKWARD, element, "float32")

    for loop, limit in zip(loops_of(instances.BACKWARD, name), BACKWARD_LIMITS, strict=True):
        assert loop["MUFU"] == slots_backward.ELEMENTS + 2  # the decay over a thread's steps
        assert loop["spilled"] == 0
        assert loop["slots"] <= limit * slots_backward.ELEMENTS


@pytest.mark.parametrize("path", PATHS)
def test_what_the_backward_does_once_for_a_step_costs_few_slots(path):
    assert KEPT[kernel_slots.step_line(instances.BACKWARD, path)] <= BACKWARD_STEP_LIMIT


@pytest.mark.parametrize("lanes", instances.LANES_2D)
@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loop_of_maps_has_few_slots(element, lanes):
    name = instances.forward2d_name(element, "float32", lanes)

    [loop] = loops_of(instances.FORWARD_2D, name)

    assert loop["slots"] <= MAPS_LIMITS[lanes] * slots.ELEMENTS
    assert loop["spilled"] <= (0 if lanes == 1 else 2)


@pytest.mark.parametrize("element", instances.ELEMENTS)
def test_the_state_loop_of_the_backward_of_maps_has_few_slots(element):
    name = instances.backward_name(instances.BACKWARD_2D, element, "float32")

    [loop] = loops_of(instances.BACKWARD_2D, name)

    assert loop["slots"] <= MAPS_BACKWARD_LIMIT * slots_backward.ELEMENTS
    assert loop["spilled"] <= 2


@pytest.mark.parametrize("file", SMALL_MAP_LIMITS)
def test_a_small_map_has_few_slots_all_in(file):
    assert KEPT[kernel_slots.map_line(file)] <= SMALL_MAP_LIMITS[file]


def test_kernels_for_small_maps_have_the_shared_memory_that_is_planned():
    shared = [x["shared"] for name, x in KEPT.items() if name.startswith("cross_")]

    assert max(shared) <= plan_cross._STATIC


def test_a_path_of_the_source_that_is_gone_is_not_counted():
    with pytest.raises(RuntimeError, match="the kernel has no "):
        slots.known("nothing", "aligned")
