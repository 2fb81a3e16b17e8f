"""Right kernels of the emulator's own: launched in every order of threads, compared with NumPy."""

import functools
import time

import ml_dtypes
import numpy as np

from . import ORDERS, Module, compiler, order, pointers
from .compiler import HERE

KERNELS = HERE / "kernels"
ELEMENTS = {"float": np.float32, "__half": np.float16, "__nv_bfloat16": ml_dtypes.bfloat16}
# The instances of scan.cu: element, threads of a block, steps of a thread.
SCANS = (("float", 128, 4), ("__half", 64, 8), ("__nv_bfloat16", 32, 1))
POINTERS, SIZES = ("u", "delta", "B", "C", "A", "y", "last"), ("channels", "length", "states")
PROBLEM = np.dtype([(x, "u8") for x in POINTERS] + [(x, "i4") for x in SIZES], align=True)


@functools.cache
def scan_module():
    """The instances of scan.cu, compiled together."""
    names = ["scan<{}, {}, {}>".format(*instance) for instance in SCANS]
    code = (KERNELS / "scan.cu").read_text(encoding="utf-8")
    return Module(code, names, options=(f"-I{KERNELS}",), file="scan.cu")


@functools.cache
def warp_module():
    """The kernels of warp.cu."""
    code = (KERNELS / "warp.cu").read_text(encoding="utf-8")
    return Module(code, ["warp_sums", "swap_pairs", "compact", "histogram"], file="warp.cu")


def scan_problem(dtype, b, d, l, n):
    """u, delta, A, B, C."""
    rng = np.random.default_rng(0)
    u, B, C = (rng.standard_normal(shape) for shape in ((b, d, l), (b, n, l), (b, n, l)))
    delta, A = rng.random((b, d, l)), -rng.random((d, n), np.float32)
    return *(x.astype(dtype) for x in (u, delta)), A, *(x.astype(dtype) for x in (B, C))


def scan(instance, u, delta, A, B, C):
    """y and the last state, by one instance of the kernel."""
    (b, d, l), n = u.shape, A.shape[1]
    y, last = np.full_like(u, np.nan), np.full((b, d, n), np.nan, np.float32)
    arrays = {"u": u, "delta": delta, "B": B, "C": C, "A": A, "y": y, "last": last}
    problem = np.zeros((), PROBLEM)
    for name, array in arrays.items():
        problem[name] = array.ctypes.data
    problem["channels"], problem["length"], problem["states"] = d, l, n
    kernel = scan_module().get_function("scan<{}, {}, {}>".format(*instance))
    kernel((b * d,), (instance[1],), (problem,), shared_mem=4 * n)
    return y, last


def scan_expected(u, delta, A, B, C):
    """The same in float64, step by step."""
    u, delta, A, B, C = (x.astype(np.float64) for x in (u, delta, A, B, C))
    y, h = np.zeros(u.shape), np.zeros((*u.shape[:2], A.shape[1]))
    for t in range(u.shape[2]):
        h = np.exp(delta[:, :, t, None] * A) * h + (delta * u)[:, :, t, None] * B[:, None, :, t]
        y[:, :, t] = (h * C[:, None, :, t]).sum(-1)
    return y, h


def warp_sums(x):
    """Running sums of each 32 values: with shuffles, and through shared memory."""
    shuffled, shared = np.full_like(x, np.nan), np.full_like(x, np.nan)
    kernel = warp_module().get_function("warp_sums")
    for _ in range(2):  # a launch may write what the one before has written
        kernel((x.size // 64,), (64,), pointers(x, shuffled, shared))
    return shuffled, shared


def swap_pairs(x, times):
    """Each pair of values swapped `times` times, and once more for each 8 threads before it."""
    x = x.copy()
    warp_module().get_function("swap_pairs")(
        (x.size // 64,), (64,), (*pointers(x), np.int32(times))
    )
    return (x,)


def compact(x, limit, threads):
    """The values above a limit at the front of each block's, and how many they are."""
    out, count = np.zeros_like(x), np.zeros(x.size // threads, np.int32)
    kernel = warp_module().get_function("compact")
    kernel((count.size,), (threads,), (*pointers(x), np.float32(limit), *pointers(out, count)))
    return out, count


def histogram(x):
    """How often each byte occurs, and the largest."""
    counts, largest = np.zeros(256, np.int32), np.zeros(1, np.int32)
    kernel = warp_module().get_function("histogram")
    kernel((-(-x.size // 96),), (96,), (*pointers(x), np.int32(x.size), *pointers(counts, largest)))
    return counts, largest


def once(run):
    """The result of `run()` in the order of threads that is in force."""
    return run()


def in_every_order(run):
    """The result of `run()`, which must have the same bits whatever the order of threads."""
    results = []
    for kind, seed in (*((kind, 0) for kind in ORDERS), ("random", 1)):
        with order(kind, seed):
            results.append(run())
    for other in results[1:]:
        for first, array in zip(results[0], other, strict=True):
            assert first.tobytes() == array.tobytes(), "the order of threads changes the result"
    return results[0]


def check_scan():
    """One tile and two, whole vectors and single elements, for each type."""
    for instance in SCANS:
        tile, dtype = instance[1] * instance[2], ELEMENTS[instance[0]]
        tolerance = {2: 8 * float(ml_dtypes.finfo(dtype).eps), 4: 2e-5}[np.dtype(dtype).itemsize]
        for length in (1, tile, tile + 9):
            problem = scan_problem(dtype, 2, 3, length, 5)
            results = in_every_order(functools.partial(scan, instance, *problem))
            for found, wanted in zip(results, scan_expected(*problem), strict=True):
                error = np.abs(found.astype(np.float64) - wanted)
                assert np.all(error <= tolerance * (1 + np.abs(wanted))), (instance, length)


def check_warp():
    """Scans with shuffles and with __syncwarp, ballots, and a vote of the block."""
    x = np.random.default_rng(0).integers(-50, 50, 256).astype(np.float32)  # sums are exact
    shuffled, shared = in_every_order(lambda: warp_sums(x))
    expected = x.reshape(-1, 32).cumsum(1).ravel()
    assert np.array_equal(shuffled, expected)
    assert np.array_equal(shared, expected)

    (swapped,) = in_every_order(lambda: swap_pairs(x, 3))
    odd = (3 + np.arange(x.size) % 64 // 8) % 2
    assert np.array_equal(swapped, x[np.arange(x.size) ^ odd])

    out, count = in_every_order(lambda: compact(x, 10, 128))
    for block, found, kept in zip(x.reshape(-1, 128), out.reshape(-1, 128), count, strict=True):
        assert np.array_equal(found[:kept], block[block > 10])


def check_atomics():
    """Counts in shared memory, then over blocks; a block that is not whole warps."""
    x = np.random.default_rng(0).integers(0, 200, 1000).astype(np.uint8)
    counts, largest = in_every_order(lambda: histogram(x))
    assert np.array_equal(counts, np.bincount(x, minlength=256))
    assert largest == x.max()


def check_with_ucontext():
    """The same with the switch for other CPUs."""
    compiler.switch_flags = compiler.UCONTEXT
    check_warp()


def speed(b, d, l, n):
    """Print how many million (b, d, l, n) steps the float scan makes in a second of CPU time."""
    problem, times = scan_problem(np.float32, b, d, l, n), []
    for _ in range(5):
        start = time.process_time()
        scan(SCANS[0], *problem)
        times.append(time.process_time() - start)
    print(f"{b * d * l * n / min(times) / 1e6:.2f} (b={b} d={d} l={l} n={n})")
