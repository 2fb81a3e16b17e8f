"""Kernels of the CPU compiled ahead of time, for images and CI (python -m selscan warmup).

Each function is called once on a tiny problem of the form that is asked for. What that compiles is
in the cache on disk afterwards, and a process that finds it there compiles nothing.
"""

import itertools
import sys
import time

import numpy as np

import selscan
from selscan.progress import progress, say

# bfloat16 has the kernels of float16: those of float32 where something is computed.
DTYPES = ("float16", "float32", "float64", "complex64", "complex128")
CONSTANT = ("none", "B", "C", "both")
STATES = 20  # more than half a vector: scan_step has a kernel of its own for such


def arrays_of(dtype):
    """Dtypes of u, and of A, B and C."""
    name = np.dtype(dtype)
    if name.kind == "c":
        return name.type(0).real.dtype, name
    return name, np.promote_types(name, np.float32)


def problem(dtype, constant):
    """Arguments of scan, with b = 1, d = 2, l = 3."""
    plain, number = arrays_of(dtype)
    u = np.ones((1, 2, 3), plain)
    timed, fixed = np.ones((1, STATES, 3), number), np.ones((2, STATES), number)
    B, C = (fixed if constant in (x, "both") else timed for x in "BC")
    return {"u": u, "delta": u, "A": -fixed, "B": B, "C": C}


def scan(dtype, constant):
    selscan.scan(**problem(dtype, constant))


def scan_backward(dtype, constant):
    given = problem(dtype, constant)
    selscan.scan_backward(given["u"], **given)


def scan_step(dtype, constant):
    given = {x: v if v.ndim == 2 else v[..., 0] for x, v in problem(dtype, constant).items()}
    state = np.zeros((1, *given["A"].shape), given["A"].dtype)
    selscan.scan_step(state, **given)


def scan2d(dtype, constant):
    plain, number = arrays_of(dtype)
    u, delta = np.ones((1, 2, 2, 3), plain), np.ones((1, 4, 2, 2, 3), plain)
    A, B = -np.ones((4, 2, 1), number), np.ones((1, 4, 1, 2, 3), number)
    selscan.scan2d(u, delta, A, B, B, path=selscan.paths.cross(2, 3))


def gather(dtype, constant):
    x, order = np.ones((1, 2, 2, 3), dtype), np.zeros((1, 1, 1), np.int32)
    selscan.gather(x, selscan.paths.cross(2, 3))
    selscan.gather(x, order)


def scatter(dtype, constant):
    path = selscan.paths.cross(2, 3)
    for merge in (True, False):
        selscan.scatter(np.ones((1, 4, 2, 6), dtype), path, merge)


def jax(dtype, constant):
    """What a compiled program of JAX needs besides the kernels of its functions."""
    import jax

    jax.jit(selscan.scan)(**problem("float32", "none")).block_until_ready()


FUNCTIONS = {f.__name__: f for f in (scan, scan_backward, scan_step, scan2d, gather, scatter, jax)}
USUAL = ("scan", "scan_backward", "scan_step")


def jobs(args):
    """(function, dtype, constant) of what is asked for; what makes no difference is named once."""
    names = args.function or USUAL
    for name, dtype, constant in itertools.product(names, args.dtype, args.constant):
        by_form = name in USUAL
        first = constant == args.constant[0] and (name != "jax" or dtype == args.dtype[0])
        if by_form or first:
            yield name, dtype, constant if by_form else ""


def described(job):
    name, dtype, constant = job
    form = f", {constant} constant in time" if constant not in ("", "none") else ""
    return f"{name} {dtype}{form.replace('both', 'B and C')}"


def warmup(args):
    """Compile; the exit code, 0 if all is on disk."""
    from selscan.backends.cpu import cache, run

    todo = list(jobs(args))
    with selscan.use("cpu"):
        for job in progress(todo, len(todo), described):
            name, *form = job
            start, before = time.perf_counter(), run.kept()[1]
            FUNCTIONS[name](*form)
            seconds, count = time.perf_counter() - start, run.kept()[1] - before
            say(f"{described(job):44s} {count:2d} kernels {seconds:6.1f} s")
    kept, count = run.kept()
    if kept < count:
        print(f"{count - kept} of {count} kernels could not be kept on disk", file=sys.stderr)
        return 1
    print(f"{count} kernels are in {cache.folder.open()}")
    return 0
