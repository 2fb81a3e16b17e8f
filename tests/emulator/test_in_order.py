"""When blocks begin anew, in order: for infinities and NaN, and for nothing else."""

import functools

import numpy as np
import pytest
from map_strategies import PATHS, make_map_problem, with_dy
from strategies import make_problem, with_gradients

from selscan.backends.cupy.paste import SOURCES, paste
from selscan.backends.cupy.plan import Mapping
from selscan.backends.cupy.plan_backward import Mapping as BackwardMapping
from selscan.paths import cross

from . import KernelError, Module, crosses, in_order, maps, scans
from .scan_cases import with_complex, with_sequences


@pytest.mark.parametrize("name", in_order.ORDERED)
def test_every_order_of_threads_gives_the_same_bits(name):
    in_order.ORDERED[name]()


AGAIN = "in_order = 1;"


@functools.cache
def _failing(file, name):
    """An instance whose blocks fail where they would begin anew."""
    text = paste(file, SOURCES)
    assert file == "sum_parts.cu" or AGAIN in text or file == "scan_carry.cu"
    kernel = Module(text.replace(AGAIN, 'assert(!"begins anew");'), [name], file=file)
    kernel = kernel.get_function(name)
    kernel.max_dynamic_shared_size_bytes = scans.DEVICE.shared_per_block
    return kernel


@pytest.fixture
def _fails_anew(monkeypatch):
    monkeypatch.setattr(scans, "function", _failing)
    monkeypatch.setattr(maps, "function", _failing)


SCANS = {
    "ragged": make_problem(b=1, d=7, n=3, l=37, given=()),
    "packed, from the end": with_sequences(make_problem(b=1, d=5, n=4, l=70, reverse=True), 3),
    "constant": make_problem(b=1, d=5, n=3, l=40, form_b="constant", form_c="constant"),
    "complex": with_complex(make_problem(b=1, d=5, n=3, l=40), ("C",)),
    "channels last": make_problem(b=1, d=6, n=3, l=40, layout="bld"),
    "bfloat16": make_problem(b=1, d=6, n=3, l=33, dtype="bfloat16"),
}


@pytest.mark.usefixtures("_fails_anew")
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("name", SCANS)
def test_finite_numbers_are_scanned_once(name, lanes):
    problem = SCANS[name]
    lanes = 8 if name == "complex" else lanes
    for mapping in (Mapping(lanes, 2, 1, 2), Mapping(lanes, 2, 2, 2, 3)):
        scans.assert_right(problem, scans.forward(**problem, mapping=mapping))
    problem = with_gradients(problem)
    for mapping in (BackwardMapping(1, 2, 1, 2), BackwardMapping(2, 1, 3, 2)):
        gradients = scans.backward(**problem, mapping=mapping, forward=Mapping(8, 2, 1, 2))
        scans.assert_gradients_right(problem, gradients)


@pytest.mark.usefixtures("_fails_anew")
@pytest.mark.parametrize("path", PATHS)
def test_finite_maps_are_scanned_once(path):
    problem = make_map_problem(PATHS[path], d=5)
    maps.assert_right(problem, maps.forward(**problem))
    problem = with_dy(problem)
    maps.assert_gradients_right(problem, maps.backward(**problem))


@pytest.mark.usefixtures("_fails_anew")
@pytest.mark.parametrize("case", crosses.SAMPLE)
def test_finite_small_maps_are_scanned_once(case):
    crosses.check_case(crosses.SAMPLE[case], lambda run: run())


@pytest.mark.usefixtures("_fails_anew")
def test_a_nan_is_not():
    """Or the tests above could not fail."""
    problem = with_gradients(make_problem(b=1, d=3, n=2, l=9))
    problem["u"][0, 1, 3] = np.nan
    forward = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    small = with_dy(make_map_problem(cross(4, 5), n=1, d=3))
    small["dy"][0, 1, 2, 3] = np.nan
    for run in (
        lambda: scans.forward(**forward),
        lambda: scans.backward(**problem),
        lambda: maps.backward(**small, mapping=crosses.mapping_of(small, True)),
    ):
        with pytest.raises(KernelError, match="begins anew"):
            run()
