"""Compilation: kept on disk, done once; and without a disk."""

import contextlib
import itertools
import os
import pickle
import shutil
import threading
import warnings
from pathlib import Path

import llvmlite
import numba
import numpy as np
import pytest
from processes import ROOT, results, run_python

from selscan.backends import cpu, folders
from selscan.backends.cpu import cache, forward, jit
from selscan.backends.cpu.coefficients import CONSTANT, SHARED
from selscan.backends.cpu.planes import COMPLEX_STATES, REAL_STATES
from selscan.backends.folders import Folder

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


@pytest.mark.slow
def test_without_a_cache_directory_it_compiles_once_warns_once_and_is_right(tmp_path):
    nowhere = str(ROOT / "selscan/api.py/nowhere")  # where nothing can be written, not even by root
    code = COLD.replace("y.npy", str(tmp_path / "y.npy"))
    done = run_python(code, HOME=nowhere, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_DIR=None)

    assert done.returncode == 0, done.stderr
    warning, compiled, paths = done.stdout.splitlines()
    assert warning.startswith("RuntimeWarning: selscan: compiled kernels cannot be kept on disk (")
    assert "Not a directory" in warning
    assert warning.endswith(
        "), so each process compiles them again. "
        "Set NUMBA_CACHE_DIR to a directory that only you can write."
    )
    # With load_tile, store_tile and the two of tasks.py.
    assert (compiled, paths) == ("5 1", "[None, None, None]")
    y = np.load(tmp_path / "y.npy")
    assert np.array_equal(y[0], results()[0])
    assert np.array_equal(y[1], y[0])


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """A folder for the kernels of a test."""
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.setattr(cache, "folder", Folder(lambda: tmp_path / "kernels", ".nbc"))
    return tmp_path / "kernels"


def compiled(constant=1):
    """A kernel that is compiled or loaded, and whether it was loaded."""

    @jit.kernel
    def add(x):
        return x + constant

    add.compile((numba.int64,))
    return add, bool(sum(add.stats.cache_hits.values()))


def test_a_kernel_is_compiled_once_and_then_loaded(kept):
    first, second = compiled(), compiled()

    assert [x[1] for x in (first, second)] == [False, True]
    assert first[0](1) == second[0](1) == 2
    assert len(list(kept.iterdir())) == 1


def test_a_bit_that_flipped_is_noticed_and_the_kernel_compiled_anew(kept):
    compiled()
    [file] = kept.iterdir()
    content = file.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=5):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)

        again, loaded = compiled()

        assert not loaded
        assert again(1) == 2
        assert compiled()[1]  # it was written again


class Mark:
    """What unpickles this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_what_others_could_have_written_is_not_unpickled(kept, tmp_path):
    compiled()
    [file] = kept.iterdir()
    cache.folder.put(file.stem, pickle.dumps(Mark(tmp_path / "mark")))
    kept.chmod(0o777)

    with pytest.warns(RuntimeWarning, match="kernels can be written by others: mode 777") as caught:
        again, loaded = compiled()
    assert len(caught) == 1
    assert (loaded, again(1)) == (False, 2)
    assert again.stats.cache_path is None
    assert not (tmp_path / "mark").exists()


def test_a_full_disk_costs_one_warning(kept, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "_write", full)

    with pytest.warns(RuntimeWarning, match=r"^selscan: compiled kernels cannot be") as caught:
        again, _ = compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(2)

    assert len(caught) == 1
    assert "([Errno 28] No space left on device)" in str(caught[0].message)
    assert again(1) == 2


@pytest.mark.parametrize(
    ("variable", "expected"), [("", "/x/selscan"), ("/scratch/ada", "/scratch/ada/selscan")]
)
def test_kernels_are_kept_where_numba_is_told_or_with_those_for_cuda(
    monkeypatch, variable, expected
):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setattr(numba.config, "CACHE_DIR", variable)

    assert cache.find() == Path(expected)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_chosen_directory_that_others_can_write_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)

    with pytest.warns(RuntimeWarning, match=f"disk .{tmp_path} can be written by others: mode 777"):
        kernel, _ = compiled()

    assert kernel(1) == 2
    assert list((tmp_path / "selscan").iterdir()) == []


def test_without_numbas_compiler_the_backend_says_so():
    code = """
try:
    compute()
except selscan.BackendUnavailable as error:
    print(error)
print(selscan.list_backends()[0].usable)
"""
    done = run_python(code, NUMBA_DISABLE_JIT="1")

    assert done.stdout.splitlines() == [
        "scan: backend 'cpu' cannot be used: NUMBA_DISABLE_JIT is set, and without Numba's "
        "compiler there are no kernels; unset it.",
        "False",
    ]


def test_a_kernel_that_does_not_compile_raises_what_the_compiler_says(kept):
    @jit.kernel
    def wrong(x):
        return x.no_such_name

    with pytest.raises(numba.TypingError, match="no_such_name"):
        wrong.compile((numba.int64,))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_an_edit_of_any_source_changes_the_version(monkeypatch, tmp_path, source):
    copy = tmp_path / "cpu"
    shutil.copytree(source.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "__file__", str(copy / "cache.py"))
    before = cache.source_version.__wrapped__()

    with (copy / source.name).open("a") as stream:
        stream.write("# edited\n")

    assert before == cache.source_version()
    assert cache.source_version.__wrapped__() != before


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (cache, "source_version", lambda: "another"),
        (numba, "__version__", "9.9"),
        (llvmlite, "__version__", "9.9"),
    ],
)
def test_a_kernel_of_another_version_is_another_entry(monkeypatch, place, name, value):
    def entry():
        name = forward.compile_forward(np.float32(0), REAL_STATES, SHARED, SHARED)._cache.name
        assert name.startswith("scan_forward_")
        return name

    first, same = entry(), entry()
    monkeypatch.setattr(place, name, value)

    assert first == same != entry()


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

    names = [entry_point(kind)._cache.name for kind in (*kinds, np.int8(0))]

    assert len(set(names)) == len(kinds)
    assert names[0] == names[-1]


def entry_point(kind):
    """One that closes over `kind`."""

    @jit.kernel
    def entry():
        return kind

    return entry
