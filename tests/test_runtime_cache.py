"""Compilation: kept on disk, done once, announced when it takes long; and without a disk."""

import contextlib
import io
import itertools
import pickle
import shutil
import threading

import numba
import numpy as np
import pytest
from numba.core.caching import NullCache
from numba.core.registry import cpu_target
from processes import ROOT, results, run_python

from selscan.backends import cpu
from selscan.backends.cpu import backward, forward, jit, run, step
from selscan.backends.cpu.coefficients import CONSTANT, SHARED
from selscan.backends.cpu.planes import COMPLEX_STATES, REAL_STATES

SOURCES = sorted((ROOT / "selscan/backends/cpu").glob("*.py"))
# Two threads make the first calls of the process.
COLD = """
import threading, warnings

barrier, found = threading.Barrier(2), []

def work():
    barrier.wait()
    found.append(selscan.scan(u, delta, A, B, C))

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    from selscan.backends import cpu
    kernels = [cpu.kernel(name) for name in ("forward", "backward", "step")]

np.save("y.npy", np.stack(found))
print(*(f"{w.category.__name__}: {w.message}" for w in caught), sep="\\n")
print(len(cpu.run._addresses), sum(kernels[0].stats.cache_misses.values()))
print([kernel.stats.cache_path for kernel in kernels])
"""
WARM = """
compute()
from selscan.backends import cpu
for name in ("forward", "backward"):
    stats = cpu.kernel(name).stats
    print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_a_second_process_does_not_compile():
    results()

    done = run_python(WARM)

    assert done.stdout.splitlines() == ["1 0", "1 0"], done.stderr
    assert done.stderr == ""


@pytest.fixture
def sealed(tmp_path):
    """A copy of the package beside which nothing can be written, not even by root."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "selscan", tmp_path / "selscan", ignore=ignored)
    (tmp_path / "selscan/backends/cpu/__pycache__").touch()  # a file in place of the directory
    return tmp_path


@pytest.mark.slow
def test_without_a_cache_directory_it_compiles_once_warns_once_and_is_right(sealed):
    nowhere = str(sealed / "selscan/api.py/nowhere")
    done = run_python(COLD, sealed, HOME=nowhere, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_DIR=None)

    assert done.returncode == 0, done.stderr
    warning, compiled, paths = done.stdout.splitlines()
    assert warning.startswith("RuntimeWarning: selscan: compiled kernels cannot be kept on disk (")
    assert "no locator available" in warning
    assert warning.endswith(
        "), so each process compiles them again. "
        "Set NUMBA_CACHE_DIR to a directory that you can write."
    )
    assert (compiled, paths) == ("3 1", "[None, None, None]")  # with load_tile and store_tile
    y = np.load(sealed / "y.npy")
    assert np.array_equal(y[0], results()[0])
    assert np.array_equal(y[1], y[0])


class FullDisk(NullCache):
    """A cache that cannot be written."""

    def save_overload(self, sig, cres):
        raise OSError(28, "No space left on device")


class DamagedFile(NullCache):
    """A cache that cannot be read."""

    def load_overload(self, sig, target_context):
        raise pickle.UnpicklingError("pickle data was truncated")


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        (FullDisk(), "OSError: [Errno 28] No space left on device"),
        (DamagedFile(), "UnpicklingError: pickle data was truncated"),
    ],
)
def test_a_cache_that_fails_is_left_alone(monkeypatch, cache, reason):
    monkeypatch.setattr(jit, "_warned_no_cache", False)
    kernel = numba.njit(lambda x: x + 1)
    kernel._cache = cache

    with pytest.warns(RuntimeWarning, match=r"^selscan: compiled kernels cannot be") as caught:
        jit.compile_or_load(kernel, (numba.int64,))

    assert f"({reason})" in str(caught[0].message)
    assert len(caught) == 1
    assert kernel.stats.cache_path is None
    assert kernel(1) == 2


def test_a_kernel_that_does_not_compile_raises_what_the_compiler_says():
    kernel = numba.njit(lambda x: x.no_such_name)

    with pytest.raises(numba.TypingError, match="no_such_name"):
        jit.compile_or_load(kernel, (numba.int64,))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_an_edit_of_any_source_changes_the_version(monkeypatch, tmp_path, source):
    copy = tmp_path / "cpu"
    shutil.copytree(source.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(jit, "__file__", str(copy / "jit.py"))
    before = jit.source_version.__wrapped__()

    with (copy / source.name).open("a") as stream:
        stream.write("# edited\n")

    assert before == jit.source_version()
    assert jit.source_version.__wrapped__() != before


@pytest.mark.parametrize(
    "make", [forward.compile_forward, backward.compile_backward, step.compile_step]
)
def test_a_kernel_of_another_version_is_another_entry_of_the_cache(make):
    codegen = cpu_target.target_context.codegen()

    entries = (make(v, np.float32(0), REAL_STATES, SHARED, SHARED) for v in (1, 1, 2))
    first, same, other = (entry._cache._index_key((), codegen) for entry in entries)

    assert first == same
    assert first != other


def test_each_type_of_arithmetic_states_and_coefficients_has_a_kernel_of_its_own():
    kinds = itertools.product((REAL_STATES, COMPLEX_STATES), *[(SHARED, CONSTANT)] * 2)
    variants = list(itertools.product((np.float32(0), np.float64(0)), kinds))

    kernels = {cpu.kernel("forward", *variant) for variant in variants}

    assert len(kernels) == len(variants)


def test_threads_that_ask_at_once_get_the_same_kernel(monkeypatch):
    inside, found = threading.Barrier(2), []

    def make(*_):
        with contextlib.suppress(threading.BrokenBarrierError):
            inside.wait(1)  # both threads come here, if they can
        return object()

    monkeypatch.setattr(cpu, "_kernels", {})
    monkeypatch.setitem(cpu._COMPILERS, "forward", make)
    threads = [threading.Thread(target=lambda: found.append(cpu.kernel("forward"))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0] is found[1]


def test_each_kind_of_a_kernel_has_files_of_its_own():
    kinds = [np.int8(0), np.uint8(0), np.int64(0), 0]

    names = [entry_point(kind).py_func.__qualname__ for kind in (*kinds, np.int8(0))]

    assert len(set(names)) == len(kinds)
    assert names[0] == names[-1]


def entry_point(kind):
    """One that closes over `kind`."""

    @jit.kernel
    def entry():
        return kind

    return entry


class Kernel:
    """An entry point of which `compile` is all that counts."""

    def __init__(self, compile):
        self.compile = compile


class Noted(io.StringIO):
    """A stream that says when something was written."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def write(self, text):
        super().write(text)
        self.written.set()


def test_a_long_compilation_is_announced_on_stderr(monkeypatch):
    stream = Noted()
    monkeypatch.setattr(run, "_NOTICE_SECONDS", 0)
    kernel = Kernel(lambda signature: stream.written.wait(60))

    with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(io.StringIO()) as out:
        run._compile({kernel: ()}, "forward kernel for float32")

    assert stream.getvalue() == (
        "selscan: compiling the CPU's forward kernel for float32 (some seconds, once) ...\n"
    )
    assert out.getvalue() == ""


def test_a_short_compilation_is_not_announced(monkeypatch):
    stream, before = Noted(), threading.active_count()
    monkeypatch.setattr(run, "_NOTICE_SECONDS", 3600)

    with contextlib.redirect_stderr(stream):
        run._compile({Kernel(lambda signature: None): ()}, "kernel")

    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(60)
    assert threading.active_count() <= before
    assert stream.getvalue() == ""


def test_a_failed_compilation_ends_its_timer(monkeypatch):
    monkeypatch.setattr(run, "_NOTICE_SECONDS", 3600)

    def fail(signature):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run._compile({Kernel(fail): ()}, "kernel")

    for thread in threading.enumerate():
        assert not isinstance(thread, threading.Timer) or thread.finished.is_set()
