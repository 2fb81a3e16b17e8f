"""Programs of XLA: compiled, exported, on several threads and devices, and what they leave."""

import concurrent.futures

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from processes import ROOT, run_python

import selscan
from selscan.backends.cpu import threads, xla, xla_handler

jax = pytest.importorskip("jax")

from jax import export  # noqa: E402
from jax import numpy as jnp  # noqa: E402

rng = np.random.default_rng(0)
U, DELTA = jnp.asarray(rng.random((2, 2, 32, 70), np.float32))
A = jnp.asarray(-rng.random((32, 16), np.float32))
B, C = jnp.asarray(rng.random((2, 2, 16, 70), np.float32))
ALLOWED = export.DisabledSafetyCheck.custom_call("selscan_cpu")


def scan(u):
    return selscan.scan(u, DELTA, A, B, C)


def test_results_have_the_bits_of_eager_calls():
    assert_array_equal(jax.jit(scan)(U), scan(U))


def test_a_program_is_lowered_compiled_and_called():
    lowered = jax.jit(scan).lower(jax.ShapeDtypeStruct(U.shape, U.dtype))

    assert "custom_call @selscan_cpu" in lowered.as_text()
    assert_array_equal(lowered.compile()(U), scan(U))


def test_shapes_are_known_without_a_kernel(monkeypatch):
    monkeypatch.setattr(xla, "link", lambda block: pytest.fail("a kernel was compiled"))

    y = jax.eval_shape(lambda u: selscan.scan(u, DELTA, A, B, C, out_dtype="float16"), U)

    assert (y.shape, y.dtype) == (U.shape, np.float16)


def test_loops_of_jax_go_around_scans():
    twice = jax.jit(lambda u: jax.lax.map(scan, jnp.stack([u, 2 * u])))(U)
    last, _ = jax.jit(lambda u: jax.lax.scan(lambda u, _: (scan(u), None), u, None, length=2))(U)

    assert_array_equal(twice[1], scan(2 * U))
    assert_array_equal(last, scan(scan(U)))


def test_donated_arrays_may_be_written_over():
    given = U + 0

    got = jax.jit(scan, donate_argnums=0)(given)

    assert_array_equal(got, scan(U))
    assert given.is_deleted()


def test_a_program_for_another_device_is_refused():
    with pytest.raises(selscan.BackendUnavailable) as caught:
        jax.jit(scan).trace(U).lower(lowering_platforms=("cuda",))

    assert str(caught.value) == (
        "scan: traced JAX arrays must be on the CPU in this version; got a program for another "
        "device. Move the arrays to the CPU."
    )


def test_a_shape_that_is_not_known_is_refused():
    [b] = export.symbolic_shape("b")
    u = jax.ShapeDtypeStruct((b, *U.shape[1:]), U.dtype)

    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole message is compared
        export.export(jax.jit(scan))(u)

    assert str(caught.value) == (
        "scan: u must be of a shape of integers; got (b, 32, 70). Export each shape on its own."
    )


def test_an_exported_program_runs_in_another_process(tmp_path):
    pytest.importorskip("flatbuffers")
    program = export.export(jax.jit(jax.grad(lambda u: scan(u).sum())), disabled_checks=[ALLOWED])
    (tmp_path / "program").write_bytes(program(U).serialize())
    np.savez(tmp_path / "arrays.npz", u=U, want=jax.jit(jax.grad(lambda u: scan(u).sum()))(U))
    load = f"""
from pathlib import Path
import jax, jax.export, numpy as np
arrays = np.load({str(tmp_path / "arrays.npz")!r})
program = jax.export.deserialize(Path({str(tmp_path / "program")!r}).read_bytes())
print((np.asarray(jax.jit(program.call)(arrays["u"])) == arrays["want"]).all())
"""

    done = run_python("import selscan.jax" + load)
    without = run_python(load)

    assert done.stdout == "True\n", done.stderr
    assert "No FFI handler registered for selscan_cpu" in without.stderr


def test_threads_of_python_may_call_at_once():
    want, program = scan(U), jax.jit(scan)
    gradient = jax.jit(jax.grad(lambda u: scan(u).sum()))
    slopes = gradient(U)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = [pool.submit(f, U) for _ in range(40) for f in (program, gradient)]

    for i, done in enumerate(results):
        assert_array_equal(done.result(), slopes if i % 2 else want)


CALLS = """
import threading
import jax

program = jax.jit(lambda *x: selscan.scan(*x))
want = compute()[0]
wrong = []

def call():
    for i in range(30):
        y = program(u, delta, A, B, C) if i % 3 else compute()[0]
        if not np.array_equal(y, want):
            wrong.append(i)

threads = [threading.Thread(target=call) for _ in range(4)]
[x.start() for x in threads]
[x.join() for x in threads]
print(wrong)
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_threads_may_call_whatever_numba_has_for_threads(layer):
    done = run_python(CALLS, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")

    assert done.stdout == "[]\n", done.stderr


MEMORY = """
import jax

program = jax.jit(jax.grad(lambda u, *x: selscan.scan(u, *x).sum()))

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def calls(n):
    for _ in range(n):
        program(u, delta, A, B, C).block_until_ready()

calls(1000)
before = resident()
calls(9000)
print(resident() - before)
"""


@pytest.mark.slow
def test_calls_leave_no_memory_behind():
    done = run_python(MEMORY)

    assert int(done.stdout) < 5e6, done.stderr


def test_four_devices():
    code = f"import runpy; runpy.run_path({str(ROOT / 'tests/sharded.py')!r}, run_name='__main__')"
    done = run_python(code)

    assert done.stdout == "done\n", done.stderr


def test_a_block_carries_no_address():
    """Nothing in it changes with where things lie in memory: two processes make the same."""
    show = """
import hashlib, jax
text = jax.jit(jax.grad(lambda u, *x: selscan.scan(u, *x).sum())).lower(u, delta, A, B, C).as_text()
path = selscan.paths.cross(4, 5)
text += jax.jit(lambda x: selscan.gather(x, path)).lower(np.ones((1, 2, 4, 5))).as_text()
print(hashlib.sha256(text.encode()).hexdigest())
"""

    assert run_python(show).stdout == run_python(show).stdout != ""


@pytest.mark.parametrize("locks", [xla_handler.LOCKS, 0])
def test_a_call_on_several_threads_has_the_bits_of_one(monkeypatch, locks):
    """Where all locks are taken, it runs on one."""
    u = np.random.default_rng(0).random((1, 64, 700), np.float32)
    inputs = u, u, -u[0, :, :4], u[:, :4], u[:, :4]
    monkeypatch.setattr(threads, "wanted", lambda of_library: 1)
    want = np.asarray(jax.jit(lambda *x: selscan.scan(*x))(*inputs))
    monkeypatch.setattr(threads, "wanted", lambda of_library: 3)
    taken = xla._table[xla_handler.TAKEN : xla_handler.TAKEN + xla_handler.LOCKS]
    taken[locks:] = 1

    try:
        found = np.asarray(jax.jit(lambda *x: selscan.scan(*x))(*inputs))
        assert (taken[:locks] == 0).all()
    finally:
        taken[:] = 0

    np.testing.assert_array_equal(found, want)
    assert xla._table[xla_handler.POOL_SIZE] >= 2
