"""The loader of CUDA kernels in forked children, and in processes that compile at once."""

from cuda_parts import NAME
from processes import run_python

PARTS = """
import os, sys, threading, warnings
from pathlib import Path
sys.path.insert(0, "tests")
from cuda_parts import FILE, INSTANCES, NAME, Gpu, Nvrtc, make_loader

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork with threads

def in_a_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""
FORK = """
class Function:
    def __del__(self):
        print("destroyed in", "the parent" if os.getpid() == parent else "a child", flush=True)

class Real(Gpu):
    def load(self, *_):
        return Function()

def use():
    print(type(loader.kernel(FILE, NAME, 0)).__name__, flush=True)

parent = os.getpid()
loader = make_loader(Path("{directory}"), Nvrtc(), Real())
in_a_child(lambda: (use(), loader._functions.clear()))
use()
in_a_child(use)
in_a_child(lambda: in_a_child(use))
use()
"""


def test_a_child_forked_after_cuda_started_is_refused_and_touches_nothing(tmp_path):
    done = run_python(PARTS + FORK.replace("{directory}", str(tmp_path)))

    refused = (
        "BackendUnavailable: selscan: this process was forked after CUDA had started, which CUDA "
        "does not survive. Start workers with the 'spawn' or 'forkserver' method."
    )
    assert done.stdout.splitlines() == [
        "Function",
        "destroyed in a child",  # the first child had started CUDA itself
        "Function",
        refused,
        refused,
        "Function",
        "destroyed in the parent",
    ], done.stderr


LOCKED = """
inside, go, found = threading.Event(), threading.Event(), []

def find(release):
    inside.set()
    go.wait(60)
    return Nvrtc()

def child():
    go.set()
    print(loader.kernel(FILE, NAME, 0)((1,), (1,), ())[0], flush=True)

loader = make_loader(Path("{directory}"), None)
loader._find_nvrtc = find
thread = threading.Thread(target=lambda: found.append(loader.kernel(FILE, NAME, 0)))
thread.start()
inside.wait(60)
in_a_child(child)
go.set()
thread.join(60)
print(len(found))
"""


def test_a_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_held(tmp_path):
    done = run_python(PARTS + LOCKED.replace("{directory}", str(tmp_path)))

    assert done.stdout.splitlines() == [f"_Z{NAME}", "1"], done.stderr


CONTEXT = """
from multiprocessing import get_context

context = get_context("fork")
"""
# Both processes are in the compiler at the same time, and then write at once.
PROCESSES = """
together = context.Barrier(2)

class Meeting(Nvrtc):
    def compile(self, *arguments):
        together.wait(60)
        return super().compile(*arguments)

def work():
    gpu = Gpu()
    make_loader(Path("{directory}"), Meeting(b"x" * 3_000_000), gpu).kernel(FILE, NAME, 0)
    assert gpu.loaded == [(b"x" * 3_000_000, f"_Z{NAME}", 0)]

workers = [context.Process(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(120)
later, gpu = Nvrtc(), Gpu()
make_loader(Path("{directory}"), later, gpu).kernel(FILE, NAME, 0)
print([worker.exitcode for worker in workers], later.compiled, len(gpu.loaded[0][0]))
"""


def test_two_processes_that_compile_at_once_leave_a_whole_entry(tmp_path):
    done = run_python(PARTS + CONTEXT + PROCESSES.replace("{directory}", str(tmp_path)))

    assert done.stdout == "[0, 0] [] 3000000\n", done.stderr
    assert len(list(tmp_path.iterdir())) == 1


IMPORTED = """
import importlib, pkgutil
import selscan.backends.cupy as package

def names():
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    print("cupy" in sys.modules, "cuda" in sys.modules)
    print([line for line in open("/proc/self/maps") if "libnvrtc" in line or "libcuda" in line])

names()
in_a_child(names)
"""


def test_importing_the_package_touches_nothing_of_cuda_in_a_child_either():
    done = run_python(PARTS + IMPORTED)

    assert done.stdout.splitlines() == ["False False", "[]"] * 2, done.stderr


# Both write one entry again and again, in images of two sizes, and read it all the time.
WRITERS = """
from selscan.backends.cupy.compiler import Compiled
from selscan.backends.cupy.store import Store

cache = Store(lambda: Path("{directory}"))
images = [bytes([i]) * (1 + i * 3_000_000) for i in (0, 1)]

def work(first):
    found = []
    for i in range(first, first + 60):
        cache.put("key", Compiled(images[i % 2], {"k": "k"}, ""))
        found.append(cache.get("key", ["k"]))
    assert all(entry and entry.image in images for entry in found)

workers = [context.Process(target=work, args=(first,)) for first in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(120)
print([worker.exitcode for worker in workers])
"""


def test_two_processes_that_write_one_entry_always_read_a_whole_one(tmp_path):
    done = run_python(PARTS + CONTEXT + WRITERS.replace("{directory}", str(tmp_path)))

    assert done.stdout == "[0, 0]\n", done.stderr
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["key.kernel"]
