"""What belongs to paths is kept for the next call: few results and few bytes of them."""

import binascii
import os
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from processes import run_python

from selscan.paths import Path, cross
from selscan.paths import keeping as module
from selscan.paths.keeping import KEPT, MOST_BYTES, keeping

QUARTER = MOST_BYTES // 4


@pytest.fixture
def made():
    """A function that keeps arrays of so many bytes, and the arguments it was run with."""
    runs = []

    @keeping
    def make(name, size):
        runs.append(name)
        return np.empty(size, np.uint8)

    return make, runs


def test_a_result_is_kept_and_returned_again(made):
    make, runs = made

    assert make("a", 8) is make("a", 8)
    make.cache_clear()
    make("a", 8)
    assert runs == ["a", "a"]


def test_the_results_that_were_asked_for_longest_ago_are_dropped(made):
    make, runs = made
    for name in range(KEPT):
        make(name, 1)
    make(0, 1)

    make("one more", 1)

    for name in (0, 2, "one more", 1):
        make(name, 1)
    assert runs == [*range(KEPT), "one more", 1]


def test_bytes_are_bounded(made):
    make, runs = made
    for name in "abcd":
        make(name, QUARTER - 100)
    make("a", QUARTER - 100)

    make("e", QUARTER)

    for name in "acde":
        make(name, QUARTER - 100 if name != "e" else QUARTER)
    assert runs == [*"abcde"]
    make("b", QUARTER - 100)
    assert runs == [*"abcdeb"]


def test_the_last_result_is_kept_however_large_it_is(made):
    make, runs = made

    for _ in range(2):
        make("small", 8)
        assert make("large", 2 * MOST_BYTES) is make("large", 2 * MOST_BYTES)
    assert runs == ["small", "large", "small", "large"]


def test_an_error_is_not_kept():
    failures = iter([ValueError("once")])

    @keeping
    def make(name):
        for error in failures:
            raise error
        return name

    with pytest.raises(ValueError, match="once"):
        make("a")
    assert make("a") == "a"


def test_threads_keep_results_at_once(made):
    make, wrong = made[0], []

    def work(seed):
        for name in np.random.default_rng(seed).integers(0, 2 * KEPT, 3000).tolist():
            if len(make(name, name)) != name:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


CHILD = """
import os
from selscan.paths import keeping

lower = keeping.keeping(str.lower)
with keeping._lock:
    child = os.fork()
    if child == 0:
        os._exit(0 if lower("A") == "a" else 3)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_while_a_result_is_kept_keeps_results():
    done = run_python(CHILD)

    assert done.stdout.split() == ["0"], done.stderr


def test_the_size_of_a_path_is_about_what_it_takes():
    random = np.stack([np.random.default_rng(0).permutation(64 * 64) for _ in range(4)])
    for path in (cross(64, 64), Path(random, 64, 64)):
        arrays = (path.table, path.inverse, path.runs.table, path.runs.first)
        takes = sum(x.nbytes for x in arrays) + len(path.text)
        assert takes / 1.5 <= path.nbytes <= 1.5 * takes
    assert module.size_of(("a", [path, None], np.float32, module)) == 1 + path.nbytes


PATHS_AS_THEY_COME = """
import gc, numpy as np, selscan

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

rng = np.random.default_rng(0)
def one():
    table = np.stack([rng.permutation(65536) for _ in range(4)])
    return selscan.paths.Path(table, 256, 256)

x = np.zeros((1, 1, 256, 256), "u1")
selscan.gather(x, one())
before = resident()
for _ in range(70):
    selscan.gather(x, one())
print(resident() - before)
"""


def test_paths_as_they_come_do_not_fill_the_memory():
    result = run_python(PATHS_AS_THEY_COME)

    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 200


def test_a_text_is_not_unpacked_beyond_what_it_says():
    packed = binascii.b2a_base64(zlib.compress(bytes(200 << 20)), newline=False).decode()
    assert len(packed) < 300_000

    tracemalloc.start()
    with pytest.raises(ValueError, match="the text of a path"):
        Path.from_text(f"2 2 0 1 4 {packed}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize("tail", [b"", b"x"])
def test_a_text_with_too_little_or_too_much_is_refused(tail):
    stream = zlib.compress(bytes(12 if not tail else 16)) + tail
    packed = binascii.b2a_base64(stream, newline=False).decode()

    with pytest.raises(ValueError, match="the text of a path"):
        Path.from_text(f"2 2 0 1 4 {packed}")
