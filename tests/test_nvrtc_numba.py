"""The kernels of the Numba CUDA backend, compiled without a GPU: registers, stack and spills."""

import json
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda")

from selscan.backends import SIMULATED

if SIMULATED:
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

import numba_costs

KEPT = json.loads(Path(numba_costs.SNAPSHOT).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def pinned():
    """The compilers that the costs were taken with."""
    found = numba_costs.compiler()
    if found != KEPT["compiler"]:
        pytest.skip(f"the costs are those of {KEPT['compiler']}; this is {found}")


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("target", numba_costs.TARGETS, ids=str)
def test_kernels_cost_what_is_kept(target):
    wanted = numba_costs.wanted(KEPT, target)
    found = numba_costs.costs_of(target, wanted)

    kept = {name: KEPT[name] for name in found if name in KEPT}
    assert bool(found) or target != numba_costs.ALWAYS
    assert found == kept, "python tests/numba_costs.py writes the file; look at what changes"


def test_costs_are_kept_for_every_kernel_and_target():
    names = {
        numba_costs.name_of(*one, target)
        for one in numba_costs.kernels()
        for target in numba_costs.TARGETS
    }

    assert set(KEPT) == names | {"compiler", "sources"}


@pytest.mark.parametrize("name", [x for x in KEPT if x not in ("compiler", "sources")])
def test_nothing_is_spilled_and_a_stack_has_a_reason(name):
    cost = KEPT[name]

    assert cost["spills"] == 0
    assert bool(cost["stack"]) == bool(cost.get("reason"))
    assert cost["shared"] <= 48 * 1024
    assert 256 * cost["registers"] <= 2**16  # a block has that many threads


def test_a_scan_in_float32_does_nothing_in_float64():
    [one] = [x for x in numba_costs.kernels() if x[:2] == ("scan_forward", "float32")]
    if numba_costs.compiler() is None:
        pytest.skip("NVVM is not installed: pip install -e '.[nvrtc]'")

    assert ".f64" not in numba_costs.ptx_of(*one, (9, 0))


def test_a_recurrence_of_ones_own_is_compiled_into_the_kernels(monkeypatch):
    from numba.cuda.extending import register_jitable

    from selscan.backends.numba_cuda import equations

    if numba_costs.compiler() is None:
        pytest.skip("NVVM is not installed: pip install -e '.[nvrtc]'")

    @register_jitable
    def linear(x):
        return x

    [one] = [x for x in numba_costs.kernels() if x[:2] == ("scan_forward", "float32")]
    usual = numba_costs.ptx_of(*one, (9, 0)).count("ex2.")
    monkeypatch.setattr(equations, "decay", linear)

    changed = numba_costs.ptx_of(*one, (9, 0)).count("ex2.")

    assert 0 < changed < usual  # softplus and silu have theirs
