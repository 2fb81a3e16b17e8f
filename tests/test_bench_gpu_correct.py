"""The check of kernels in bench.gpu, in the emulator: what is wrong is noticed."""

import ctypes

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import emulator  # noqa: E402
from fake_cuda import OPTIONS, place  # noqa: E402, F401 a fixture

from bench.gpu import (  # noqa: E402
    places,
    problems,
    problems_maps,
)
from bench.gpu.parts import correct  # noqa: E402
from selscan.backends import cupy as backend  # noqa: E402

pytestmark = pytest.mark.skipif(bool(emulator.missing()), reason=emulator.missing() or "-")

SIZE = {"b": 1, "d": 6, "g": 2, "n": 4, "l": 20, "dtype": "float32"}
MORE = {"layout": "bdl", "reverse": False, "delta_softplus": True, "form_b": "grouped"}
MORE |= {"form_c": "grouped", "given": ["D", "initial_state"], "out_dtype": None, "seq_idx": None}
CASES = {
    "scan": problems.Case("scan", SIZE | MORE, "every_other", "plain"),
    "step": problems.Case("step", SIZE | MORE | {"l": 1}, "transposed", "plain"),
}
MAP_OPTIONS = {"b": 1, "d": 3, "n": 2, "forms": ("sliced",) * 4}
MAPS = {
    "scan2d": problems_maps.Case("scan2d", "by name", MAP_OPTIONS, "plain"),
    "scan2d_backward": problems_maps.Case("scan2d_backward", "window", MAP_OPTIONS, "plain"),
    "gather": problems_maps.Case("gather", "cross 5 6", {"last": True}, "plain"),
    "scatter": problems_maps.Case("scatter", "atrous", {"last": False, "merge": True}, "plain"),
}


@pytest.fixture
def check(place, monkeypatch):  # noqa: F811
    """The row of one of CASES; `change(addresses)` comes after each launch."""
    monkeypatch.setattr(problems, "cases", lambda small: CASES)
    monkeypatch.setattr(problems_maps, "cases", lambda small: MAPS)

    def check(name, change=lambda addresses: None):
        launch = backend.launch

        def changed(plan, addresses, stream):
            launch(plan, addresses, stream)
            change(addresses)

        monkeypatch.setattr(backend, "launch", changed)
        [row] = correct.run(name, OPTIONS)
        return row

    return check


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_that_is_right_is_within_its_tolerance(check, name):
    row = check(name)

    assert row.note == ""
    assert 0 < row.p50 < 1
    assert row.mode == CASES[name].op


@pytest.mark.parametrize("name", MAPS)
def test_a_kernel_of_maps_that_is_right_is_within_its_tolerance(check, name):
    row = check(name)

    assert row.note == ""
    assert 0 <= row.p50 < 1
    assert row.mode == name


def test_a_number_of_a_map_that_is_wrong_is_noticed(check):
    row = check("gather", lambda addresses: scale(addresses["result"], 1.01))

    assert row.note.startswith("failed: 0: 1 of ")


def test_a_number_that_is_wrong_is_noticed(check):
    row = check("scan", lambda addresses: scale(addresses["y"], 1.01))

    assert row.note.startswith("failed: 0: 1 of 120 numbers are wrong")
    assert row.p50 > 1


def test_what_is_not_written_is_noticed(check, monkeypatch):
    monkeypatch.setattr(backend, "launch", lambda plan, addresses, stream: None)

    row = check("scan")

    assert row.note.startswith("failed: 0: 120 of 120 numbers are wrong")
    assert row.p50 == np.inf


def test_what_is_written_beside_a_result_is_noticed(check):
    row = check("scan", lambda addresses: scale(addresses["y"] - 4, 2, 5.0))
    assert row.note == "failed: 2 results were written outside of their memory"


def test_inputs_that_are_written_are_noticed(check):
    row = check("scan", lambda addresses: scale(addresses["B"] + 4, 2, 5.0))
    assert "inputs were written: B" in row.note


def test_other_bits_in_the_second_call_are_noticed(check):
    calls = []

    def change(addresses):
        calls.append(addresses)
        scale(addresses["y"], 1 + 1e-7 * (len(calls) > 1))

    assert check("scan", change).note == "failed: two calls gave different bits"


def scale(address, factor, instead=None):
    """Multiply the float at an address, or put another one there."""
    number = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
    number[0] = number[0] * factor if instead is None else instead


def test_the_cases_are_the_same_in_every_process_and_use_every_op():
    first, second = problems.cases(), problems.cases()

    assert list(first) == list(second)
    assert {case.op for case in first.values()} == set(correct.OPS)
    assert {case.way for case in first.values()} == {"plain", "stream", "graph", "other device"}


@pytest.mark.parametrize("small", [False, True])
def test_the_cases_of_maps_use_every_op_and_can_be_made(small):
    found = problems_maps.cases(small)

    assert {case.op for case in found.values()} == set(correct.MAP_OPS)
    for case in list(found.values())[:16]:
        path = problems_maps.make(case)["path"]
        most = problems_maps.SMALL if small else problems_maps.LARGEST
        assert case.options["b"] * case.options["d"] * path.table.size <= most


@pytest.mark.parametrize("form", problems.FORMS)
def test_a_tensor_has_the_strides_and_the_alignment_of_its_array(form):
    array = problems.FORMS[form](np.arange(24, dtype=np.float32).reshape(2, 3, 4))

    tensor, memory = places.placed(array, "cpu")

    assert [4 * step for step in tensor.stride()] == list(array.strides)
    assert np.array_equal(tensor.numpy(), array)
    assert (tensor.data_ptr() - memory.data_ptr()) % 64 == array.ctypes.data % 64
