"""Which dtypes an argument may have, and the dtype of the arithmetic."""

WIDE = ("float32", "float64")
REAL = ("float16", "bfloat16", *WIDE)
COMPLEX = ("complex64", "complex128")
INTEGER = ("int32", "int64")
# Real, or complex where A is.
_WITH_A = ("B", "C", "initial_state", "state", "dlast_state", "dstates_at")
_INTEGERS = ("seq_idx", "path")
_USUAL = {INTEGER: "int32", COMPLEX: "complex64"}


def check_dtypes(function, layouts):
    """Check all arguments (name -> Layout)."""
    complex_a = layouts["A"].dtype in COMPLEX
    for name, given in layouts.items():
        check_dtype(function, name, given.dtype, complex_a)


def check_dtype(function, name, dtype, complex_a):
    """Check one argument; `complex_a` where A is complex."""
    allowed = _allowed(name, complex_a)
    if dtype not in allowed:
        where = " where A is complex" if allowed == COMPLEX else ""
        hint = _hint(name, dtype, allowed)
        raise TypeError(f"{function}: {name} must be {one_of(allowed)}{where}; got {dtype}.{hint}")


def _allowed(name, complex_a):
    if name == "A":
        return WIDE + COMPLEX
    if name in _INTEGERS:
        return INTEGER
    if complex_a and name == "state":
        return COMPLEX  # updated in place: a real one would lose the imaginary part
    return REAL + COMPLEX if complex_a and name in _WITH_A else REAL


def _hint(name, dtype, allowed):
    """What to do with a dtype that is not allowed."""
    if dtype.startswith("byte-swapped"):
        return f" Pass {name}.astype({name}.dtype.newbyteorder('='))."
    if name == "A" and dtype in REAL:
        return " 16 bits are too few for decay rates; convert to float32."
    if dtype in COMPLEX and name in _WITH_A:
        return " It may be complex where A is."
    if dtype in COMPLEX and name not in _INTEGERS:
        return " Only A, B, C and states may be complex."
    if dtype.startswith(("bool", "int", "uint", "float")):
        return f" Convert it to {_USUAL.get(allowed, 'float32')}."
    return ""


def arithmetic(layouts, wide=False):
    """The dtype of the arithmetic and of the states: float64 if any array is, or if `wide`."""
    wide = wide or any(x.dtype in ("float64", "complex128") for x in layouts.values())
    return "float64" if wide else "float32"


def one_of(names):
    return f"{', '.join(names[:-1])} or {names[-1]}"
