"""The kernels of bench.gpu that measure what a device can do, in the emulator."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import emulator  # noqa: E402
import fake_cuda  # noqa: E402
from emulator import pointers  # noqa: E402

from bench.gpu.parts import micro  # noqa: E402
from selscan.backends.cupy import gpu, plan  # noqa: E402

pytestmark = pytest.mark.skipif(bool(emulator.missing()), reason=emulator.missing() or "-")

OPTIONS = {"emulate": True, "mamba": None}


@pytest.fixture
def small_rates(monkeypatch):
    """Rates of small launches, in the emulator."""
    text = (micro.FOLDER / micro.FILE).read_text()
    module = emulator.Module(text, list(micro.INSTANCES[micro.FILE]), file=micro.FILE)
    shrunk = {name: rate._replace(rounds=min(rate.rounds, 2)) for name, rate in micro.RATES.items()}
    monkeypatch.setattr(micro, "RATES", shrunk)
    monkeypatch.setattr(micro, "THREADS", 512)
    monkeypatch.setattr(micro, "COPIED", 1 << 16)
    monkeypatch.setattr(micro, "CACHED", 1 << 13)
    monkeypatch.setattr(micro, "kernel_of", lambda rate: module.get_function(rate.kernel))
    monkeypatch.setattr(gpu, "properties", lambda number: plan.Device(multiprocessors=2))
    fake_cuda.install(monkeypatch)
    return module


@pytest.mark.usefixtures("small_rates")
def test_every_rate_is_measured():
    rows = [row for name in micro.names(OPTIONS) for row in micro.run(name, OPTIONS)]

    assert [row.case for row in rows] == list(micro.RATES)
    assert all(row.p50 > 0 for row in rows)
    assert "copy" in next(micro.tables(rows, {}))


def four(count):
    return np.random.default_rng(0).integers(0, 2**32, (count, 4), np.uint32)


def test_the_kernel_that_copies_copies_everything(small_rates):
    source, target = four(1000), np.zeros((1000, 4), np.uint32)

    small_rates.get_function("copy<4>")((3,), (64,), (*pointers(source, target), np.int64(1000)))

    assert np.array_equal(source, target)


@pytest.mark.parametrize("fmas", [0, 3])
def test_the_kernel_of_exponentials_takes_as_many_as_it_says(small_rates, fmas):
    sums = np.full(64, np.nan, np.float32)

    small_rates.get_function(f"exponentials<{fmas}>")((2,), (32,), (*pointers(sums), np.int32(5)))

    x, y = 0.125 * np.arange(8), np.zeros(8)
    for _ in range(5):
        x = np.exp2(-x)
        for _ in range(fmas):
            y = y * x + x
    np.testing.assert_allclose(sums, (x + y).sum(), rtol=1e-5)


@pytest.mark.parametrize("lanes", [1, 2, 8, 32])
def test_the_kernel_that_reads_shared_memory_reads_all_places(small_rates, lanes):
    data, sums, rounds = four(512), np.zeros(64, np.uint32), 3

    kernel = small_rates.get_function(f"shared_reads<{lanes}>")
    kernel((1,), (64,), (*pointers(data, sums), np.int32(rounds)))

    places = np.arange(rounds)[:, None] + np.arange(8)
    read = np.bitwise_xor.reduce(data, axis=1)
    want = [np.bitwise_xor.reduce(read[places.ravel() * lanes + i % lanes]) for i in range(64)]
    assert np.array_equal(sums, want)


def test_the_kernel_that_reads_the_cache_goes_round_and_round(small_rates):
    data, sums, count, rounds = four(100), np.zeros(64, np.uint32), 100, 3

    kernel = small_rates.get_function("cache_reads<8>")
    kernel((2,), (32,), (*pointers(data, sums), np.int32(count), np.int32(rounds)))

    read = np.bitwise_xor.reduce(data, axis=1)
    steps = 64 * np.arange(8 * rounds)
    want = [np.bitwise_xor.reduce(read[(i + steps) % count]) for i in range(64)]
    assert np.array_equal(sums, want)
