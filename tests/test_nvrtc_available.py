"""CuPy, a driver, a GPU, NVRTC: each may be missing, and the reason and what helps are told."""

import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import selscan
from selscan.backends.cupy import compiler, gpu, toolkit
from selscan.backends.cupy.toolkit import Toolkit

BOTH = r"pip install 'selscan\[cuda13\]', or 'selscan\[cuda12\]' for a driver of CUDA 12"


def fake_cupy(driver=13000, runtime=13020, failure=None):
    """As much of CuPy as gpu.py uses: one device, whose calls are noted in `calls`."""
    calls = []

    def count():
        if failure:
            raise failure
        return 1

    class Module:
        def load(self, image):
            calls.append(("load", image))

        def get_function(self, name):
            return Function(name)

    class Function:
        ptr = 1234

        def __init__(self, name):
            self.name = name

        def __call__(self, grid, block, args, shared_mem=0, stream=None):
            calls.append(("launch", self.name, grid, block, args, shared_mem, stream))

    class Device(nullcontext):
        def __init__(self, number):
            super().__init__(self)
            self.compute_capability = "90"
            self.attributes = {"MaxSharedMemoryPerBlockOptin": 232448}
            calls.append(("device", number))

    runtime_api = SimpleNamespace(
        getDevice=lambda: 0,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: runtime,
        getDeviceCount=count,
    )
    driver_api = SimpleNamespace(
        CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES=1,
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8,
        funcGetAttribute=lambda attribute, function: {1: 48}[attribute],
        funcSetAttribute=lambda *arguments: calls.append(("set", *arguments)),
    )
    cuda = SimpleNamespace(runtime=runtime_api, driver=driver_api, Device=Device, Module=Module)
    return SimpleNamespace(cuda=cuda, calls=calls)


@pytest.fixture
def install_cupy(monkeypatch):
    def install(**options):
        cupy = fake_cupy(**options)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        return cupy

    return install


def test_a_function_is_loaded_on_its_device_with_all_the_shared_memory(install_cupy):
    cupy = install_cupy()

    function = gpu.load(b"machine code", "_Z1k", 3)

    assert callable(function)
    assert cupy.calls == [("device", 3), ("load", b"machine code"), ("set", 1234, 8, 232400)]


@pytest.mark.parametrize(("device", "guard"), [(0, []), (3, [("device", 3)])])
@pytest.mark.parametrize(("stream", "passed"), [(None, None), (0, (0,)), (77, (77,))])
def test_a_function_is_launched_on_its_device_and_on_a_stream(
    install_cupy, device, guard, stream, passed
):
    cupy = install_cupy()
    function = gpu.load(b"machine code", "_Z1k", device)
    cupy.calls.clear()

    function((2,), (32,), ("struct",), 100, stream)

    assert cupy.calls == [*guard, ("launch", "_Z1k", (2,), (32,), ("struct",), 100, passed)]
    given = cupy.calls[-1][-1]
    assert given is None or given.ptr == stream


def test_the_driver_and_the_capability_are_numbers(install_cupy):
    install_cupy()

    assert gpu.driver() == 13
    assert gpu.capability(0) == 90


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)

    with pytest.raises(
        selscan.BackendUnavailable,
        match=rf"^selscan: the cupy backend needs CuPy \(.*cupy.*\): {BOTH}\.$",
    ):
        gpu.driver()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "raise FileNotFoundError(2, 'No such file or directory', '/proc/nope')",
            r"\(FileNotFoundError: \[Errno 2\] No such file or directory: '/proc/nope'\): "
            r"set CUPY_CACHE_DIR to a directory that you can write\.$",
        ),
        (
            "raise ImportError('=====\\nReinstall.\\n') from ImportError('libcuda.so\\n  missing')",
            rf"\(ImportError: libcuda\.so missing\): {BOTH}\.$",
        ),
        ("raise RuntimeError('1' * 1000)", rf"\(RuntimeError: 1{{300}}\): {BOTH}\.$"),
        ("1 / 0", rf"\(ZeroDivisionError: division by zero\): {BOTH}\.$"),
    ],
)
def test_a_cupy_that_cannot_be_imported(monkeypatch, tmp_path, code, expected):
    (tmp_path / "cupy.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)

    with pytest.raises(
        selscan.BackendUnavailable,
        match=rf"^selscan: CuPy is installed, but importing it failed {expected}",
    ):
        gpu.driver()


@pytest.mark.parametrize(
    ("driver", "found"), [(0, "none was found"), (11080, "one of CUDA 11 was found")]
)
def test_no_driver_or_one_too_old(install_cupy, driver, found):
    install_cupy(driver=driver)

    with pytest.raises(
        selscan.BackendUnavailable,
        match=r"^selscan: the cupy backend needs an NVIDIA driver of CUDA 12 or newer; "
        rf"{found}\. Once nvidia-smi lists the GPU: {BOTH}\.$",
    ):
        gpu.driver()


def test_no_gpu(install_cupy):
    install_cupy(failure=OSError("cudaErrorNoDevice: no device"))

    with pytest.raises(
        selscan.BackendUnavailable,
        match=r"^selscan: CuPy finds no GPU \(OSError: cudaErrorNoDevice: no device\)\.$",
    ):
        gpu.driver()


def test_a_cupy_that_is_newer_than_the_driver(install_cupy):
    install_cupy(driver=12080, failure=OSError("cudaErrorInsufficientDriver"))

    with pytest.raises(
        selscan.BackendUnavailable,
        match=r"^selscan: CuPy finds no GPU \(OSError: cudaErrorInsufficientDriver\): CuPy is for "
        r"CUDA 13, the driver of CUDA 12: pip install 'selscan\[cuda12\]'\.$",
    ):
        gpu.driver()


class Release:
    """In the place of Nvrtc, for libraries named by their version."""

    def __init__(self, toolkit):
        text = toolkit.library.name
        if text == "broken":
            raise OSError("wrong ELF class")
        self.version = tuple(map(int, text.split(".")))

    __str__ = compiler.Nvrtc.__str__


@pytest.fixture
def found(monkeypatch):
    """Pretend that these releases are installed: the search for them."""
    monkeypatch.setattr(compiler, "Nvrtc", Release)

    def search(*texts, include=Path("include")):
        return lambda: (Toolkit(Path(text), include) for text in texts)

    return search


@pytest.mark.parametrize(
    ("release", "expected"), [(None, (13, 4)), (13, (13, 4)), (14, (13, 4)), (12, (12, 9))]
)
def test_the_first_compiler_that_the_driver_can_follow_is_used(found, release, expected):
    installed = found("broken", "11.8", "13.4", "12.9")

    assert compiler.find_nvrtc(release, installed).version == expected


@pytest.mark.parametrize(
    ("installed", "release", "expected"),
    [
        ([], 13, r"none is installed\): pip install 'selscan\[cuda13\]'"),
        ([], 12, r"none is installed\): pip install 'selscan\[cuda12\]'"),
        ([], None, rf"none is installed\): {BOTH}"),
        (["11.8"], 13, r"NVRTC 11\.8 is older than 12\.0\): pip install 'selscan\[cuda13\]'"),
        (
            ["13.4", "broken"],
            12,
            r"NVRTC 13\.4 needs a newer driver than this one of CUDA 12; broken: wrong ELF class\)"
            r": pip install 'selscan\[cuda12\]'",
        ),
    ],
)
def test_no_compiler(found, installed, release, expected):
    with pytest.raises(
        selscan.BackendUnavailable,
        match=r"^selscan: CUDA kernels are compiled by NVRTC, and none can be used "
        rf"\({expected}\.$",
    ):
        compiler.find_nvrtc(release, found(*installed))


def test_no_headers(found):
    with pytest.raises(
        selscan.BackendUnavailable, match=r"\(the headers of 13\.4 are missing\): pip install"
    ):
        compiler.find_nvrtc(13, found("13.4", include=None))


@pytest.fixture
def wheels(monkeypatch, tmp_path):
    """Put files into folders of the namespace package `nvidia`, and nothing else is there."""
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "a"), str(tmp_path / "b")])
    monkeypatch.setattr(toolkit.importlib.util, "find_spec", lambda name: {"nvidia": spec}[name])
    monkeypatch.setitem(sys.modules, "cuda", None)

    def write(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return tmp_path

    return write


def test_the_wheels_of_both_releases_are_found_the_newest_first(wheels):
    root = wheels(
        "a/cuda_nvrtc/lib/libnvrtc.so.12",
        "a/cuda_runtime/include/cuda_fp16.h",
        "b/cu13/lib/libnvrtc.so.13",
        "a/cu13/include/cuda_fp16.h",
    )

    assert list(toolkit.toolkits()) == [
        Toolkit(root / "b/cu13/lib/libnvrtc.so.13", root / "a/cu13/include"),
        Toolkit(root / "a/cuda_nvrtc/lib/libnvrtc.so.12", root / "a/cuda_runtime/include"),
    ]


def test_a_wheel_without_its_headers_is_found_without(wheels):
    root = wheels("a/cu13/lib/libnvrtc.so.13")

    assert list(toolkit.toolkits()) == [Toolkit(root / "a/cu13/lib/libnvrtc.so.13", None)]


def test_nothing_is_found_where_nothing_is(wheels, monkeypatch):
    wheels()
    assert list(toolkit.toolkits()) == []

    monkeypatch.setattr(toolkit.importlib.util, "find_spec", lambda name: None)
    assert list(toolkit.toolkits()) == []
    assert toolkit.disassembler() is None


def test_after_the_wheels_comes_what_pathfinder_finds(wheels, monkeypatch):
    wheels()
    pathfinder = ModuleType("cuda.pathfinder")
    pathfinder.load_nvidia_dynamic_lib = lambda name: SimpleNamespace(abs_path=f"/opt/{name}.so")
    pathfinder.find_nvidia_header_directory = lambda name: f"/opt/{name}"
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(pathfinder=pathfinder))

    assert list(toolkit.toolkits()) == [Toolkit(Path("/opt/nvrtc.so"), Path("/opt/cudart"))]
