"""Every kernel against float64, element by element, on problems drawn at random.

Results are full of NaN before, and have guards around them; each call is made twice and gives the
same bits; inputs must not change. Some calls are made on another stream, some are captured in a
CUDA graph, and some are on another device.
"""

import functools
from itertools import zip_longest

import numpy as np

from bench.gpu import problems, problems_maps
from bench.gpu.outcomes import FAILED, NotAvailable
from bench.rows import Row, markdown, nothing, short

PATIENCE = 60
# By name: emulated tensors are on the CPU, and must not be scanned there.
BACKEND, SECOND = "cupy", "numba_cuda"
EVERY = 8  # of so many cases one is run by the second backend too


def names(options):
    """The cases; one letter of each op first, then those that time allows."""
    found = []
    for i, (name, case) in enumerate(all_cases(options["emulate"]).items()):
        found.append(name)
        both = not isinstance(case, problems_maps.Case) and not options["emulate"]
        if i % EVERY == 0 and both:
            found.append(f"{SECOND}: {name}")
    return found


def all_cases(small):
    """Of sequences and of maps, in turns."""
    sequences, maps = problems.cases(small), problems_maps.cases(small)
    pairs = zip_longest(sequences.items(), maps.items())
    return dict(item for pair in pairs for item in pair if item)


def run(name, options):
    """The largest error of all numbers, as a part of what is tolerated."""
    from tolerances import arithmetic, assert_within

    from bench.gpu import places

    backend, case = named(name, options)
    made = problems_maps if isinstance(case, problems_maps.Case) else problems
    place, problem = places.here(options["emulate"]), made.make(case)
    device = place.device(case.way)
    inputs = places.Placed(problem, device)
    if made is problems:
        call = functools.partial(OPS[case.op].call, inputs.arguments, backend)
    else:
        call = functools.partial(MAP_OPS[case.op].call, inputs.arguments)
    runs = []
    for _ in range(2):
        results = place.run(case.way, call)
        place.synchronize()
        runs.append(tuple(map(to_numpy, results)))
    faults = list(faults_of(runs, inputs, place))
    want, bounds = (OPS | MAP_OPS)[case.op].expected(problem)
    dtype = arithmetic(problem)
    try:
        assert_within(runs[0], want, bounds, dtype)
    except AssertionError as error:
        faults.append(str(error).splitlines()[0])
    count = sum(x.size for x in want if x is not None)
    values = nothing() | {"p50": excess(runs[0], want, bounds, dtype), "count": count}
    note = FAILED + "; ".join(faults) if faults else ""
    yield Row(name, "selscan", case.op, "error", **values, unit="tolerances", threads=0, note=note)


def named(name, options):
    """The backend and the case of a row, if the backend can be used."""
    import selscan

    backend, _, case = name.rpartition(": ")
    if backend:
        [info] = [x for x in selscan.list_backends() if x.name == backend]
        if not info.usable:
            raise NotAvailable(info.reason)
    return backend or BACKEND, all_cases(options["emulate"])[case]


def faults_of(runs, inputs, place):
    """What is wrong whatever the numbers are."""
    first, second = runs
    if any(same_bits(x, y) is False for x, y in zip(first, second, strict=True)):
        yield "two calls gave different bits"
    if overruns := place.memory.overruns():
        yield f"{overruns} results were written outside of their memory"
    if changed := inputs.changed():
        yield f"inputs were written: {', '.join(changed)}"


def same_bits(x, y):
    return None if x is None else x.tobytes() == y.tobytes()


def to_numpy(result):
    from harness import to_numpy as convert

    return convert(result)


def excess(got, want, bounds, dtype):
    """The largest error, without the rounding of the result, over what is tolerated there."""
    from tolerances import TOLERANCES, parts

    tolerance, worst = TOLERANCES[dtype], 0.0
    for x, y, bound in zip(got, want, bounds, strict=True):
        if y is None or y.size == 0:
            continue
        limit = tolerance.bounds * np.finfo(dtype).eps * bound[..., None] + tolerance.underflow
        narrow = x.dtype.kind not in "iu" and x.real.dtype != dtype  # integers are not rounded
        rounding = half_unit(parts(y), x.real.dtype) if narrow else 0.0
        with np.errstate(invalid="ignore"):
            errors = np.maximum(abs(parts(x) - parts(y)) - rounding, 0.0) / limit
        errors[parts(x) == parts(y)] = 0.0  # infinity too
        worst = max(worst, float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max()))
    return worst


def half_unit(x, dtype):
    """Half of the last place of float64 numbers in a narrower dtype."""
    import ml_dtypes

    info = ml_dtypes.finfo(dtype)
    exponent = np.maximum(np.frexp(x)[1] - 1, info.minexp)
    return np.ldexp(0.5, exponent - info.nmant)


# ---- the registry ------------------------------------------------------------------------------


class Scan:
    """selscan.scan."""

    @staticmethod
    def call(arguments, backend):
        import selscan

        return selscan.scan(**arguments, return_last_state=True, backend=backend)

    @staticmethod
    def expected(problem):
        from tolerances import expected

        return expected(problem)


class Backward:
    """selscan.scan_backward."""

    @staticmethod
    def call(arguments, backend):
        import selscan

        return selscan.scan_backward(**arguments, backend=backend)

    @staticmethod
    def expected(problem):
        from tolerances import expected_gradients

        return expected_gradients(problem)


class Step:
    """selscan.scan_step, whose state is put back for the next call."""

    @staticmethod
    def call(arguments, backend):
        import selscan

        before = arguments["state"].clone()
        y, state = selscan.scan_step(**arguments, backend=backend)
        after = state.clone()
        arguments["state"].copy_(before)
        return y, after

    @staticmethod
    def expected(problem):
        from tolerances import expected

        scan = dict(problem)
        scan["initial_state"] = scan.pop("state")
        scan |= {x: scan[x][..., None] for x in ("u", "delta", "z") if x in scan}
        scan |= {x: scan[x][..., None] for x in "BC" if timed(scan[x], scan)}
        want, bounds = expected(scan)
        return tuple((x[0][..., 0], x[1]) for x in (want, bounds))


def timed(coefficient, problem):
    """Whether B or C of a step differs between batch entries; (b, n) goes before (d, n)."""
    return coefficient.ndim == 3 or len(coefficient) == len(problem["u"])


class Scan2d:
    """selscan.scan2d."""

    @staticmethod
    def call(arguments):
        import selscan

        return (selscan.scan2d(**arguments, backend=BACKEND),)

    @staticmethod
    def expected(problem):
        import reference

        return (reference.scan2d(**problem),), (reference.scan2d_error_bound(**problem),)


class Scan2dBackward:
    """The gradient of selscan.scan2d, by autograd."""

    @staticmethod
    def call(arguments):
        from harness import scan2d_gradients

        return scan2d_gradients(**arguments, backend=BACKEND)

    @staticmethod
    def expected(problem):
        import reference

        bounds = reference.scan2d_backward_error_bound(**problem)
        return tuple(reference.scan2d_backward(**problem)), tuple(bounds)


class Gather:
    """selscan.gather, to the bit."""

    @staticmethod
    def call(arguments):
        import selscan

        return (selscan.gather(**arguments, backend=BACKEND),)

    @staticmethod
    def expected(problem):
        import reference

        return exactly(reference.gather(**problem))


class Scatter:
    """selscan.scatter, whose sums are exact for the numbers of the cases."""

    @staticmethod
    def call(arguments):
        import selscan

        return (selscan.scatter(**arguments, backend=BACKEND),)

    @staticmethod
    def expected(problem):
        import reference

        return exactly(reference.scatter(**problem))


def exactly(want):
    """A result without tolerance, in float64 or complex128."""
    want = want.astype(np.complex128 if np.iscomplexobj(want) else np.float64)
    return (want,), (np.zeros(want.shape),)


OPS = {"scan": Scan, "backward": Backward, "step": Step}
MAP_OPS = {
    "scan2d": Scan2d,
    "scan2d_backward": Scan2dBackward,
    "gather": Gather,
    "scatter": Scatter,
}


def tables(rows, rates):
    """How many problems were right, and the largest error, by op."""
    found = {}
    for row in rows:
        found.setdefault(row.mode if row.mode != "-" else row.case.split()[1], []).append(row)
    lines = []
    for op, of_op in found.items():
        wrong = [row for row in of_op if row.note.startswith(FAILED)]
        errors = [row.p50 for row in of_op if row.p50 is not None]
        right = sum(not row.note for row in of_op)
        lines.append([op, right, len(wrong), len(of_op) - right - len(wrong), worst(errors)])
    header = ["", "right", "wrong", "not run", "largest error, tolerances"]
    yield f"Kernels against float64\n\n{markdown(header, lines)}"


def worst(errors):
    return short(max(errors)) if errors else "-"
