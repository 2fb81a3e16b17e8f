"""The times of bench.gpu on the CPU: kernels in the emulator, and a clock that stands in."""

import ctypes
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import emulator  # noqa: E402
import fake_cuda  # noqa: E402
from fake_cuda import OPTIONS, place  # noqa: E402, F401 a fixture

import selscan  # noqa: E402
from bench.gpu import (  # noqa: E402
    checks,
    inputs,
    kernels,
    mamba,
    peers,
    places,
    shapes,
    shapes_maps,
    small,
    timing,
)
from bench.gpu.parts import maps, models, speed, start, sweep  # noqa: E402
from bench.peers import eager  # noqa: E402
from selscan.backends import cupy as backend  # noqa: E402
from selscan.backends.cupy import plan  # noqa: E402
from selscan.cases import Case  # noqa: E402

pytestmark = pytest.mark.skipif(bool(emulator.missing()), reason=emulator.missing() or "-")


@pytest.fixture
def clock(place, monkeypatch):  # noqa: F811
    """A GPU with 1000 bytes of L2 cache, whose kernels are emulated."""
    fake_cuda.install(monkeypatch)


TINY = {
    "bdl": shapes.Shape(Case("tiny", 2, 8, 20, 4, 2, ""), True),
    "bld": shapes.Shape(Case("tiny", 2, 8, 20, 4, 2, ""), True, "bld"),
    "one state": shapes.Shape(Case("tiny", 2, 8, 20, 1, 2, "")),
}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("shape", TINY.values(), ids=TINY)
def test_a_forward_is_timed_against_its_peers(shape, monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", {"tiny": shape})

    rows = list(speed.run("tiny, forward", OPTIONS))

    measured = {(row.peer, row.metric): row for row in rows if row.p50 is not None}
    peers = ["selscan"] + (["loop", "associative_scan"] if shape.layout == "bdl" else [])
    assert set(measured) == {(x, y) for x in peers for y in ("time", "eager", "memory")}
    assert "scan_forward<__nv_bfloat16" in measured["selscan", "time"].note
    assert measured["selscan", "memory"].p50 == 2
    absent = {row.peer: row.note for row in rows if row.p50 is None}
    assert absent["mamba_ssm"].startswith("not available: mamba_ssm")
    assert all(note.startswith("not available: ") for note in absent.values())


@pytest.mark.usefixtures("clock")
def test_a_backward_is_timed_or_not_available(monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", TINY)

    rows = {row.peer: row for row in speed.run("bdl, full", OPTIONS) if row.metric == "time"}

    if hasattr(backend, "backward_plan"):
        assert rows["selscan"].p50 > 0
    else:
        assert rows["selscan"].note.startswith("not available: scan")
    assert rows["loop"].p50 > 0


@pytest.mark.usefixtures("clock")
def test_a_step_is_timed_and_its_state_goes_on(monkeypatch):
    step = shapes.Shape(Case("step", 3, 8, 1, 4, 1, ""), True)
    monkeypatch.setattr(shapes, "STEPS", {"step": step})

    rows = {row.peer: row for row in speed.run("step, step", OPTIONS) if row.metric == "time"}

    assert rows["selscan"].p50 > 0
    assert "scan_step<float>" in rows["selscan"].note
    assert rows["loop"].p50 > 0


@pytest.mark.usefixtures("clock")
def test_a_peer_that_is_wrong_is_not_timed(monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", TINY)
    launch = backend.launch

    def wrong(plan, addresses, stream):
        launch(plan, addresses, stream)
        size = 2 * 8 * 20
        ctypes.memset(addresses["y"] + size, 0, size)  # the second batch entry

    monkeypatch.setattr(backend, "launch", wrong)

    rows = {row.peer: row for row in speed.run("bdl, forward", OPTIONS)}

    assert rows["selscan"].p50 is None
    assert rows["selscan"].note.startswith("failed: ArithmeticError: y is off by")
    assert rows["loop"].p50 > 0


@pytest.mark.parametrize("shape", TINY.values(), ids=TINY)
def test_what_times_are_checked_against_is_the_reference(shape, monkeypatch):
    from reference import scan, scan_backward

    monkeypatch.setattr(inputs, "DEVICE", "cpu")
    made = inputs.make(shape, 0)
    wide = {x: v.double().numpy() for x, v in made.items() if v is not None}
    dy = wide.pop("dy")
    options = {"delta_softplus": True, "layout": shape.layout}
    gradients = scan_backward(dy, **wide, **options)
    found = {"y": scan(**wide, **options), "du": gradients.u, "ddelta": gradients.delta}

    wanted = checks.expected(made, shape, "full")

    assert set(wanted) == set(found)
    for name, (pick, want) in wanted.items():
        assert want.shape == (1, 8, 20)
        np.testing.assert_allclose(pick(torch.from_numpy(found[name])), want, 1e-9, 1e-9)


def test_inputs_go_in_turns_when_the_cache_is_large():
    assert timing.sets_for(100, 1000) == 30
    assert timing.sets_for(10_000, 1000) == 1
    assert timing.sets_for(1, 10**9) == timing.MOST_SETS


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "graphs"), [(0, 1), (0.0002, 0), (0.011, 0)])
def test_a_short_call_is_timed_in_a_graph_and_a_long_one_a_few_times(seconds, graphs):
    def call():
        time.sleep(seconds) if seconds else None

    clock = timing.Clock([call])
    for _ in range(3):
        clock.round(0)

    assert clock.in_graph == bool(graphs) == bool(fake_cuda.Graph.captured)
    assert len(clock.times) == (timing.FEW if seconds > 0.01 else timing.MOST)
    assert graphs or min(clock.times) > 1e6 * seconds
    assert clock.eager() > 1e6 * seconds


@pytest.mark.usefixtures("clock")
def test_a_sweep_times_every_mapping_and_marks_the_chosen_one(monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", TINY)

    monkeypatch.setattr(plan, "LANES", (1, 2))

    rows = list(sweep.run("one state", OPTIONS))

    assert len(rows) == len({row.peer for row in rows}) == 8
    [chosen] = [row for row in rows if sweep.CHOSEN in row.note]
    assert f"| one state | {chosen.peer} " in next(sweep.tables(rows, {}))


@pytest.mark.usefixtures("clock")
def test_models_are_timed_with_both_scans(monkeypatch):
    calls = []
    monkeypatch.setattr("bench.models.runner", lambda *cell: lambda: calls.append(cell))
    monkeypatch.setattr(models, "SECONDS", 0.001)

    rows = list(models.run("vim_tiny", OPTIONS))

    cells = [(way, mode) for mode in models.MODES for way in models.WAYS]
    assert list(dict.fromkeys(calls)) == [
        ("vim_tiny", *cell, models.BATCH, "cuda") for cell in cells
    ]
    assert {(row.peer, row.mode) for row in rows} == set(cells)
    speed, memory = models.tables(rows, {})
    assert "| vim_tiny " in speed
    assert memory.startswith("Peak memory of a call, MB, batch of 64")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("mode", maps.MODES)
@pytest.mark.parametrize("shape", [("cross", ()), ("window", (3,)), ("atrous", ())], ids=str)
def test_maps_are_timed_in_three_ways_that_agree(mode, shape, monkeypatch):
    path, more = shape
    tiny = shapes_maps.Maps(path, more, 5, 1, 6, 2)
    monkeypatch.setattr(shapes_maps, "SHAPES", {"tiny": tiny})
    monkeypatch.setattr(maps, "SECONDS", 0.001)

    rows = list(maps.run(f"tiny, {mode}", OPTIONS))

    absent = {row.peer: row.note for row in rows if row.note}
    assert absent.keys() == maps.OTHERS.keys()
    assert all(note.startswith("not available: ") for note in absent.values())
    rows = [row for row in rows if not row.note]
    assert {(r.peer, r.metric) for r in rows} == {
        (way, x) for way in maps.WAYS for x in ("time", "memory")
    }
    assert all(row.p50 > 0 for row in rows)
    rates = {"copy": 1e12, "exponentials": 1e12}
    [table] = maps.tables(rows, rates)
    assert "| tiny " in table


def test_the_limit_of_maps_is_what_must_be_moved_and_computed():
    shape = shapes_maps.SHAPES["vmamba T/S, 56 x 56"]
    pixels = 128 * 96 * 56 * 56

    assert maps.work(shape, "forward") == (2 * (4 + 2) * pixels, 4 * 2 * pixels)


def test_a_way_that_gives_another_result_is_not_timed(clock, monkeypatch):
    monkeypatch.setattr(shapes_maps, "SHAPES", {"tiny": shapes_maps.Maps("cross", (), 5, 1, 6, 2)})
    wrong = lambda inputs, path: 2 * maps.in_sequences(inputs, path)  # noqa: E731
    monkeypatch.setitem(maps.WAYS, "torch's copies", wrong)

    rows = {row.peer: row for row in maps.run("tiny, forward", OPTIONS)}

    assert rows["torch's copies"].p50 is None
    assert rows["torch's copies"].note.startswith("failed: y differs by ")


def test_a_model_over_maps_runs_the_kernels_of_maps(devices):
    from bench.models import runner

    runner("vmamba_tiny_s1l8", "selscan", "forward")()

    assert {x.kernel.partition("<")[0] for x in devices.launches} == {"scan2d_forward"}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("mode", ["forward", "step"])
def test_calls_are_timed_on_the_host(mode, monkeypatch):
    monkeypatch.setattr(start, "CALLS", 40)
    monkeypatch.setattr(start, "BATCH", 4)

    [row] = start.calls(mode, OPTIONS)

    assert row.p50 > 0
    assert start.CALLED[mode] in list(start.tables([row], {}))[-1]


class Oflex:
    """In the place of VMamba's extension: y is float32, and so is its gradient."""

    @staticmethod
    def scan(*tensors):
        return eager.scan_loop_step(*(x.float() for x in tensors))

    def fwd(self, u, delta, A, B, C, D, delta_bias, softplus, rows, out_float):
        assert (softplus, rows, out_float) == (True, 1, True)
        return [self.scan(u, delta, A, B, C, D, delta_bias), torch.zeros(1)]

    def bwd(self, u, delta, A, B, C, D, delta_bias, dy, states, softplus, rows):
        assert (dy.dtype, softplus, rows) == (torch.float32, True, 1)
        given = (u, delta, A, B, C, D, delta_bias)
        leaves = [x.detach().requires_grad_() for x in given]
        with torch.enable_grad():
            y = self.scan(*leaves)
        return list(torch.autograd.grad(y, leaves, dy))


@pytest.mark.usefixtures("clock")
def test_kernels_that_are_installed_are_peers_of_maps(monkeypatch):
    monkeypatch.setattr(shapes_maps, "SHAPES", {"tiny": shapes_maps.Maps("cross", (), 5, 1, 6, 2)})
    monkeypatch.setattr(maps, "SECONDS", 0.001)
    monkeypatch.setattr(kernels, "library", lambda name: Oflex())

    rows = [row for row in maps.run("tiny, full", OPTIONS) if row.peer == "copies, oflex"]

    assert [row.note for row in rows] == ["", ""]
    assert rows[0].p50 > 0


class Mamba:
    """In the place of mamba_ssm's extension: what it takes, and what it gives, in which order."""

    def fwd(self, u, delta, A, B, C, D, z, delta_bias, softplus):
        assert softplus is True
        y = eager.scan_loop_step(
            *(x.float() for x in (u, delta, A, B, C)), D=D, delta_bias=delta_bias
        ).to(u.dtype)
        self.states = torch.zeros(1)
        return [y, self.states] if z is None else [y, self.states, y * torch.nn.functional.silu(z)]

    def bwd(self, u, delta, A, B, C, D, z, delta_bias, dy, states, out, dz, softplus, again):
        assert states is self.states
        assert (out is None) == (z is None)
        assert (dz, softplus, again) == (None, True, False)
        named = {"u": u, "delta": delta, "A": A, "B": B, "C": C, "D": D}
        named |= {"z": z, "delta_bias": delta_bias}
        found = peers.loop(named | {"dy": dy}, TINY["bdl"], "full", OPTIONS)()
        return [found["du"], found["ddelta"], *[None] * 6]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("shape", ["bdl", "one state"])
@pytest.mark.parametrize("mode", ["forward", "full"])
def test_mamba_is_called_as_its_own_function_calls_it(mode, shape, monkeypatch):
    library = Mamba()
    monkeypatch.setattr(mamba, "library", lambda path: library)
    monkeypatch.setattr(shapes, "SHAPES", TINY)

    rows = {row.peer: row for row in speed.run(f"{shape}, {mode}", OPTIONS) if row.metric == "time"}

    assert rows["mamba_ssm"].note == "queued"
    assert rows["mamba_ssm"].p50 > 0


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize(
    ("op", "shape"), [(op, i) for op in small.FUNCTIONS for i in range(len(small.shapes_of(op)))]
)
def test_what_the_sanitizer_runs_is_launched(op, shape, devices):
    problem = small.made(op, small.shapes_of(op)[shape])
    tensors = places.Placed(problem, "cpu").arguments

    if op == "backward" and not hasattr(backend, "backward_plan"):
        with pytest.raises(selscan.BackendUnavailable):
            small.FUNCTIONS[op](**tensors)
    else:
        small.FUNCTIONS[op](**tensors)
        assert devices.launches
