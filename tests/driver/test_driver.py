"""The driver itself: what a device would refuse is refused, and work waits in its stream."""

import ctypes

import numpy as np
import pytest

import driver
from selscan.backends.cupy import compiler

pytest.importorskip("cupy")

CODE = """
template <int SIZE> struct alignas(SIZE < 16 ? SIZE : 16) Bytes { char bytes[SIZE]; };
template <int SIZE> __global__ void take(Bytes<SIZE> value) {}
__global__ void __launch_bounds__(64) bounded(long value) {}
__global__ void shared(float* out) {
  __shared__ float a[1000];
  extern __shared__ float b[];
  a[threadIdx.x] = b[threadIdx.x];
  __syncthreads();
  *out = a[threadIdx.x ^ 1];
}
"""
SIZES = (1, 2, 4, 8, 16)
NAMES = (*(f"take<{size}>" for size in SIZES), "bounded", "shared")
STRUCT = np.dtype([("a", "i4"), ("b", "f4")])
VALUES = {
    "int": (3, 8),
    "negative": (-1, 8),
    "bool": (True, 1),
    "float": (1.5, 8),
    "complex": (1 + 2j, 16),
    "None": (None, 8),
    "int32": (np.int32(4), 4),
    "float16": (np.float16(1), 2),
    "struct": (np.array((1, 2), STRUCT), 8),
    "void": (np.array((1, 2), STRUCT)[()], 8),
    "one float": (np.ones(1, np.float32), 4),
    "one in two axes": (np.ones((1, 1)), 8),
    "two": (np.ones(2, np.float32), 8),
    "two structs": (np.zeros(2, STRUCT), 16),
    "none of them": (np.ones(0), 8),
    "text": ("x", 8),
    "list": ([1], 8),
    "ctypes": (ctypes.c_int(5), 4),
}


@pytest.fixture(scope="module")
def module():
    """The kernels of CODE by name, loaded on device 0."""
    import cupy

    image = compiler.find_nvrtc(13).compile(CODE, "code.cu", NAMES, "sm_90")
    cupy.cuda.Device(0).use()
    found = cupy.cuda.Module()
    found.load(image.image)
    return {name: found.get_function(image.lowered[name]) for name in NAMES}


@pytest.mark.parametrize("name", VALUES)
def test_the_emulator_passes_what_cupy_passes(cupy, module, name):
    from emulator import Module

    value, size = VALUES[name]
    received = []
    driver.run_with(lambda *launch: received.append(launch[-1].tobytes()))
    emulated = Module(CODE, [f"take<{size}>"]).get_function(f"take<{size}>")
    try:
        module[f"take<{size}>"]((1,), (1,), (value,))
    except TypeError:
        with pytest.raises(TypeError, match="argument 0 must "):
            emulated((1,), (1,), (value,))
    else:
        memory, addresses = emulated._packed((value,))
        assert ctypes.string_at(addresses[0], size) == received[0]
        del memory


REFUSED = {
    "no blocks": ("bounded", (0,), (1,), 0, "the grid is not from 1"),
    "too many blocks": ("bounded", (1, 65536), (1,), 0, "the grid is not from 1"),
    "too many threads": ("take<8>", (1,), (1025,), 0, "the block is not from 1 to 1024 threads"),
    "beyond the bounds": ("bounded", (1,), (65,), 0, "more threads than __launch_bounds__"),
    "shared memory": ("shared", (1,), (32,), 48 * 1024 - 3999, "more shared memory than was asked"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_launch_that_a_device_refuses_is_refused(cupy, module, name):
    kernel, grid, block, shared, reason = REFUSED[name]
    driver.run_with(None)

    with pytest.raises(cupy.cuda.driver.CUDADriverError):
        # CuPy makes one block of none.
        cupy.cuda.driver.launchKernel(
            module[kernel].ptr, *(*grid, 1, 1)[:3], *(*block, 1, 1)[:3], shared, 0, 0, 0
        )

    [fault] = driver.faults()
    assert reason in fault


def test_a_kernel_and_a_stream_of_another_device_are_refused(cupy, module):
    with cupy.cuda.Device(1):
        stream = cupy.cuda.Stream()
        with pytest.raises(cupy.cuda.driver.CUDADriverError):
            module["bounded"]((1,), (1,), (1,))
    with pytest.raises(cupy.cuda.driver.CUDADriverError):
        module["bounded"]((1,), (1,), (1,), 0, stream)

    own, other = driver.faults()
    assert "the kernel is of another device" in own
    assert "the stream is of another device" in other


def test_what_a_kernel_takes_is_read_from_its_machine_code(module):
    from cupy.cuda import driver as api

    limits, shared, registers = (
        api.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
        api.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
        api.CU_FUNC_ATTRIBUTE_NUM_REGS,
    )

    assert api.funcGetAttribute(limits, module["bounded"].ptr) == 64
    assert api.funcGetAttribute(shared, module["shared"].ptr) == 4000
    assert 0 < api.funcGetAttribute(registers, module["shared"].ptr) <= 32


def test_work_waits_in_its_stream(cupy, module):
    ran = []
    driver.run_with(lambda *launch: ran.append(launch[0]))
    stream, other = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))

    module["bounded"]((1,), (1,), (1,), 0, stream)
    other.synchronize()
    cupy.cuda.Stream.null.synchronize()
    assert ran == []
    other.wait_event(stream.record())
    other.synchronize()
    assert len(ran) == 1


def test_a_kernel_that_fails_fails_its_stream(cupy, module):
    def broken(*launch):
        raise ValueError("a reason")

    driver.run_with(broken)
    with pytest.raises(cupy.cuda.driver.CUDADriverError):
        module["bounded"]((1,), (1,), (1,))
    assert driver.faults() == ["ValueError: a reason"]
