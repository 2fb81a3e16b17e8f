"""Problems: the arguments of `selscan.scan` by name, as NumPy arrays."""

import itertools

import ml_dtypes  # noqa: F401, np.dtype("bfloat16") is known from here on
import numpy as np
from hypothesis import strategies as st

from selscan.backends import SIMULATED
from selscan.backends.cpu.plan import chunk_of

OPTIONAL = ("D", "z", "delta_bias", "initial_state")
REAL = ("float16", "bfloat16", "float32", "float64")
HALF = ("float16", "bfloat16")
COMPLEX = ("complex64", "complex128")
# Of all arrays; or each array its own, with a real or a complex A.
DTYPES = (*REAL, "mixed", *COMPLEX, "complex mixed")
# One dtype for all arrays, in which the arithmetic is as well: no result is rounded.
PLAIN = ("float32", "float64", *COMPLEX)
FORMS = ("shared", "grouped", "constant")  # of B and C: (b, n, l), (b, g, n, l), (d, n)
MAY_BE_COMPLEX = ("B", "C", "initial_state")  # where A is
IMAGINARY = ((), *((x,) for x in MAY_BE_COMPLEX), MAY_BE_COMPLEX)  # none of them, one, all
SEGMENTS = (None, "one", "two", "many", "every", "any")  # of seq_idx, see `segments`
CHUNK = chunk_of(16)
# Around the widths of vectors and the lengths of chunks.
LENGTHS = (
    0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200,
    CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1,
)  # fmt: skip
STATES = (1, 2, 3, 4, 5, 8, 16, 17, 20, 64)
# Channels and groups: parts of vectors, whole ones, several; a group of 1, 5, 9, 17, 33 channels.
CHANNELS = (
    (1, 1), (3, 1), (3, 3), (15, 1), (15, 3), (16, 1), (16, 16), (17, 1), (33, 1), (34, 2),
    (45, 5), (66, 2), (70, 70),
)  # fmt: skip
# b * d * l of what is drawn: the reference takes 50 us for each.
LARGEST = 1500
# Of a problem that is one of many, and of one that has several of all that there is.
SMALL, WIDE = {"d": 18, "g": 2, "n": 6, "l": 21}, {"d": 37, "n": 9, "l": 150}
if SIMULATED:  # and Numba's simulator 1 ms: around the length of a tile, and the width of a block
    LENGTHS, STATES, LARGEST = (0, 1, 2, 7, 8, 9, 17), (1, 2, 3), 60
    CHANNELS = ((1, 1), (3, 1), (4, 1), (4, 2), (3, 3))
    SMALL, WIDE = {"d": 4, "g": 2, "n": 3, "l": 9}, {"d": 4, "n": 2, "l": 17}


def quick_to_compile(case):
    """Whether a problem needs one of the kernels that most tests share; each takes 5 to 15 s.

    Complex A in float64 has B and C with a time axis, in float32 not both without one. One
    coefficient constant and the other not, in float64, has a test of its own.
    """
    dtype, constant = case["dtype"], [case[x] == "constant" for x in ("form_b", "form_c")]
    if dtype in (*HALF, "float32"):
        return True
    if dtype in ("float64", "mixed"):
        return constant[0] == constant[1]
    return not all(constant) if dtype == "complex64" else not any(constant)


def make_problem(
    *,
    b=2,
    d=5,
    g=1,
    n=4,
    l=9,
    dtype="float32",
    layout="bdl",
    form_b="grouped",
    form_c="grouped",
    given=OPTIONAL,
    delta_softplus=True,
    reverse=False,
    decay=1.0,
    step=1.0,
    seed=0,
    seq_idx=None,
    imaginary=MAY_BE_COMPLEX,
    out_dtype=None,
):
    """A problem with numbers from `seed`; `decay` and `step` are the sizes of A and delta.

    seq_idx is one of SEGMENTS; `imaginary` names what is complex besides A, if that is.
    """
    rng = np.random.default_rng(seed)
    g = 1 if {form_b, form_c} == {"shared", "grouped"} else g  # both have the same groups
    forms = {"shared": (b, n, l), "grouped": (b, g, n, l), "constant": (d, n)}
    delta = step * rng.normal(size=(b, d, l))
    problem = {
        "u": rng.normal(size=(b, d, l)),
        "delta": delta if delta_softplus else abs(delta),
        "A": -decay * rng.random((d, n)),
        "B": rng.normal(size=forms[form_b]),
        "C": rng.normal(size=forms[form_c]),
        "D": rng.normal(size=d),
        "z": 3 * rng.normal(size=(b, d, l)),
        "delta_bias": rng.normal(size=d) if delta_softplus else rng.random(d),
        "initial_state": rng.normal(size=(b, d, n)),
    }
    arrays = {x: problem[x] for x in problem if x in given or x not in OPTIONAL}
    if dtype.startswith("complex"):
        parts = {x: rng.normal(size=problem[x].shape) for x in ("A", *imaginary) if x in arrays}
        arrays |= {x: arrays[x] + 1j * part for x, part in parts.items()}
    arrays = {x: v.astype(_dtype_of(x, v, dtype, rng)) for x, v in arrays.items()}
    if seq_idx is not None:
        arrays["seq_idx"] = segments(seq_idx, b, l, rng)
    options = {"delta_softplus": delta_softplus, "reverse": reverse}
    options |= {} if out_dtype is None else {"out_dtype": out_dtype}
    return to_layout(arrays, layout) | options | {"layout": layout}


def _dtype_of(name, values, dtype, rng):
    """The dtype of one array; A, and what mamba trains in float32, may be wider than the others."""
    is_complex = np.iscomplexobj(values)
    if dtype.endswith("mixed"):
        choices = COMPLEX if is_complex else REAL[2:] if name == "A" else REAL
    elif dtype in COMPLEX:
        choices = [dtype if is_complex else "float32" if dtype == "complex64" else "float64"]
    elif dtype in HALF and name == "A":
        choices = ["float32"]
    elif dtype in HALF and name in ("D", "delta_bias", "initial_state"):
        choices = [dtype, "float32"]
    else:
        choices = [dtype]
    return np.dtype(rng.choice(choices) if len(choices) > 1 else choices[0])


def segments(kind, b, l, rng):
    """seq_idx (b, l) of one segment, of two or many, one for every step, or of any numbers.

    Those come in any order and again later: the state restarts where the number changes.
    """
    dtype = np.dtype(rng.choice(["int32", "int64"]))
    first = rng.integers(-3, 3, (b, 1))
    if kind == "one":
        return np.broadcast_to(first, (b, l)).astype(dtype)
    if kind == "any":
        # In the low 32 bits some of the 64-bit numbers are the same.
        numbers = [-(2**31), -1, 0, 1] if dtype.itemsize == 4 else [-(2**63), -1, 0, 2**32]
        return rng.choice(np.array(numbers, dtype), (b, l))
    if kind == "two":
        changes = np.arange(l) == rng.integers(1, max(l, 2), (b, 1))
    else:
        changes = np.ones((b, l), bool) if kind == "every" else rng.random((b, l)) < 0.3
    return (first + np.cumsum(changes, axis=1)).astype(dtype)


def to_layout(arrays, layout):
    """Arrays by name from layout "bdl" to `layout`, contiguous."""
    if layout == "bdl":
        return arrays
    return {
        x: np.ascontiguousarray(np.moveaxis(v, -1, 1)) if x in timed(arrays) else v
        for x, v in arrays.items()
    }


def timed(problem):
    """Names of the arrays that have a time axis, the last one in layout "bdl"."""
    names = {"u", "delta", "z", "dy", "seq_idx"} | {x for x in "BC" if problem[x].ndim > 2}
    return names & problem.keys()


def over_time(problem, change):
    """The problem with `change` applied to every array whose last axis is time."""
    return {x: change(v) if x in timed(problem) else v for x, v in problem.items()}


def crossed(problem, k, state):
    """A state or its gradient, (b, d, n), on its way between the steps k - 1 and k of a scan."""
    seq_idx = problem.get("seq_idx")
    if seq_idx is None or k in (0, seq_idx.shape[1]):
        return state
    return np.where((seq_idx[:, k] != seq_idx[:, k - 1])[:, None, None], 0, state)


def with_gradients(problem, seed=1, last=True):
    """The problem of `scan_backward`: with dy, and with dlast_state if `last`."""
    rng = np.random.default_rng(seed)
    u, A = problem["u"], problem["A"]
    # That of y; float64 would make the arithmetic float64.
    dtype = problem.get("out_dtype", "float64")
    dy = rng.normal(size=u.shape).astype(u.dtype if dtype == "float64" else dtype)
    dlast = rng.normal(size=(len(u), *A.shape))
    if np.iscomplexobj(A):
        dlast = (dlast + 1j * rng.normal(size=dlast.shape)).astype(A.dtype)
    else:
        dlast = dlast.astype(u.dtype)
    problem = {x: v for x, v in problem.items() if x != "out_dtype"}
    return problem | {"dy": dy} | ({"dlast_state": dlast} if last else {})


class Drawn(dict):
    """A problem that prints as the call that makes it."""

    def __repr__(self):
        return f"make_problem({self.text})"


@st.composite
def problems(draw, *, needed=(), without=(), **fixed):
    """Random problems; `fixed` are arguments of `make_problem`, or strategies for them."""
    options = {}

    def choose(name, strategy):
        value = fixed.get(name, strategy)
        options[name] = draw(value) if isinstance(value, st.SearchStrategy) else value
        return options[name]

    b = choose("b", st.integers(1, 3))
    d, g = fixed.get("channels") or draw(st.sampled_from([c for c in CHANNELS if b * c[0] <= 99]))
    choose("l", st.sampled_from([l for l in LENGTHS if b * d * l <= LARGEST]))
    choose("n", st.sampled_from(STATES))
    choose("dtype", st.sampled_from(DTYPES))
    choose("layout", st.sampled_from(["bdl", "bld"]))
    pairs = [pair for pair in itertools.product(FORMS, FORMS) if _quick(options, *pair)]
    choose("form_b", st.sampled_from(sorted({x for x, _ in pairs})))
    choose("form_c", st.sampled_from([y for x, y in pairs if x == options["form_b"]]))
    choose("delta_softplus", st.booleans())
    choose("reverse", st.booleans())
    choose("decay", st.sampled_from([1, 1e-3, 16]))
    choose("step", st.sampled_from([1, 0.1, 5]))
    choose("seq_idx", st.sampled_from(SEGMENTS))
    choose("out_dtype", st.sampled_from([None, *REAL]))
    if options["dtype"].startswith("complex"):
        choose("imaginary", st.sampled_from(IMAGINARY))
    given = draw(st.sets(st.sampled_from(OPTIONAL))) | set(needed)
    options["given"] = sorted(given - set(without))
    options["seed"] = draw(st.integers(0, 2**32 - 1))
    problem = Drawn(make_problem(d=d, g=g, **options))
    problem.text = ", ".join(f"{x}={v!r}" for x, v in ({"d": d, "g": g} | options).items())
    return problem


def _quick(options, form_b, form_c):
    return quick_to_compile(options | {"form_b": form_b, "form_c": form_c})


def pairwise(**factors):
    """Few choices of one value for each factor that have every pair of values of two factors.

    No choice is long to compile; pairs that only such ones have are left out.
    """
    missing = [
        {(a, x), (c, y)}
        for a, c in itertools.combinations(factors, 2)
        for x, y in itertools.product(factors[a], factors[c])
    ]
    missing = [pair for pair in missing if _possible(dict(pair), factors)]
    rows = []
    while missing:
        row = dict(sorted(missing[0]))
        for name in [x for x in factors if x not in row]:
            choices = [row | {name: x} for x in factors[name]]
            choices = [choice for choice in choices if _possible(choice, factors)]
            row = max(choices, key=lambda choice: sum(pair <= choice.items() for pair in missing))
        missing = [pair for pair in missing if not pair <= row.items()]
        rows.append({name: row[name] for name in factors})
    return rows


def _possible(row, factors):
    """Whether a part of a choice can be completed to one that is quick to compile."""
    names = ("dtype", "form_b", "form_c")
    completed = itertools.product(*([row[x]] if x in row else factors[x] for x in names))
    return any(quick_to_compile(dict(zip(names, values, strict=True))) for values in completed)
