"""Problems: the arguments of `selscan.scan` by name, as NumPy arrays."""

import itertools

import numpy as np
from hypothesis import strategies as st

from selscan.backends.cpu.plan import chunk_of

OPTIONAL = ("D", "z", "delta_bias", "initial_state")
DTYPES = ("float32", "float64", "mixed")
FORMS = ("shared", "grouped", "constant")  # of B and C: (b, n, l), (b, g, n, l), (d, n)
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


def quick_to_compile(case):
    """Not one coefficient constant and the other not, in float64: 30 s for a test of their own."""
    alike = (case["form_b"] == "constant") == (case["form_c"] == "constant")
    return alike or case["dtype"] == "float32"


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
):
    """A problem with numbers from `seed`; `decay` and `step` are the sizes of A and delta."""
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
    absent = set(OPTIONAL) - set(given)
    arrays = {x: v.astype(_pick(rng, dtype)) for x, v in problem.items() if x not in absent}
    options = {"delta_softplus": delta_softplus, "reverse": reverse}
    return to_layout(arrays, layout) | options | {"layout": layout}


def _pick(rng, dtype):
    return rng.choice(["float32", "float64"]) if dtype == "mixed" else dtype


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
    names = {"u", "delta", "z", "dy"} | {x for x in "BC" if problem[x].ndim > 2}
    return names & problem.keys()


def over_time(problem, change):
    """The problem with `change` applied to every array whose last axis is time."""
    return {x: change(v) if x in timed(problem) else v for x, v in problem.items()}


def with_gradients(problem, seed=1, last=True):
    """The problem of `scan_backward`: with dy, and with dlast_state if `last`."""
    rng = np.random.default_rng(seed)
    u, A = problem["u"], problem["A"]
    d = A.shape[0]
    dy = rng.normal(size=u.shape).astype(u.dtype)
    dlast = rng.normal(size=(len(u), d, A.shape[1])).astype(u.dtype)
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
    choose("form_b", st.sampled_from(FORMS))
    choose(
        "form_c", st.sampled_from([x for x in FORMS if quick_to_compile(options | {"form_c": x})])
    )
    choose("delta_softplus", st.booleans())
    choose("reverse", st.booleans())
    choose("decay", st.sampled_from([1, 1e-3, 16]))
    choose("step", st.sampled_from([1, 0.1, 5]))
    given = draw(st.sets(st.sampled_from(OPTIONAL))) | set(needed)
    options["given"] = sorted(given - set(without))
    options["seed"] = draw(st.integers(0, 2**32 - 1))
    problem = Drawn(make_problem(d=d, g=g, **options))
    problem.text = ", ".join(f"{x}={v!r}" for x, v in ({"d": d, "g": g} | options).items())
    return problem


def pairwise(**factors):
    """Few choices of one value for each factor that have every pair of values of two factors.

    Where a choice would be long to compile, its dtype is float32 instead.
    """
    missing = [
        {(a, x), (c, y)}
        for a, c in itertools.combinations(factors, 2)
        for x, y in itertools.product(factors[a], factors[c])
    ]
    rows = []
    while missing:
        row = dict(sorted(missing[0]))
        for name in [x for x in factors if x not in row]:
            covered = {x: _covered(missing, row | {name: x}) for x in factors[name]}
            row[name] = max(covered, key=covered.get)
        missing = [pair for pair in missing if not pair <= row.items()]
        rows.append({name: row[name] for name in factors})
    return [row if quick_to_compile(row) else row | {"dtype": "float32"} for row in rows]


def _covered(missing, row):
    return sum(pair <= row.items() for pair in missing)
