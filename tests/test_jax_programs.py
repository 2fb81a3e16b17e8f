"""Programs of XLA: compiled, exported, on several threads and devices, with frames it is not used
to; and what they leave behind.
"""

import concurrent.futures
import ctypes

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from processes import ROOT, run_python

import selscan
from selscan.backends.cpu import run, xla, xla_handler

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
        "device. Call it outside of jax.jit and other transforms."
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
import jax, numba

program = jax.jit(lambda *x: selscan.scan(*x))
want = compute()[0]
wrong = []

def call():
    for i in range(30):
        # On this layer no two threads may start Numba's pool at once, eager calls included.
        y = program(u, delta, A, B, C) if i % 3 else compute()[0]
        if not np.array_equal(y, want):
            wrong.append(i)

threads = [threading.Thread(target=call) for _ in range(4)]
[x.start() for x in threads]
[x.join() for x in threads]
print(numba.threading_layer(), wrong)
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_threads_may_call_on_every_threading_layer(layer):
    done = run_python(CALLS, NUMBA_THREADING_LAYER=layer)

    assert done.stdout == f"{layer} []\n", done.stderr


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


class Frame:
    """A call frame as XLA makes one, with a function that makes errors: their messages."""

    def __init__(self, block, size=168, version=(0, 3), operands=0, results=1, extension=0):
        self.messages, self._alive = [], []
        self._error = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self._make_error)
        address = ctypes.cast(self._error, ctypes.c_void_p).value
        both = version[0] | version[1] << 32
        api = self._words([152, 0, 24, 0, both, 0, address])
        block = np.asarray(block, np.int64)
        array = self._words([xla_handler._S64, len(block), self._address(block)])
        scratch = int(block[xla_handler.SCRATCH_SIZE]) if len(block) > 8 else 64
        memory = np.zeros(max(scratch, 64), np.uint8)
        dims = self._words([scratch])
        buffer = self._words([48, 0, 6, self._address(memory), 1, dims])
        rets = self._words([buffer] * results)
        words = [size, extension, api, 0, 3]
        words += [40, 0, operands, 0, self._words([0] * max(operands, 1))]
        words += [40, 0, results, self._words([1] * results), rets]
        words += [48, 0, 1, self._words([1]), 0, self._words([array])]
        self.address = self._words(words)

    def _address(self, array):
        self._alive.append(array)
        return array.ctypes.data

    def _words(self, values):
        return self._address(np.array(values, np.int64))

    def _make_error(self, arguments):
        words = np.frombuffer(ctypes.string_at(arguments, 32), np.int64)
        assert words[:2].tolist() == [32, 0]
        self.messages.append(ctypes.string_at(int(words[2])).decode())
        return 12345

    def handle(self):
        handler = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(xla.handler())
        return handler(self.address)


def block_of(**replaced):
    block = np.zeros(xla_handler.HEAD, np.int64)
    block[xla_handler.STAMP] = xla._stamp()
    block[xla_handler.KERNEL] = xla_handler.FIRST
    block[xla_handler.SCRATCH_SIZE] = 256
    block[xla_handler.WORKERS] = 1
    for name, value in replaced.items():
        block[getattr(xla_handler, name)] = value
    return block


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lambda: Frame(block_of(), size=160), xla_handler.BAD_FRAME),
        (lambda: Frame(block_of(), version=(1, 0)), xla_handler.BAD_FRAME),
        (lambda: Frame([1, 2, 3]), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(OPERANDS=1)), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(), operands=1), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(), results=2), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(SIZE=1)), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(STAMP=1)), xla_handler.OTHER_STAMP),
    ],
    ids=str,
)
def test_a_frame_that_is_not_known_is_an_error(frame, message):
    frame = frame()

    assert frame.handle() == 12345
    assert frame.messages == [xla.MESSAGES[message]]


def test_a_kernel_that_is_not_there_is_an_error():
    before = xla._table[xla_handler.FIRST]
    frame = Frame(block_of())

    xla._table[xla_handler.FIRST] = 0
    try:
        assert frame.handle() == 12345
    finally:
        xla._table[xla_handler.FIRST] = before
    assert frame.messages == [xla.MESSAGES[xla_handler.NOT_LINKED]]


@pytest.mark.parametrize(("version", "answer"), [((0, 2), 2), ((0, 3), 3), ((0, 9), 3)])
def test_the_version_is_the_callers_up_to_the_one_that_is_known(version, answer):
    metadata = np.zeros(8, np.int64)
    extension = np.array([32, 1, 0, metadata.ctypes.data], np.int64)

    assert Frame(block_of(), version=version, extension=extension.ctypes.data).handle() == 0
    assert metadata[3] == answer << 32


def test_every_kernel_has_a_number_of_its_own():
    assert len(set(xla._NUMBERS.values())) == len(xla._KERNELS) == len(xla._NUMBERS)
    assert max(xla._NUMBERS.values()) < len(xla._table)


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


def test_a_call_has_the_threads_of_the_thread_that_traces_it():
    import numba

    plan = type("plan", (), {"elements": run.SERIAL_ELEMENTS, "tasks": 16})

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert xla._workers(plan) == 1
    finally:
        numba.set_num_threads(before)
    assert xla._workers(plan) == (1 if run.threading_layer() == "workqueue" else before)
