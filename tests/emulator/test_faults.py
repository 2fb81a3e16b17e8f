"""Mistakes that a plain build finds, each with its message; faults.cu has the kernels."""

import numpy as np
import pytest

from . import ORDERS, KernelError, faults, order

# What comes after `faults.cu:<line>: block (0, 0, 0) thread `.
ERRORS = {
    "divergent_barrier": r"\(32, 0, 0\): __syncthreads: all threads must reach the same barrier; "
    r"thread \(0, 0, 0\) waits at faults\.cu:\d+",
    "different_barriers": r"\(32, 0, 0\): __syncthreads_count: all threads must reach the same "
    r"barrier; thread \(0, 0, 0\) waits at faults\.cu:\d+",
    "exit_before_barrier": r"\(0, 0, 0\): __syncthreads: all threads must reach the barrier; "
    r"thread \(5, 0, 0\) has exited",
    "missing_lanes": r"\(0, 0, 0\): __shfl_down_sync: mask 0xffffffff names lane 16, which has "
    r"exited",
    "lanes_at_a_barrier": r"\(0, 0, 0\): __shfl_sync with mask 0x00000003 waits for lane 1, which "
    r"waits in __syncthreads at faults\.cu:\d+",
    "lane_not_in_its_mask": r"\(16, 0, 0\): __shfl_xor_sync: mask 0x0000ffff must name the calling "
    r"lane, 16",
    "lanes_that_do_not_exist": r"\(32, 0, 0\): __ballot_sync: mask 0x0000ffff names lanes that the "
    r"block does not have",
    "different_masks": r"\(0, 0, 0\): __shfl_sync with mask 0x00000007 waits for lane 1, which "
    r"waits in __shfl_sync with mask 0x00000003 at faults\.cu:\d+",
    "different_shuffles": r"\(0, 0, 0\): __shfl_up_sync with mask 0xffffffff waits for lane 16, "
    r"which waits in __shfl_down_sync with mask 0xffffffff at faults\.cu:\d+",
    "odd_width": r"\(0, 0, 0\): __shfl_sync: width must be a power of two up to 32; got 12",
    "static_past_the_end": r"\(32, 0, 0\): index 32 is out of bounds for type 'float \[32\]'",
    "integer_overflow": r"\(1, 0, 0\): integer overflow: 4096 \* 1048576 is not a value of type "
    r"'int'",
    "misaligned_vector": r"\(1, 0, 0\): misaligned \w+: address 0x\w+ is not a multiple of 16, as "
    r"type 'const struct float4' needs",
    "misaligned_shared_vector": r"\(0, 0, 0\): misaligned store: address 0x\w+ is not a multiple "
    r"of 16, as type 'struct float4' needs",
    "null_pointer": r"\(0, 0, 0\): store through a null pointer to 'float'",
    "large_shift": r"\(32, 0, 0\): shift of type 'unsigned int' by 32",
    "division_by_zero": r"\(0, 0, 0\): integer overflow: 1 / 0 is not a value of type 'int'",
    "too_much_static": r"\(0, 0, 0\): static shared memory must fit in 49152 bytes; got 49156",
    "too_much_together": r"\(0, 0, 0\): shared memory must fit in 49152 bytes; got 24576 static "
    r"and 32768 dynamic",
    "different_alignments": r"\(0, 0, 0\): extern __shared__: all declarations must have the same "
    r"alignment; got 4 and 16",
    "trap": r"\(7, 0, 0\): __trap\(\)",
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_mistake_is_an_error_with_its_place_and_thread(name):
    with pytest.raises(KernelError) as error:
        faults.run(name)

    assert faults.matches(name, ERRORS[name], str(error.value))


def test_a_kernel_runs_again_after_an_error():
    with pytest.raises(KernelError):
        faults.run("exit_before_barrier")
    with pytest.raises(KernelError, match="trap"):
        faults.run("trap")

    assert faults.run("shuffle_for_a_syncwarp").tolist() == [1 + (i ^ 1) for i in range(64)]


def test_shared_memory_that_was_not_written_is_nan():
    x = faults.run("uninitialised_shared")

    assert np.array_equal(x[:60], np.arange(1, 61))
    assert np.isnan(x[60:]).all()


@pytest.mark.parametrize(
    "name",
    ["missing_barrier", "missing_syncwarp", "missing_second_barrier", "syncwarp_for_a_barrier"],
)
def test_without_a_barrier_the_order_of_threads_shows(name):
    results = []
    for kind in ORDERS:
        with order(kind):
            results.append(faults.run(name).tobytes())

    assert len(set(results)) > 1
