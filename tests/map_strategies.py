"""Problems over maps: the arguments of `selscan.scan2d` by name, as NumPy arrays."""

import numpy as np
from hypothesis import strategies as st
from path_strategies import paths as small_paths
from strategies import COMPLEX, DTYPES, HALF, REAL, Drawn

from selscan.paths import MAKERS, MAKERS_3D, Path

MAPS, LAST = "maps", "channels last"
# How u, delta, B and C lie in memory.
FORMS = (MAPS, LAST, "in order", "sliced")
# Larger than small_paths has: more steps than a vector has lanes and than a chunk of 8.
PATHS = {
    "unidirectional": MAKERS["unidirectional"](9, 5),
    "bidirectional": MAKERS["bidirectional"](1, 40),
    "cross": MAKERS["cross"](5, 7),
    "cross wide": MAKERS["cross"](3, 20),
    "cross high": MAKERS["cross"](20, 2),
    "atrous": MAKERS["atrous"](5, 7),
    "atrous 3": MAKERS["atrous"](7, 5, 3),
    "window": MAKERS["window"](5, 7, 2),
    "window 3": MAKERS["window"](6, 6, 3),
    "by name": Path.of(4, 6, "w2", "v_flip", "h", "w4_flip"),
    "joined": Path.of(4, 5, "h_flip", "v", "v_flip", joined=True),
    "joined with padding": Path.of(3, 5, "w2", "v", "h", joined=True),
    "partial": Path(np.array([[7, 3, -1, 4, 11], [-1, 3, 0, 1, 2], [8, -1, 9, 7, -1]]), 3, 4),
    "partial, joined": Path(np.array([[7, 3, -1], [3, 0, 1], [8, -1, 7]]), 3, 4, joined=True),
    "a pixel after both": Path(np.array([[1, -1], [0, 1], [0, -1]]), 1, 2),
    "cross3d": MAKERS_3D["cross3d"](3, 4, 5),
    "windows in 3-D": MAKERS_3D["window3d"](3, 4, 5, 2),
    "joined, 3-D": Path.of(2, 5, "thw_flip", "hwt", joined=True, depth=3),
    "partial, 3-D": Path(np.array([[7, 3, -1, 23, 11], [-1, 17, 0, 1, 2]]), 3, 4, depth=2),
    "nothing but padding": Path(np.array([[0, 1, 2], [-1, -1, -1]]), 1, 3),
}


def make_map_problem(
    path,
    *,
    b=1,
    d=3,
    n=2,
    dtype="float32",
    per_route=False,
    forms=(MAPS,) * 4,
    merge=True,
    delta_softplus=True,
    given=("D", "delta_bias"),
    out_dtype=None,
    step=1.0,
    seed=0,
):
    """A problem with numbers from `seed`; `forms` are those of u, delta, B and C."""
    rng = np.random.default_rng(seed)
    k, l = path.table.shape
    k, l = (1, k * l) if path.joined else (k, l)
    hw, is_complex = path.size, dtype.startswith("complex")

    def numbers(*shape, of_complex=False):
        x = rng.normal(size=shape)
        return x + 1j * rng.normal(size=shape) if of_complex and is_complex else x

    forms = dict(zip(("u", "delta", "B", "C"), forms, strict=True))
    last = {x: (l,) if form == "in order" and x != "u" else hw for x, form in forms.items()}
    delta = step * numbers(b, k, d, *last["delta"])
    arrays = {
        "u": numbers(b, *[path.routes] * per_route, d, *hw),
        "delta": delta if delta_softplus else abs(delta),
        "A": -rng.random((k, d, n)) + (1j * rng.normal(size=(k, d, n)) if is_complex else 0),
        "B": numbers(b, k, n, *last["B"], of_complex=True),
        "C": numbers(b, k, n, *last["C"], of_complex=True),
    }
    arrays |= {x: rng.random((k, d)) for x in ("D", "delta_bias") if x in given}
    arrays = {x: v.astype(_dtype_of(x, v, dtype, rng)) for x, v in arrays.items()}
    arrays |= {x: _in_memory(arrays[x], form, path) for x, form in forms.items()}
    options = {"path": path, "delta_softplus": delta_softplus, "merge": merge}
    return arrays | options | ({} if out_dtype is None else {"out_dtype": out_dtype})


def _dtype_of(name, values, dtype, rng):
    """The dtype of one array: A is not narrower than float32."""
    if dtype.endswith("mixed"):
        choices = COMPLEX if np.iscomplexobj(values) else REAL[2:] if name == "A" else REAL
        return np.dtype(rng.choice(choices))
    if dtype in COMPLEX:
        return np.dtype(dtype) if np.iscomplexobj(values) else np.dtype(dtype).type(0).real.dtype
    return np.dtype("float32" if dtype in HALF and name == "A" else dtype)


def _in_memory(x, form, path):
    """The same numbers in another place."""
    if form == LAST:
        axis = -1 - len(path.size)
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, axis, -1)), -1, axis)
    if form == "sliced":
        # Of maps with a depth no rows are left out: the CUDA kernels want frames in a row.
        rows = 1 if path.depth is None else 0
        wide = np.zeros((*x.shape[:-2], x.shape[-2] + rows, 2 * x.shape[-1] + 3), x.dtype)
        view = wide[..., rows:, 3:][..., ::2]
        view[...] = x
        return view
    return x


def with_dy(problem, seed=1):
    """The problem of the gradient: with dy in y's dtype, u's where that would be wider."""
    path, u = problem["path"], problem["u"]
    b, d = u.shape[0], u.shape[-1 - len(path.size)]
    routes = () if problem["merge"] else (path.routes,)
    dtype = problem.get("out_dtype", "float64")
    dy = np.random.default_rng(seed).normal(size=(b, *routes, d, *path.size))
    dy = dy.astype(u.dtype if dtype == "float64" else dtype)
    return {"dy": dy} | {x: v for x, v in problem.items() if x != "out_dtype"}


@st.composite
def map_problems(draw, *, over=None, **fixed):
    """Random problems over random paths; `fixed` are values of options, or strategies for them."""
    path = draw(over if over is not None else st.sampled_from(list(PATHS.values())) | small_paths())
    size = path.table.size
    most = max(1, 400 // size)
    options = {
        "b": st.integers(1, 2),
        "d": st.sampled_from([d for d in (1, 2, 3, 17, 33) if d <= most]),
        "n": st.sampled_from([1, 2, 3, 4, 5, 8, 17]),
        "dtype": st.sampled_from(DTYPES),
        "per_route": st.booleans(),
        "forms": st.tuples(*[st.sampled_from(FORMS)] * 4),
        "merge": st.booleans(),
        "delta_softplus": st.booleans(),
        "given": st.sets(st.sampled_from(["D", "delta_bias"])),
        "out_dtype": st.sampled_from([None, *REAL]),
        "step": st.sampled_from([1, 0.1, 5]),
        "seed": st.integers(0, 2**32 - 1),
    }
    chosen = options | fixed
    for x, value in chosen.items():
        if isinstance(value, st.SearchStrategy):
            chosen[x] = draw(value)
    problem = Drawn(make_map_problem(path, **chosen))
    text = ", ".join(f"{x}={v!r}" for x, v in chosen.items())
    problem.text = f"Path(np.array({path.table.tolist()}), {path.height}, {path.width}, "
    problem.text += f"{path.joined}, {path.depth}), {text}"
    return problem
