"""Libraries are built once, under a name made of all that they depend on, where only we write."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from . import Module, compiler, pointers
from .sanitizers import TESTS

SOURCE = 'extern "C" __global__ void k(float* x) { x[0] = %s; }\n'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for libraries."""
    monkeypatch.setattr(compiler.tempfile, "gettempdir", lambda: str(tmp_path))
    compiler.folder.cache_clear()
    compiler._runtime.cache_clear()
    yield tmp_path / f"selscan-emulator-{os.getuid()}"
    compiler.folder.cache_clear()
    compiler._runtime.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    """The sources that the compiler was called for."""
    compiler.version()
    called, run = [], compiler._run

    def counted(*arguments):
        files = (str(a) for a in arguments if re.search(r"\.(cpp|o)$", str(a)))
        called.append(next(files))
        return run(*arguments)

    monkeypatch.setattr(compiler, "_run", counted)
    return called


def value(number, **options):
    x = np.zeros(1, np.float32)
    Module(SOURCE % number, ["k"], **options).get_function("k")((1,), (1,), pointers(x))
    return x[0]


def test_a_source_is_compiled_once(cache, calls):
    assert [value(1), value(1), value(2), value(1)] == [1, 1, 2, 1]

    runtime = calls.pop(0)
    assert runtime.endswith("runtime.cpp")
    assert len(calls) == 4  # two sources, compiled and linked
    assert len(list(cache.iterdir())) == 3


def test_what_a_library_depends_on_is_in_its_name(cache, calls, monkeypatch):
    assert re.search(r"\d+\.\d+.*-linux-", compiler.version(), re.DOTALL)
    value("1.0f")
    before = len(calls)

    value("1.0f", options=("-DX",))
    assert len(calls) == before + 2
    contents = compiler._contents
    monkeypatch.setattr(compiler, "_contents", lambda root: (*contents(root), "changed"))
    value("1.0f")
    assert len(calls) == before + 4
    monkeypatch.setattr(compiler, "version", lambda: "another compiler")
    value("1.0f")
    assert len(calls) == before + 6


def test_the_folder_is_ours_alone(cache):
    cache.mkdir(mode=0o700)
    cache.chmod(0o770)

    with pytest.raises(RuntimeError, match="must be a folder that only this user can write"):
        value(1)


def test_a_link_is_not_our_folder(cache, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RuntimeError, match="must be a folder that only this user can write"):
        value(1)


def test_processes_may_build_at_once(tmp_path):
    code = (
        "import numpy as np\n"
        "from emulator import Module, pointers\n"
        f"module = Module({SOURCE % 7!r}, ['k'])\n"
        "x = np.zeros(1, np.float32)\n"
        "module.get_function('k')((1,), (1,), pointers(x))\n"
        "assert x == 7\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(TESTS)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]

    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    left = [p.suffix for p in (tmp_path / f"selscan-emulator-{os.getuid()}").iterdir()]
    assert left == [".so", ".so"]  # the runtime and the kernel, and no folders
