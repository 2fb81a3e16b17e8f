"""Under AddressSanitizer and ThreadSanitizer: mistakes are reported, right kernels are not."""

import re

import pytest

from . import cases, faults, sanitizers

# What AddressSanitizer says; GCC before 13 writes `to the right of` for `after`.
AFTER, BEFORE = r"(after|to the right of)", r"(before|to the left of)"
OVERFLOW = r"heap-buffer-overflow .*{} of size 4 .*located {} {}-byte region .*thread \({}, 0, 0\)"
ADDRESSES = {
    "global_read_past_the_end": OVERFLOW.format("READ", f"0 bytes {AFTER}", 256, 63),
    "global_write_past_the_end": OVERFLOW.format("WRITE", f"0 bytes {AFTER}", 256, 63),
    "static_past_the_end_by_pointer": OVERFLOW.format("WRITE", f"0 bytes {AFTER}", 128, 32),
    "dynamic_past_the_end": OVERFLOW.format("WRITE", f"0 bytes {AFTER}", 252, 63),
    "dynamic_before_the_start": OVERFLOW.format("WRITE", f"4 bytes {BEFORE}", 256, 0),
    "dynamic_not_asked_for": r"use-after-poison .*WRITE of size 4 .*thread \(0, 0, 0\)",
}
# The same checks as in a plain build.
CHECKS = {
    "static_past_the_end": r"\(32, 0, 0\): index 32 is out of bounds for type 'float \[32\]'",
    "integer_overflow": r"\(1, 0, 0\): integer overflow: 4096 \* 1048576 is not a value of type",
    "misaligned_vector": r"\(1, 0, 0\): misaligned \w+: address 0x\w+ is not a multiple of 16",
    "divergent_barrier": r"\(32, 0, 0\): __syncthreads: all threads must reach the same barrier",
}
# The blocks of the two threads in ThreadSanitizer's report.
RACES = {
    "missing_barrier": (0, 0),
    "missing_syncwarp": (0, 0),
    "missing_second_barrier": (0, 0),
    "syncwarp_for_a_barrier": (0, 0),
    "shuffle_for_a_syncwarp": (0, 0),
    "race_of_groups": (0, 0),
    "global_race": (0, 0),
    "cross_block_race": (0, 1),
    "cross_block_race_between_barriers": (0, 1),
    "half_atomic": (0, 1),
}

both = pytest.mark.parametrize(
    "sanitizer",
    [
        pytest.param("address", marks=pytest.mark.asan),
        pytest.param("thread", marks=pytest.mark.tsan),
    ],
)


def run(sanitizer, function, *arguments):
    """The process, where there is the sanitizer."""
    assert sanitizers.missing(sanitizer) == ""
    return sanitizers.run(sanitizer, function, *arguments)


def lines_in(report, name):
    """The lines of faults.cu that a report has for a kernel; all must be in the kernel."""
    found = re.findall(rf"#\d+ .*\b{name}\b.* faults\.cu:(\d+)|#0 {name} faults\.cu:(\d+)", report)
    lines = {int(line) for pair in found for line in pair if line}
    assert lines <= set(faults.lines(name))
    return lines


@pytest.mark.asan
@pytest.mark.parametrize("name", ADDRESSES)
def test_an_access_outside_of_an_array_is_reported(name):
    process = run("address", "emulator.faults.run", name)

    assert process.returncode == sanitizers.FOUND, process.stdout
    assert re.search(f"ERROR: AddressSanitizer: {ADDRESSES[name]}", process.stdout, re.DOTALL)
    assert lines_in(process.stdout, name)


@pytest.mark.asan
@pytest.mark.parametrize("name", CHECKS)
def test_other_checks_are_made_as_well(name):
    process = run("address", "emulator.faults.run", name)

    assert process.returncode == 1, process.stdout
    message = process.stdout.strip().splitlines()[-1].partition("KernelError: ")[2]
    assert faults.matches(name, f"{CHECKS[name]}.*", message)


@pytest.mark.tsan
@pytest.mark.parametrize("name", RACES)
def test_a_race_is_reported_with_both_threads(name):
    process = run("thread", "emulator.faults.run", name)

    assert process.returncode == sanitizers.FOUND, process.stdout
    assert "WARNING: ThreadSanitizer: data race" in process.stdout
    assert lines_in(process.stdout, name)
    threads = re.findall(r"'(block \((\d), 0, 0\) thread \(\d+, 0, 0\))'", process.stdout)
    assert len({name for name, _ in threads}) == 2
    assert sorted(int(block) for _, block in set(threads)) == sorted(RACES[name])


@both
@pytest.mark.parametrize("name", cases.CASES)
def test_right_kernels_pass_without_a_report(sanitizer, name):
    process = run(sanitizer, name)

    assert (process.returncode, process.stdout) == (0, "")


@both
def test_right_kernels_pass_with_the_switch_for_other_cpus(sanitizer):
    process = run(sanitizer, "emulator.demos.check_with_ucontext")

    # AddressSanitizer warns that it may not follow ucontext; it is told of every switch.
    assert process.returncode == 0, process.stdout
