"""Kernels by name: the closed list, one compilation, devices, threads; on fakes."""

import contextlib
import threading

import pytest
from cuda_parts import FILE, INSTANCES, NAME, SOURCES, Gpu, Nvrtc, in_threads, make_loader
from hypothesis import given
from hypothesis import strategies as st

import selscan
from selscan.backends.cupy import compiler, gpu, instances, nvrtc, paste
from selscan.backends.cupy.nvrtc import key_of

ANOTHER = "block_sum<8>"
SMUGGLED = (
    "exponential<float, 4>(Arguments); } int x; template <int N",
    "exponential<float, 5>",
    "exponential<float,4>",
    " exponential<float, 4>",
    "exponential<float, 4>\n",
    "exponential<float, 4>\0",
    "exponential",
    "",
    NAME.encode(),
    None,
    4,
)


class Stranger(str):
    """A text that claims to be equal to any other."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


@pytest.fixture
def compiler_fake():
    return Nvrtc()


@pytest.fixture
def loader(tmp_path, compiler_fake):
    return make_loader(tmp_path / "cache", compiler_fake)


def test_a_kernel_is_compiled_and_loaded_once(tmp_path, compiler_fake):
    gpu = Gpu()
    loader = make_loader(tmp_path, compiler_fake, gpu)

    first, second = (loader.kernel(FILE, NAME, 0) for _ in range(2))

    assert first is second
    assert first((1,), (32,), ()) == (f"_Z{NAME}", 0)
    assert compiler_fake.compiled == [(NAME, "sm_90")]
    assert gpu.loaded == [(b"machine code", f"_Z{NAME}", 0)]


def test_each_kernel_is_compiled_when_it_is_asked_for(loader, compiler_fake):
    loader.kernel(FILE, NAME, 0)
    loader.kernel(FILE, ANOTHER, 0)

    assert compiler_fake.compiled == [(NAME, "sm_90"), (ANOTHER, "sm_90")]


def test_each_device_has_a_function_of_its_own(tmp_path, compiler_fake):
    gpu = Gpu((90, 90, 80))
    loader = make_loader(tmp_path, compiler_fake, gpu)

    functions = [loader.kernel(FILE, NAME, device) for device in (0, 1, 2, 1)]

    assert len(set(functions)) == 3
    assert functions[1] is functions[3]
    assert [device for *_, device in gpu.loaded] == [0, 1, 2]
    assert compiler_fake.compiled == [(NAME, "sm_90"), (NAME, "sm_80")]


def test_a_later_process_reads_it_from_disk(tmp_path, loader, compiler_fake):
    loader.kernel(FILE, NAME, 0)
    gpu, later = Gpu(), Nvrtc()

    make_loader(tmp_path / "cache", later, gpu).kernel(FILE, NAME, 0)

    assert later.compiled == []
    assert gpu.loaded == [(b"machine code", f"_Z{NAME}", 0)]


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda _: b"garbage"])
def test_a_damaged_entry_is_compiled_again_and_replaced(tmp_path, loader, compiler_fake, damage):
    loader.kernel(FILE, NAME, 0)
    [entry] = (tmp_path / "cache").iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))

    make_loader(tmp_path / "cache", compiler_fake).kernel(FILE, NAME, 0)

    assert compiler_fake.compiled == [(NAME, "sm_90")] * 2
    assert entry.read_bytes() == whole


def test_without_a_disk_it_compiles_once_in_a_process_and_warns_once(tmp_path, compiler_fake):
    (tmp_path / "cache").touch()
    loader = make_loader(tmp_path / "cache", compiler_fake, Gpu((90, 90)))

    with pytest.warns(RuntimeWarning, match="cannot be kept on disk") as caught:
        functions = [loader.kernel(FILE, NAME, device) for device in (0, 1, 0)]

    assert len(caught) == 1
    assert functions[0] is functions[2]
    assert compiler_fake.compiled == [(NAME, "sm_90")]


@pytest.mark.parametrize("name", SMUGGLED, ids=repr)
def test_a_name_that_is_not_listed_reaches_no_compiler(loader, compiler_fake, name):
    with pytest.raises(KeyError, match=r"is not an instance of pieces\.cu"):
        loader.kernel(FILE, name, 0)

    assert compiler_fake.compiled == []


@pytest.mark.parametrize("file", ["../pieces.cu", "numbers.cuh", "pieces.cu ", "", None])
def test_a_file_that_is_not_listed_reaches_no_compiler(loader, compiler_fake, file):
    with pytest.raises(KeyError, match=r"is not a file of kernels"):
        loader.kernel(file, NAME, 0)

    assert compiler_fake.compiled == []


@given(name=st.text() | st.sampled_from(INSTANCES[FILE]).map(lambda name: name[:-1]))
def test_no_text_but_a_listed_one_is_found(name):
    with pytest.raises(KeyError):
        instances.listed(INSTANCES, FILE, name)


def test_the_compiler_gets_the_text_of_the_list_not_that_of_the_caller(loader, compiler_fake):
    loader.kernel(Stranger("evil.cu"), Stranger("evil"), 0)

    [(name, target)] = compiler_fake.compiled
    assert (type(name), name, target) == (str, NAME, "sm_90")


def test_twenty_threads_compile_one_kernel_once(tmp_path):
    inside, found = threading.Barrier(2), []

    @contextlib.contextmanager
    def wait():
        with contextlib.suppress(threading.BrokenBarrierError):
            inside.wait(1)  # a second thread comes here, if it can
        yield

    slow, gpu = Nvrtc(during=wait), Gpu()
    loader = make_loader(tmp_path, slow, gpu)

    in_threads(20, lambda i: found.append(loader.kernel(FILE, NAME, 0)))

    assert len(found) == 20
    assert len(set(found)) == 1
    assert slow.compiled == [(NAME, "sm_90")]
    assert len(gpu.loaded) == 1


def test_threads_compile_different_kernels_at_the_same_time(tmp_path):
    together = threading.Barrier(3)

    @contextlib.contextmanager
    def meet():
        together.wait(60)  # breaks if one of them waits for another to finish
        yield

    loader = make_loader(tmp_path, Nvrtc(during=meet))
    names = INSTANCES[FILE][:3]
    found = {}

    in_threads(3, lambda i: found.update({i: loader.kernel(FILE, names[i], 0)}))

    assert len(set(found.values())) == 3


def test_a_compilation_that_fails_can_be_tried_again(tmp_path):
    class Failing(Nvrtc):
        def compile(self, text, file, names, target):
            if not self.compiled:
                self.compiled.append(names)
                raise RuntimeError("selscan: out of memory")
            return super().compile(text, file, names, target)

    loader = make_loader(tmp_path, Failing())
    with pytest.raises(RuntimeError, match="out of memory"):
        loader.kernel(FILE, NAME, 0)

    assert loader.kernel(FILE, NAME, 0)


def test_code_that_cannot_be_loaded_is_an_error_that_names_it(tmp_path, compiler_fake):
    class Broken(Gpu):
        def load(self, image, name, device):
            raise OSError("CUDA_ERROR_NO_BINARY_FOR_GPU")

    loader = make_loader(tmp_path, compiler_fake, Broken())
    message = (
        r"^selscan: exponential<float, 4> of pieces\.cu, compiled for sm_90 by NVRTC 13\.4, cannot "
        r"be loaded on cuda:0 \(OSError: CUDA_ERROR_NO_BINARY_FOR_GPU\)\.$"
    )

    with pytest.raises(RuntimeError, match=message):
        loader.kernel(FILE, NAME, 0)


@pytest.mark.parametrize("missing", ["driver", "capability", "load"])
def test_what_is_not_available_says_so_at_each_step(tmp_path, compiler_fake, missing):
    def unavailable(*_):
        raise selscan.BackendUnavailable("selscan: the reason")

    gpu = Gpu()
    setattr(gpu, missing, unavailable)

    with pytest.raises(selscan.BackendUnavailable, match=r"^selscan: the reason$"):
        make_loader(tmp_path, compiler_fake, gpu).kernel(FILE, NAME, 0)


def test_check_asks_the_driver_and_finds_a_compiler_without_compiling(tmp_path, compiler_fake):
    asked = []
    loader = make_loader(tmp_path, compiler_fake)
    loader._find_nvrtc = lambda release: asked.append(release) or compiler_fake

    loader.check()
    loader.check()

    assert asked == [13]
    assert compiler_fake.compiled == []


def test_a_key_changes_with_all_that_the_code_depends_on(monkeypatch):
    given = {"identity": [13, 4, 1, "x"], "text": "t", "names": ("k",), "target": "sm_90"}
    changes = [
        {"identity": [13, 5, 1, "x"]},
        {"identity": [13, 4, 2, "x"]},
        {"identity": [13, 4, 1, "y"]},
        {"text": "u"},
        {"names": ("k", "l")},
        {"target": "compute_90"},
    ]

    keys = [key_of(**given | change) for change in [{}, *changes]]
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--use_fast_math"))
    keys.append(key_of(**given))
    monkeypatch.setattr(nvrtc, "FORMAT", nvrtc.FORMAT + 1)
    keys.append(key_of(**given))

    assert len(set(keys)) == len(keys) == 9


def test_an_edited_header_is_compiled_again(tmp_path, compiler_fake):
    for file in SOURCES.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    for addition in ("", "// edited\n"):
        with (tmp_path / "numbers.cuh").open("a") as stream:
            stream.write(addition)
        make_loader(tmp_path / "cache", compiler_fake, folder=tmp_path).kernel(FILE, NAME, 0)

    assert compiler_fake.compiled == [(NAME, "sm_90")] * 2


def test_the_library_uses_its_own_list_sources_gpu_and_compiler():
    loader = nvrtc.kernel.__self__

    assert loader._instances is instances.INSTANCES
    assert loader._folder is paste.SOURCES
    assert loader._gpu is gpu
    assert loader._find_nvrtc is compiler.find_nvrtc
    assert nvrtc.check.__self__ is loader
