"""What a call must look like: every check on shapes, dtypes and options.

`check` turns the layouts of the arguments into a Problem, which backends trust.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

from ..arrays.layouts import Axes
from ..messages import describe, fail
from . import hints
from .dtypes import COMPLEX, REAL, arithmetic, check_dtype, check_dtypes, one_of
from .memory import overlaps_itself

LAYOUTS = ("bdl", "bld")
# In the order in which they are passed on.
ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "seq_idx")
STEP_ARGUMENTS = (*ARGUMENTS[:8], "state")
REQUIRED = ("u", "delta", "A", "B", "C", "state", "dy")
# Limit of b * d * l * n: no size and no step of bytes comes near the end of 64 bits.
LARGEST = 2**50


@dataclass(frozen=True, eq=False)
class Problem:
    """A checked call."""

    batch: int
    dim: int
    length: int
    d_state: int
    groups: int
    real: str  # dtype of the arithmetic, of the parts of complex numbers too
    is_complex: bool  # A, and so the states
    layouts: dict  # name -> Layout of the given arguments
    axes: dict  # name -> Axes
    constant_b: bool  # no time axis
    constant_c: bool
    softplus: bool
    reverse: bool
    device: str  # "cpu", "cuda:0", ...
    positions: tuple = ()  # steps behind which the state is wanted, ascending
    path: Any = None  # of a scan along one; `length` is that of a route
    merge: bool = True  # routes are added up

    @property
    def routes(self):
        return 1 if self.path is None else self.path.routes

    @property
    def empty(self):
        """Whether there is nothing to scan."""
        return 0 in (self.batch, self.dim, self.length)

    @property
    def state_shape(self):
        return (self.batch, self.dim, self.d_state)

    @property
    def states_at_shape(self):
        return (self.batch, self.dim, len(self.positions), self.d_state)

    @property
    def state_dtype(self):
        if not self.is_complex:
            return self.real
        return "complex64" if self.real == "float32" else "complex128"


def check_flags(function, **flags):
    """Switches must be bool: a string or an array is a mistake. None is the default by now."""
    for name, value in flags.items():
        if value is not True and value is not False:
            raise TypeError(f"{function}: {name} must be True or False; got {describe(value)}.")


def check_layout(function, layout):
    if not isinstance(layout, str):
        raise TypeError(f"{function}: layout must be 'bdl' or 'bld'; got {describe(layout)}.")
    if layout not in LAYOUTS:
        fail(function, "layout", "'bdl' or 'bld'", f"{layout!r:.40}")


def check_out_dtype(function, name, given):
    """`name` is what the framework calls `given`, None if it is no dtype of it."""
    if name not in REAL:
        hint = "" if name or isinstance(given, str) else " Pass a name such as 'float32'."
        got = name or describe(given)
        raise TypeError(f"{function}: out_dtype must be {one_of(REAL)}; got {got}.{hint}")
    return name


def positions_of(function, given):
    """`return_states_at` as a tuple of integers; None as it is."""
    if given is None:
        return None
    try:
        is_row = getattr(given, "ndim", 1) == 1  # of more axes a list may need more than all memory
        found = tuple(given.tolist() if hasattr(given, "tolist") else given) if is_row else (None,)
    except TypeError:
        found = (None,)
    if isinstance(given, str) or not all(_is_index(x) for x in found):
        raise TypeError(
            f"{function}: return_states_at must be a sequence of integers, or None; got "
            f"{describe(given)}."
        )
    return tuple(map(int, found))


def _is_index(x):
    return hasattr(x, "__index__") and not isinstance(x, bool) and getattr(x, "ndim", 0) == 0


def _check_positions(function, positions, length):
    """Steps of a sequence, ascending, each once."""
    before = -1
    for x in positions:
        if not before < x < length:
            expected = f"steps from 0 to l - 1, ascending and each once, with l = {length}"
            got = f"{x} behind {before}" if before >= x >= 0 else x
            hint = " Count from the front." if -length <= x < 0 else ""
            fail(function, "return_states_at", expected, got, hint)
        before = x


def check(
    function,
    layouts,
    softplus=False,
    reverse=False,
    layout="bdl",
    wide=False,
    device="cpu",
    positions=None,
):
    """Check layouts (name -> Layout) and return the Problem; `wide` asks for float64 arithmetic."""
    check_dtypes(function, layouts)
    sequence = "(b, l, d)" if layout == "bld" else "(b, d, l)"
    u = layouts["u"].shape
    if len(u) != 3:
        hint = hints.NO_BATCH if len(u) == 2 else ""
        fail(function, "u", f"{sequence}, three axes", u, hint)
    batch, dim, length = hints.time_last(u, layout)
    hint = functools.partial(hints.sequence, layout=layout)
    for name in ("delta", "z"):
        _check_shape(function, layouts, name, f"{sequence} like u, {u}", u, hint)
    a = layouts["A"].shape
    if len(a) != 2 or a[0] != dim:
        hint = hints.TRANSPOSED if a[1:] == (dim,) else ""
        hint = f" Is u in layout {hints.other(layout)!r}?" if a[:1] == (length,) else hint
        fail(function, "A", f"(d, n) with d = {dim}", a, hint)
    d_state = a[1]
    if d_state == 0:
        fail(function, "A", "(d, n) with n of at least 1", a)
    groups = {n: _groups(function, n, layouts, batch, dim, length, d_state, layout) for n in "BC"}
    _check_same_groups(function, groups)
    _check_rows(function, layouts, dim)
    state = (batch, dim, d_state)
    _check_shape(function, layouts, "initial_state", f"(b, d, n) = {state}", state, hints.state)
    row = batch, length
    _check_shape(function, layouts, "seq_idx", f"(b, l) = {row}", row)
    check_size(function, "b * d * l * n", batch, dim, length, d_state)
    _check_positions(function, positions or (), length)
    return Problem(
        batch=batch,
        dim=dim,
        length=length,
        d_state=d_state,
        groups=groups["B"] or groups["C"] or 1,
        real=arithmetic(layouts, wide),
        is_complex=layouts["A"].dtype in COMPLEX,
        layouts=dict(layouts),
        axes={name: _axes(name, len(x.shape), layout) for name, x in layouts.items()},
        constant_b=groups["B"] is None,
        constant_c=groups["C"] is None,
        softplus=softplus,
        reverse=reverse,
        device=device,
        positions=positions or (),
    )


def check_step(function, layouts, softplus, device="cpu"):
    """The same for one step: no time axis anywhere, and `initial_state` is the state."""
    check_dtypes(function, {"state" if n == "initial_state" else n: x for n, x in layouts.items()})
    state, steps = layouts["initial_state"].shape, layouts["initial_state"].steps
    if len(state) != 3 or state[2] == 0:
        fail(function, "state", "(b, d, n) with n of at least 1", state)
    if 0 not in state and overlaps_itself(layouts["initial_state"]):
        got = "one that was broadcast" if 0 in steps else "one that overlaps itself"
        expected = "an array with memory for each of its elements"
        fail(function, "state", expected, got, " Pass a copy.")
    batch, dim, d_state = state
    row, matrix = (batch, dim), (dim, d_state)
    hint = functools.partial(hints.step, d_state=d_state)
    for name in ("u", "delta", "z"):
        _check_shape(function, layouts, name, f"(b, d) = {row}", row, hint)
    _check_shape(function, layouts, "A", f"(d, n) = {matrix}", matrix, hints.matrix)
    axes = {n: _STEP_AXES[n] for n in layouts if n not in "BC"}
    groups = {}
    for name in "BC":
        shape = layouts[name].shape
        if shape == (batch, d_state):  # also where b = d
            groups[name], axes[name] = 1, Axes(0, None, 1, None)
        elif shape == (dim, d_state):
            groups[name], axes[name] = None, _MATRIX
        elif len(shape) == 3 and shape == (batch, shape[1], d_state) and _divides(shape[1], dim):
            groups[name], axes[name] = shape[1], Axes(0, 1, 2, None)
        else:
            expected = f"(b, n), (b, g, n) or (d, n) with b, d, n = {state} and d % g == 0"
            fail(function, name, expected, shape, hints.NO_TIME if shape[-1:] == (1,) else "")
    _check_same_groups(function, groups)
    _check_rows(function, layouts, dim)
    check_size(function, "b * d * l * n", batch, dim, 1, d_state)
    return Problem(
        batch=batch,
        dim=dim,
        length=1,
        d_state=d_state,
        groups=groups["B"] or groups["C"] or 1,
        real=arithmetic(layouts),
        is_complex=layouts["A"].dtype in COMPLEX,
        layouts=dict(layouts),
        axes=axes,
        constant_b=groups["B"] is None,
        constant_c=groups["C"] is None,
        softplus=softplus,
        reverse=False,
        device=device,
    )


def _check_rows(function, layouts, dim):
    for name in ("D", "delta_bias"):
        _check_shape(function, layouts, name, f"(d,) with d = {dim}", (dim,))


def _check_shape(function, layouts, name, expected, wanted, hint=hints.broadcast):
    """An argument that is given has the shape `wanted`, in words `expected`."""
    if name in layouts and layouts[name].shape != wanted:
        shape = layouts[name].shape
        fail(function, name, expected, shape, hint(shape, wanted))


def check_size(function, text, *sizes):
    """Refuse what no memory could hold, before a product of sizes leaves 64 bits.

    Of a symbolic size torch.export would keep this as a condition, and refuse a Dim without a max;
    the same check follows with the sizes of each call.
    """
    product = math.prod(sizes)
    if isinstance(product, int) and product >= LARGEST:
        fail(function, text, "below 2**50", product)


def _check_same_groups(function, groups):
    if None not in groups.values() and groups["B"] != groups["C"]:
        got = f"{groups['B']} in B and {groups['C']} in C"
        raise ValueError(f"{function}: B and C must have the same number of groups g; got {got}.")


def _divides(g, dim):
    return g > 0 and dim % g == 0


def check_gradients(function, gradients, problem):
    """dy, dlast_state and dstates_at: the shape of the output that they belong to."""
    outputs = {
        "dy": ("of the shape of u", problem.layouts["u"].shape, hints.gradient),
        "dlast_state": ("of the shape of last_state", problem.state_shape, hints.state),
        "dstates_at": ("(b, d, k, n) for k steps", problem.states_at_shape, hints.broadcast),
    }
    for name, given in gradients.items():
        check_dtype(function, name, given.dtype, problem.is_complex)
        like, expected, hint = outputs[name]
        if given.shape != expected:
            text = hint(given.shape, expected)
            fail(function, name, f"{like}, {expected}", given.shape, text)


def check_devices(function, devices):
    """All arrays on one device; u's decides."""
    first = next(iter(devices))
    for name, device in devices.items():
        if device != devices[first]:
            raise ValueError(
                f"{function}: {name} must be on {devices[first]} like {first}; got {device}."
            )


def _groups(function, name, layouts, batch, dim, length, d_state, layout):
    """Number of groups of B or C; None when it is constant in time."""
    shape = layouts[name].shape
    if len(shape) == 2:
        if shape != (dim, d_state):
            unbatched = shape == ((d_state, length) if layout == "bdl" else (length, d_state))
            hint = hints.NO_BATCH if unbatched else ""
            fail(function, name, f"(d, n) = {(dim, d_state)}, or have a time axis", shape, hint)
        return None
    kinds = "(b, n, l) or (b, g, n, l)" if layout == "bdl" else "(b, l, n) or (b, l, g, n)"
    expected = f"{kinds} with b = {batch}, n = {d_state}, l = {length}"
    if len(shape) not in (3, 4):
        fail(function, name, f"(d, n), {expected}", shape)
    b, *g, n, l = hints.time_last(shape, layout)
    wanted = batch, d_state, length
    if (b, n, l) != wanted:
        hint = hints.other_layout(shape, wanted, layout) or hints.broadcast((b, n, l), wanted)
        fail(function, name, expected, shape, hint)
    g = g[0] if g else 1
    if not _divides(g, dim):
        fail(function, name, f"{kinds} with d % g == 0, d = {dim}", f"g = {g}")
    return g


STATE_AXES = Axes(0, 1, 2, None)
STATES_AT_AXES = Axes(0, 1, 3, None, r=2)
_MATRIX = Axes(None, 0, 1, None)
_ROW = Axes(None, 0, None, None)
_STEP_AXES = {
    **dict.fromkeys(("u", "delta", "z"), Axes(0, 1, None, None)),
    **dict.fromkeys(("D", "delta_bias"), _ROW),
    "A": _MATRIX,
    "initial_state": STATE_AXES,
}
_AXES = {
    "A": _MATRIX,
    "D": _ROW,
    "delta_bias": _ROW,
    "initial_state": STATE_AXES,
    "seq_idx": Axes(0, None, None, 1),
}
_SEQUENCE = {"bdl": Axes(0, 1, None, 2), "bld": Axes(0, 2, None, 1)}
_COEFFICIENTS = {  # by number of axes and layout
    (3, "bdl"): Axes(0, None, 1, 2),
    (3, "bld"): Axes(0, None, 2, 1),
    (4, "bdl"): Axes(0, 1, 2, 3),
    (4, "bld"): Axes(0, 2, 3, 1),
}


def _axes(name, ndim, layout):
    """Where an argument that was checked has batch, channel (group), state and time."""
    if name in ("u", "delta", "z"):
        return _SEQUENCE[layout]
    if name in ("B", "C"):
        return _MATRIX if ndim == 2 else _COEFFICIENTS[ndim, layout]
    return _AXES[name]
