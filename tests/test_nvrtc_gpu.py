"""The loader on a real GPU: what it compiles runs there and gives the right numbers."""

import numpy as np
import pytest
from cuda_parts import FILE, INSTANCES, SOURCES

import selscan
from selscan.backends.cupy import gpu
from selscan.backends.cupy.compiler import find_nvrtc
from selscan.backends.cupy.nvrtc import Loader
from selscan.backends.cupy.store import Store

pytestmark = pytest.mark.gpu

ARGUMENTS = np.dtype([("x", "u8"), ("y", "u8"), ("size", "i8"), ("factor", "f4")], align=True)


@pytest.fixture(scope="module")
def cupy():
    try:
        gpu.driver()
    except selscan.BackendUnavailable as error:
        pytest.skip(str(error))
    return gpu.import_cupy()


@pytest.fixture
def loader(cupy, tmp_path):
    return Loader(INSTANCES, SOURCES, gpu, Store(lambda: tmp_path / "cache"))


def launch(cupy, function, x, y_size, grid, block, factor=1.0, shared_mem=0):
    """Run a kernel of pieces.cu on the first device; y as a NumPy array."""
    x, y = cupy.asarray(x), cupy.full(y_size, np.nan, x.dtype)
    arguments = np.zeros((), ARGUMENTS)
    arguments[()] = (x.data.ptr, y.data.ptr, x.size, factor)
    function((grid,), (block,), (arguments,), shared_mem=shared_mem)
    return cupy.asnumpy(y)


@pytest.mark.parametrize(("type_", "dtype"), [("float", np.float32), ("__half", np.float16)])
def test_a_kernel_gives_the_right_numbers(cupy, loader, type_, dtype):
    x = np.linspace(-3, 3, 1001).astype(dtype)
    function = loader.kernel(FILE, f"exponential<{type_}, 4>", 0)

    y = launch(cupy, function, x, 1001, 8, 32, factor=0.5)

    expected = 0.5 * np.exp2(x.astype(np.float64))
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)


def test_a_kernel_that_was_read_from_disk_gives_the_right_numbers(cupy, loader, tmp_path):
    loader.kernel(FILE, "block_sum<8>", 0)
    again = Loader(INSTANCES, SOURCES, gpu, Store(lambda: tmp_path / "cache"))
    again._find().compile = None

    y = launch(cupy, again.kernel(FILE, "block_sum<8>", 0), np.ones(300, np.float32), 2, 2, 256)

    assert y.tolist() == [256, 44]


def test_a_kernel_may_use_more_shared_memory_than_48_kib(cupy, loader):
    x = np.arange(192, dtype=np.float32)
    most = cupy.cuda.Device(0).attributes["MaxSharedMemoryPerBlockOptin"]
    assert most > 48 << 10

    function = loader.kernel(FILE, "reverse_rows<96>", 0)
    y = launch(cupy, function, x, 192, 2, 64, shared_mem=most)

    assert np.array_equal(y, x.reshape(2, 96)[:, ::-1].ravel())


def test_the_driver_compiles_the_ptx_for_a_gpu_that_the_compiler_does_not_know(cupy, loader):
    nvrtc = find_nvrtc(gpu.driver())
    capability = gpu.capability(0)
    vars(nvrtc)["architectures"] = [known for known in nvrtc.architectures if known < capability]
    loader._nvrtc = nvrtc
    assert nvrtc.target(capability).startswith("compute_")

    y = launch(cupy, loader.kernel(FILE, "block_sum<8>", 0), np.ones(256, np.float32), 1, 1, 256)

    assert y.tolist() == [256]
