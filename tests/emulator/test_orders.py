"""Right kernels have the same bits in every order of threads, with both ways to switch stacks."""

import importlib

import numpy as np
import pytest

from . import ORDERS, Module, cases, compiler, demos, order, pointers
from .demos import KERNELS


def case(name):
    """The function of a case."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_for_the_sanitizers_passes_without(name):
    case(name)()


@pytest.mark.parametrize("name", ["check_scan", "check_warp", "check_atomics"])
def test_threads_may_be_switched_by_ucontext(name, monkeypatch):
    monkeypatch.setattr(compiler, "switch_flags", compiler.UCONTEXT)
    for module in (demos.scan_module, demos.warp_module):
        monkeypatch.setattr(demos, module.__name__, module.__wrapped__)

    getattr(demos, name)()


@pytest.fixture(scope="module")
def arrivals():
    """The numbers of 3 * 70 threads in the order in which they run."""
    code = (KERNELS / "interface.cu").read_text(encoding="utf-8")
    kernel = Module(code, ["arrivals"], file="interface.cu").get_function("arrivals")

    def run(kind, seed=0):
        count, out = np.zeros(1, np.int32), np.full(210, -1, np.int32)
        with order(kind, seed):
            kernel((3,), (70,), pointers(count, out))
        assert count == 210
        return out

    return run


def test_threads_and_blocks_run_in_the_order_that_is_asked_for(arrivals):
    assert np.array_equal(arrivals("forward"), np.arange(210))
    assert np.array_equal(arrivals("reverse"), np.arange(210)[::-1])

    drawn = arrivals("random", 1)
    assert np.array_equal(np.sort(drawn), np.arange(210))
    assert not np.array_equal(drawn, np.arange(210))
    assert np.array_equal(arrivals("random", 1), drawn)
    assert not np.array_equal(arrivals("random", 2), drawn)


def test_blocks_run_one_after_another(arrivals):
    blocks = arrivals("random", 5).reshape(3, 70) // 70

    assert (blocks == blocks[:, :1]).all()


def test_an_order_ends_with_its_block(arrivals):
    with pytest.raises(KeyError), order("reverse"):
        raise KeyError

    assert np.array_equal(arrivals("forward"), np.arange(210))
    with order("reverse"), order("forward"):
        pass
    code = (KERNELS / "interface.cu").read_text(encoding="utf-8")
    count, out = np.zeros(1, np.int32), np.zeros(4, np.int32)
    Module(code, ["arrivals"]).get_function("arrivals")((1,), (4,), pointers(count, out))
    assert out.tolist() == [0, 1, 2, 3]


def test_another_order_is_refused():
    assert ORDERS == ("forward", "reverse", "random")
    with pytest.raises(ValueError, match="order: kind must be one of forward, reverse, random; g"):
        order("sorted").__enter__()
