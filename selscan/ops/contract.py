"""What a call must look like: every check on shapes, dtypes and options.

`check` turns the layouts of the arguments into a Problem, which backends trust.
"""

from dataclasses import dataclass

from .messages import describe, fail

WIDE = ("float32", "float64")
REAL = ("float16", "bfloat16", *WIDE)
COMPLEX = ("complex64", "complex128")
INTEGER = ("int32", "int64")
LAYOUTS = ("bdl", "bld")
# In the order in which they are passed on.
ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state", "seq_idx")
STEP_ARGUMENTS = (*ARGUMENTS[:8], "state")
REQUIRED = ("u", "delta", "A", "B", "C", "state", "dy")
# Real, or complex where A is.
_WITH_A = ("B", "C", "initial_state", "state", "dlast_state")


@dataclass(frozen=True, eq=False)
class Problem:
    """A checked call. Axes say where an operand has batch, channel (group), state and time."""

    batch: int
    dim: int
    length: int
    d_state: int
    groups: int
    real: str  # dtype of the arithmetic, of the parts of complex numbers too
    is_complex: bool  # A, and so the states
    layouts: dict  # name -> Layout of the given arguments
    axes: dict  # name -> (b, d, n, t), None where the argument has no such axis
    constant_b: bool  # no time axis
    constant_c: bool
    softplus: bool
    reverse: bool

    @property
    def empty(self):
        """Whether there is nothing to scan."""
        return 0 in (self.batch, self.dim, self.length)

    @property
    def state_shape(self):
        return (self.batch, self.dim, self.d_state)

    @property
    def state_dtype(self):
        if not self.is_complex:
            return self.real
        return "complex64" if self.real == "float32" else "complex128"


def check_flags(function, **flags):
    """Switches must be bool: a string or an array is a mistake."""
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
        got = name or describe(given)
        raise TypeError(f"{function}: out_dtype must be {_one_of(REAL)}; got {got}.")
    return name


def check(function, layouts, softplus=False, reverse=False, layout="bdl", wide=False):
    """Check layouts (name -> Layout) and return the Problem; `wide` asks for float64 arithmetic."""
    _check_dtypes(function, layouts)
    sequence = "(b, l, d)" if layout == "bld" else "(b, d, l)"
    u = layouts["u"].shape
    if len(u) != 3:
        hint = " Is the batch axis missing?" if len(u) == 2 else ""
        fail(function, "u", f"{sequence}, three axes", u, hint)
    batch, dim, length = _time_last(u, layout)
    for name in ("delta", "z"):
        shape = layouts[name].shape if name in layouts else u
        if shape != u:
            hint = _hint_layout(shape, (batch, dim, length), layout)
            fail(function, name, f"{sequence} like u, {u}", shape, hint)
    a = layouts["A"].shape
    if len(a) != 2 or a[0] != dim:
        hint = " Is it transposed?" if a[1:] == (dim,) else ""
        hint = f" Is u in layout {_other(layout)!r}?" if a[:1] == (length,) else hint
        fail(function, "A", f"(d, n) with d = {dim}", a, hint)
    d_state = a[1]
    if d_state == 0:
        fail(function, "A", "(d, n) with n of at least 1", a)
    groups = {n: _groups(function, n, layouts, batch, dim, length, d_state, layout) for n in "BC"}
    _check_same_groups(function, groups)
    _check_rows(function, layouts, dim)
    state = (batch, dim, d_state)
    if "initial_state" in layouts and layouts["initial_state"].shape != state:
        fail(function, "initial_state", f"(b, d, n) = {state}", layouts["initial_state"].shape)
    if "seq_idx" in layouts and layouts["seq_idx"].shape != (batch, length):
        fail(function, "seq_idx", f"(b, l) = {(batch, length)}", layouts["seq_idx"].shape)
    return Problem(
        batch=batch,
        dim=dim,
        length=length,
        d_state=d_state,
        groups=groups["B"] or groups["C"] or 1,
        real=_real(layouts, wide),
        is_complex=layouts["A"].dtype in COMPLEX,
        layouts=dict(layouts),
        axes={name: _axes(name, len(x.shape), layout) for name, x in layouts.items()},
        constant_b=groups["B"] is None,
        constant_c=groups["C"] is None,
        softplus=softplus,
        reverse=reverse,
    )


def check_step(function, layouts, softplus):
    """The same for one step: no time axis anywhere, and `initial_state` is the state."""
    _check_dtypes(function, {"state" if n == "initial_state" else n: x for n, x in layouts.items()})
    state, steps = layouts["initial_state"].shape, layouts["initial_state"].steps
    if len(state) != 3 or state[2] == 0:
        fail(function, "state", "(b, d, n) with n of at least 1", state)
    broadcast = any(n > 1 and step == 0 for n, step in zip(state, steps, strict=True))
    if broadcast and 0 not in state:  # an empty NumPy array has zero strides as well
        expected = "an array with memory for each of its elements"
        fail(function, "state", expected, "a broadcast one", " Pass a copy.")
    batch, dim, d_state = state
    for name in ("u", "delta", "z"):
        shape = layouts[name].shape if name in layouts else (batch, dim)
        if shape != (batch, dim):
            hint = " A step has no time axis." if shape == (batch, dim, 1) else ""
            fail(function, name, f"(b, d) = {(batch, dim)}", shape, hint)
    if layouts["A"].shape != (dim, d_state):
        fail(function, "A", f"(d, n) = {(dim, d_state)}", layouts["A"].shape)
    axes = {n: _STEP_AXES[n] for n in layouts if n not in "BC"}
    groups = {}
    for name in "BC":
        shape = layouts[name].shape
        if shape == (batch, d_state):  # also where b = d
            groups[name], axes[name] = 1, (0, None, 1, None)
        elif shape == (dim, d_state):
            groups[name], axes[name] = None, _AXES["A"]
        elif len(shape) == 3 and shape == (batch, shape[1], d_state) and _divides(shape[1], dim):
            groups[name], axes[name] = shape[1], (0, 1, 2, None)
        else:
            expected = f"(b, n), (b, g, n) or (d, n) with b, d, n = {state} and d % g == 0"
            fail(function, name, expected, shape)
    _check_same_groups(function, groups)
    _check_rows(function, layouts, dim)
    return Problem(
        batch=batch,
        dim=dim,
        length=1,
        d_state=d_state,
        groups=groups["B"] or groups["C"] or 1,
        real=_real(layouts, False),
        is_complex=layouts["A"].dtype in COMPLEX,
        layouts=dict(layouts),
        axes=axes,
        constant_b=groups["B"] is None,
        constant_c=groups["C"] is None,
        softplus=softplus,
        reverse=False,
    )


def _check_rows(function, layouts, dim):
    for name in ("D", "delta_bias"):
        if name in layouts and layouts[name].shape != (dim,):
            fail(function, name, f"(d,) with d = {dim}", layouts[name].shape)


def _check_same_groups(function, groups):
    if None not in groups.values() and groups["B"] != groups["C"]:
        got = f"{groups['B']} in B and {groups['C']} in C"
        raise ValueError(f"{function}: B and C must have the same number of groups g; got {got}.")


def _real(layouts, wide):
    """The dtype of the arithmetic and of the states."""
    wide = wide or any(x.dtype in ("float64", "complex128") for x in layouts.values())
    return "float64" if wide else "float32"


def _divides(g, dim):
    return g > 0 and dim % g == 0


def check_gradients(function, gradients, problem):
    """dy and dlast_state: the shape of the output that they belong to."""
    for name, given in gradients.items():
        _check_dtype(function, name, given.dtype, problem.is_complex)
        like = "u" if name == "dy" else "last_state"
        expected = problem.layouts["u"].shape if name == "dy" else problem.state_shape
        if given.shape != expected:
            swapped = expected[:1] + expected[:0:-1]
            hint = " Is it in the other layout?" if name == "dy" and given.shape == swapped else ""
            fail(function, name, f"of the shape of {like}, {expected}", given.shape, hint)


def check_devices(function, devices):
    """All arrays on one device; u's decides."""
    first = next(iter(devices))
    for name, device in devices.items():
        if device != devices[first]:
            raise ValueError(
                f"{function}: {name} must be on {devices[first]} like {first}; got {device}."
            )


def _check_dtypes(function, layouts):
    for name, given in layouts.items():
        _check_dtype(function, name, given.dtype, layouts["A"].dtype in COMPLEX)


def _check_dtype(function, name, dtype, complex_a):
    """Which dtypes an argument may have; `complex_a` where A is complex."""
    allowed = REAL
    if name == "A":
        allowed = WIDE + COMPLEX
    elif name == "seq_idx":
        allowed = INTEGER
    elif complex_a and name in _WITH_A:
        allowed = REAL + COMPLEX
    if dtype in allowed:
        return
    hint = ""
    if name == "A" and dtype in REAL:
        hint = " 16 bits are too few for decay rates; convert to float32."
    elif dtype in COMPLEX and name in _WITH_A:
        hint = " It may be complex where A is."
    elif dtype.startswith("byte-swapped"):
        hint = f" Pass {name}.astype({name}.dtype.newbyteorder('='))."
    raise TypeError(f"{function}: {name} must be {_one_of(allowed)}; got {dtype}.{hint}")


def _one_of(names):
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _other(layout):
    return "bld" if layout == "bdl" else "bdl"


def _time_last(shape, layout):
    """The shape of a sequence in the order (b, ..., l)."""
    return shape if layout == "bdl" else (shape[0], *shape[2:], shape[1])


def _hint_layout(shape, wanted, layout):
    """A question, if an array would have the wanted (b, d or n, l) in the other layout."""
    if len(shape) < 3:
        return ""
    shape = _time_last(shape, _other(layout))
    return f" Is it in layout {_other(layout)!r}?" if (shape[0], *shape[-2:]) == wanted else ""


def _groups(function, name, layouts, batch, dim, length, d_state, layout):
    """Number of groups of B or C; None when it is constant in time."""
    shape = layouts[name].shape
    if len(shape) == 2:
        if shape != (dim, d_state):
            fail(function, name, f"(d, n) = {(dim, d_state)}, or have a time axis", shape)
        return None
    kinds = "(b, n, l) or (b, g, n, l)" if layout == "bdl" else "(b, l, n) or (b, l, g, n)"
    expected = f"{kinds} with b = {batch}, n = {d_state}, l = {length}"
    if len(shape) not in (3, 4):
        fail(function, name, f"(d, n), {expected}", shape)
    b, *g, n, l = _time_last(shape, layout)
    wanted = batch, d_state, length
    if (b, n, l) != wanted:
        fail(function, name, expected, shape, _hint_layout(shape, wanted, layout))
    g = g[0] if g else 1
    if not _divides(g, dim):
        fail(function, name, f"{kinds} with d % g == 0, d = {dim}", f"g = {g}")
    return g


STATE_AXES = (0, 1, 2, None)
_STEP_AXES = {
    **dict.fromkeys(("u", "delta", "z"), (0, 1, None, None)),
    **dict.fromkeys(("D", "delta_bias"), (None, 0, None, None)),
    "A": (None, 0, 1, None),
    "initial_state": STATE_AXES,
}
_AXES = {  # name, number of axes, layout -> where batch, channel (group), state and time stand
    "A": (None, 0, 1, None),
    "row": (None, 0, None, None),
    "initial_state": STATE_AXES,
    "seq_idx": (0, None, None, 1),
    ("sequence", "bdl"): (0, 1, None, 2),
    ("sequence", "bld"): (0, 2, None, 1),
    (3, "bdl"): (0, None, 1, 2),
    (3, "bld"): (0, None, 2, 1),
    (4, "bdl"): (0, 1, 2, 3),
    (4, "bld"): (0, 2, 3, 1),
}


def _axes(name, ndim, layout):
    if name in ("u", "delta", "z"):
        return _AXES["sequence", layout]
    if name in ("B", "C"):
        return _AXES["A"] if ndim == 2 else _AXES[ndim, layout]
    if name in ("D", "delta_bias"):
        return _AXES["row"]
    return _AXES[name]
