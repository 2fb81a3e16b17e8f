"""Launches as CuPy makes them: arguments, indices, geometry, shared memory."""

import threading

import numpy as np
import pytest

from . import KernelError, Module, compiler, launch, pointers
from .demos import KERNELS

NAMES = (
    *("arguments", "one_int", "aligned", "indices", "arrivals", "large", "slow"),
    *("bounded<32>", "bounded< 16 * 4 >"),
)
MIXED = np.dtype(
    [("values", "u8"), ("small", "i1"), ("large", "f8"), ("pair", "i2", 2), ("index", "i4")],
    align=True,
)


@pytest.fixture(scope="module")
def kernel():
    """A kernel of interface.cu by name."""
    code = (KERNELS / "interface.cu").read_text(encoding="utf-8")
    return Module(code, NAMES, file="interface.cu").get_function


@pytest.mark.parametrize("as_array", [False, True], ids=["scalar", "array of one"])
def test_every_kind_of_argument_reaches_the_kernel(kernel, as_array):
    values = np.arange(5, dtype=np.float32)
    mixed = np.zeros((), MIXED)
    mixed["values"], mixed["small"], mixed["large"] = values.ctypes.data, -3, 0.1
    mixed["pair"], mixed["index"] = (7, -8), 4
    struct = mixed if as_array else mixed[()]
    out = np.zeros(10)

    kernel("arguments")(
        (1,),
        (1,),
        (-(2**40), 1.5, True, np.int32(-6), np.uint64(2**63), struct, None, *pointers(out)),
    )

    assert out.tolist() == [-(2**40), 1.5, 1, -6, 2.0**63, 4, -3, 0.1, -8, 1]


def test_addresses_as_integers_are_pointers(kernel):
    count, out = np.zeros(1, np.int32), np.zeros(4, np.int32)

    kernel("arrivals")((1,), (4,), (count.ctypes.data, np.uint64(out.ctypes.data)))

    assert out.tolist() == [0, 1, 2, 3]


def test_a_struct_lies_as_its_alignment_needs(kernel):
    out = np.zeros(1, np.float32)
    struct = np.array(((0, 1, 2, 3),), np.dtype([("values", "f4", 4)]))

    kernel("aligned")((1,), (1,), (np.int8(1), struct, *pointers(out)))

    assert out[0] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5,), "one_int: argument 0 must have the 4 bytes of the kernel's parameter; got 8 (int)."),
        ((np.int64(5),), "must have the 4 bytes of the kernel's parameter; got 8 (int64)."),
        ((), "one_int: takes 1 arguments; got 0."),
        ((np.int32(1), np.int32(2)), "one_int: takes 1 arguments; got 2."),
        (
            (np.ones(2),),
            "argument 0 must have one element to be passed by value; got the shape (2,)",
        ),
        (
            (np.ones(0),),
            "argument 0 must have one element to be passed by value; got the shape (0,)",
        ),
        ((b"1234",), "one_int: argument 0 must be an array, a scalar or a structured scalar; got"),
        (([1],), "argument 0 must be an array, a scalar or a structured scalar; got [1]."),
        ((2**64,), "argument 0 must be an array, a scalar or a structured scalar; got 184467440"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(kernel, arguments, message):
    with pytest.raises(TypeError) as error:
        kernel("one_int")((1,), (1,), arguments)

    assert message in str(error.value)


def test_blocks_and_threads_have_their_indices(kernel):
    grid, block = (2, 3, 4), (5, 2, 3)
    out = np.zeros((24, 30, 4), np.int32)

    kernel("indices")(grid, block, pointers(out))

    z, y, x = np.unravel_index(np.arange(30), block[::-1])
    assert np.array_equal(out[..., 0], np.repeat(np.arange(24)[:, None], 30, axis=1))
    assert np.array_equal(out[..., 1:], np.broadcast_to(np.stack([x, y, 32 * z], 1), (24, 30, 3)))


@pytest.mark.parametrize(
    ("grid", "block", "message"),
    [
        ((0,), (1,), "indices: grid must be a tuple of 1 to 3 integers, from 1 to (2147483647, 6"),
        ((1, 65536), (1,), "indices: grid must be a tuple of 1 to 3 integers"),
        ((1, 1, 1, 1), (1,), "indices: grid must be a tuple of 1 to 3 integers"),
        ([1], (1,), "indices: grid must be a tuple of 1 to 3 integers"),
        ((1.0,), (1,), "indices: grid must be a tuple of 1 to 3 integers"),
        ((1,), 32, "indices: block must be a tuple of 1 to 3 integers, from 1 to (1024, 1024, 64"),
        ((1,), (1, 1, 65), "indices: block must be a tuple of 1 to 3 integers"),
        ((1,), (32, 33), "indices: block must have at most 1024 threads; got (32, 33, 1)."),
    ],
)
def test_a_geometry_that_a_gpu_has_not_is_refused(kernel, grid, block, message):
    with pytest.raises(ValueError, match="must") as error:
        kernel("indices")(grid, block, pointers(np.zeros(4, np.int32)))

    assert message in str(error.value)


def test_the_largest_block_runs(kernel):
    out = np.zeros((1024, 4), np.int32)

    kernel("indices")((1,), (16, 16, 4), pointers(out))

    assert np.array_equal(out[:, 1], np.arange(1024) % 16)


def test_more_threads_than_launch_bounds_are_refused(kernel):
    x = np.zeros(256, np.float32)
    kernel("bounded<32>")((1,), (64,), pointers(x))
    assert x.sum() == 64 * 32

    with pytest.raises(KernelError, match=r"cu:\d+: .*: __launch_bounds__ allows 64 threads a b"):
        kernel("bounded<32>")((1,), (65,), pointers(x))
    kernel("bounded< 16 * 4 >")((1,), (128,), pointers(x))


def test_dynamic_shared_memory_over_48_kib_must_be_asked_for():
    code = (KERNELS / "interface.cu").read_text(encoding="utf-8")
    large = Module(code, NAMES, file="interface.cu").get_function("large")
    total, most = np.zeros(1, np.int32), launch.MOST_SHARED - 4

    large((1,), (33,), (np.int32(40000), *pointers(total)), shared_mem=40000)
    assert total == 40000
    with pytest.raises(ValueError, match=r"large: shared_mem must be at most .*, 49152; got 4915"):
        large((1,), (33,), (np.int32(1), *pointers(total)), shared_mem=49153)

    large.max_dynamic_shared_size_bytes = most
    large((1,), (33,), (np.int32(most), *pointers(total)), shared_mem=most)
    assert total == most
    with pytest.raises(ValueError, match="max_dynamic_shared_size_bytes must be at most 232448"):
        large.max_dynamic_shared_size_bytes = launch.MOST_SHARED + 1


def test_a_name_that_was_not_compiled_is_refused(kernel):
    with pytest.raises(ValueError, match=r"get_function: name must be one of arguments, .*'nope'"):
        kernel("nope")


def test_threads_of_the_host_may_launch_at_once(kernel):
    results = np.zeros((4, 64))
    threads = [
        threading.Thread(target=kernel("slow"), args=((1,), (64,), pointers(row)))
        for row in results
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert np.array_equal(results, np.tile((np.arange(64) + 200) % 64, (4, 1)))


def test_without_a_compiler_there_is_a_reason(monkeypatch):
    assert compiler.missing() == ""
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)

    assert "g++, which is not installed" in compiler.missing()
