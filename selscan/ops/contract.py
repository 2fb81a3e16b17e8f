"""What a call must look like: every check on shapes, dtypes and options, and every message.

`check` turns the layouts of the arguments into a Problem, which backends trust.
"""

from dataclasses import dataclass

REAL = ("float32", "float64")
NOT_YET = {
    "float16": "float16 is not supported yet; convert to float32",
    "bfloat16": "bfloat16 is not supported yet; convert to float32",
    "complex64": "complex A, B and C are not supported yet",
    "complex128": "complex A, B and C are not supported yet",
}
LAYOUTS = ("bdl", "bld")
# In the order in which they are passed on.
ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
REQUIRED = ("u", "delta", "A", "B", "C", "state", "dy")


@dataclass(frozen=True, eq=False)
class Problem:
    """A checked call. Axes say where an operand has batch, channel (group), state and time."""

    batch: int
    dim: int
    length: int
    d_state: int
    groups: int
    real: str  # dtype of the arithmetic and of states
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


def fail(function, name, expected, got, hint=""):
    raise ValueError(f"{function}: {name} must be {expected}; got {got}.{hint}")


def check_flags(function, **flags):
    """Switches must be bool: a string or an array is a mistake."""
    for name, value in flags.items():
        if value is not True and value is not False:
            raise TypeError(f"{function}: {name} must be True or False; got {describe(value)}.")


def check_layout(function, layout):
    if not isinstance(layout, str):
        raise TypeError(f"{function}: layout must be 'bdl' or 'bld'; got {describe(layout)}.")
    if layout not in LAYOUTS:
        fail(function, "layout", "'bdl' or 'bld'", repr(layout))


def describe(value):
    """A value in a message: short, whatever it is."""
    text = repr(value)
    name = type(value).__name__
    return f"{text} ({name})" if len(text) <= 40 else f"a {name}"


def check(function, layouts, softplus=False, reverse=False, layout="bdl", wide=False):
    """Check layouts (name -> Layout) and return the Problem; `wide` asks for float64 arithmetic."""
    for name, given in layouts.items():
        _check_dtype(function, name, given.dtype)
    sequence = "(b, l, d)" if layout == "bld" else "(b, d, l)"
    u = layouts["u"].shape
    if len(u) != 3:
        fail(function, "u", f"{sequence}, three axes", u)
    batch, dim, length = u if layout == "bdl" else (u[0], u[2], u[1])
    for name in ("delta", "z"):
        if name in layouts and layouts[name].shape != u:
            fail(
                function, name, f"{sequence} like u, {u}", layouts[name].shape, _hint_layout(layout)
            )
    a = layouts["A"].shape
    if len(a) != 2 or a[0] != dim:
        fail(function, "A", f"(d, n) with d = {dim}", a, _hint_layout(layout))
    d_state = a[1]
    if d_state == 0:
        fail(function, "A", "(d, n) with n of at least 1", a)
    groups = {n: _groups(function, n, layouts, batch, dim, length, d_state, layout) for n in "BC"}
    _check_same_groups(function, groups)
    _check_rows(function, layouts, dim)
    state = (batch, dim, d_state)
    if "initial_state" in layouts and layouts["initial_state"].shape != state:
        fail(function, "initial_state", f"(b, d, n) = {state}", layouts["initial_state"].shape)
    return Problem(
        batch=batch,
        dim=dim,
        length=length,
        d_state=d_state,
        groups=groups["B"] or groups["C"] or 1,
        real=_real(layouts, wide),
        layouts=dict(layouts),
        axes={name: _axes(name, len(x.shape), layout) for name, x in layouts.items()},
        constant_b=groups["B"] is None,
        constant_c=groups["C"] is None,
        softplus=softplus,
        reverse=reverse,
    )


def check_step(function, layouts, softplus):
    """The same for one step: no time axis anywhere, and `initial_state` is the state."""
    for name, given in layouts.items():
        _check_dtype(function, "state" if name == "initial_state" else name, given.dtype)
    state, steps = layouts["initial_state"].shape, layouts["initial_state"].steps
    if len(state) != 3 or state[2] == 0:
        fail(function, "state", "(b, d, n) with n of at least 1", state)
    if any(n > 1 and step == 0 for n, step in zip(state, steps, strict=True)):
        fail(
            function, "state", "an array with memory of its own for each element", "a broadcast one"
        )
    batch, dim, d_state = state
    for name in ("u", "delta", "z"):
        if name in layouts and layouts[name].shape != (batch, dim):
            fail(function, name, f"(b, d) = {(batch, dim)}", layouts[name].shape)
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
    wide = wide or any(x.dtype == "float64" for x in layouts.values())
    return "float64" if wide else "float32"


def _divides(g, dim):
    return g > 0 and dim % g == 0


def check_gradients(function, gradients, problem):
    """dy and dlast_state: the shape of the output that they belong to."""
    for name, given in gradients.items():
        _check_dtype(function, name, given.dtype)
        like = "u" if name == "dy" else "last_state"
        expected = problem.layouts["u"].shape if name == "dy" else problem.state_shape
        if given.shape != expected:
            fail(function, name, f"of the shape of {like}, {expected}", given.shape)


def check_devices(function, devices):
    """All arrays on one device; u's decides."""
    first = next(iter(devices))
    for name, device in devices.items():
        if device != devices[first]:
            raise ValueError(
                f"{function}: {name} must be on {devices[first]} like {first}; got {device}."
            )


def foreign(function, name, value, framework):
    """The error for something that is not an array, or not one of u's framework."""
    if framework is None or not hasattr(value, "__dlpack__"):
        expected = "a NumPy array or a torch tensor" if framework is None else framework.title
        hint = ""
        if hasattr(value, "__dlpack__"):
            hint = " Other DLPack arrays are not supported yet; pass numpy.from_dlpack(array)."
        return TypeError(f"{function}: {name} must be {expected}; got {describe(value)}.{hint}")
    other = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    return TypeError(f"{function}: {name} must be {framework.title} like u; got a {other}.")


def _check_dtype(function, name, dtype):
    if dtype in NOT_YET:
        raise TypeError(f"{function}: {name} is {dtype}: {NOT_YET[dtype]}.")
    if dtype not in REAL:
        raise TypeError(f"{function}: {name} must be float32 or float64; got {dtype}.")


def _hint_layout(layout):
    other = "bld" if layout == "bdl" else "bdl"
    return f" Is it in layout {other!r}?"


def _groups(function, name, layouts, batch, dim, length, d_state, layout):
    """Number of groups of B or C; None when it is constant in time."""
    shape = layouts[name].shape
    if len(shape) == 2:
        if shape != (dim, d_state):
            fail(function, name, f"(d, n) = {(dim, d_state)}, or have a time axis", shape)
        return None
    bdl = layout == "bdl"
    kinds = "(b, n, l) or (b, g, n, l)" if bdl else "(b, l, n) or (b, l, g, n)"
    expected = f"{kinds} with b = {batch}, n = {d_state}, l = {length}"
    if len(shape) == 3:
        if shape != ((batch, d_state, length) if bdl else (batch, length, d_state)):
            fail(function, name, expected, shape, _hint_layout(layout))
        return 1
    if len(shape) != 4:
        fail(function, name, f"(d, n), {expected}", shape)
    g = shape[1] if bdl else shape[2]
    if shape != ((batch, g, d_state, length) if bdl else (batch, length, g, d_state)):
        fail(function, name, expected, shape, _hint_layout(layout))
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
    "state": STATE_AXES,
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
    return _AXES["A"] if name == "A" else _AXES["state"]
