"""Messages: `<function>: <name> must be <contract>; got <what came>.`, and a hint."""

import numpy as np

# How a framework makes an array of something.
_MAKERS = {
    "numpy": "numpy.asarray",
    "torch": "torch.as_tensor",
    "jax": "jax.numpy.asarray",
    "cupy": "cupy.asarray",
}
# Whose array decides of which library all must be, of functions where it is not u.
_FIRST = {"scan_step": "state", "gather": "x", "scatter": "y"}
ANY_ARRAY = "a NumPy array, a torch tensor, a JAX array or another one with DLPack"


def fail(function, name, expected, got, hint=""):
    """Raise a ValueError."""
    raise ValueError(f"{function}: {name} must be {expected}; got {got}.{hint}")


def describe(value):
    """A value in a message: its kind, and itself where that is short; no foreign code runs."""
    kind = type(value)
    if value is None:
        return "None"
    short = kind in (bool, float) or (kind in (str, bytes) and len(value) <= 40)
    if short or (kind is int and value.bit_length() <= 64):
        return f"{value!r} ({kind.__name__})"
    if kind is type:
        return f"the class {_name(value)}"
    return describe_kind(kind)


def describe_kind(kind):
    """What an object of a class is called, its library before its name."""
    text = _name(kind)
    return f"{'an' if text[:1] in tuple('aeiouAEIOU') else 'a'} {text}"


def _name(kind):
    """A class by its name and the library that people know it from."""
    library = library_of(kind)
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"


def library_of(kind):
    """The top-level module of a class."""
    return str(kind.__module__).partition(".")[0]


def is_tracer(kind):
    """Whether a class is what JAX's transforms call a function with."""
    return library_of(kind) == "jax" and kind.__name__.endswith("Tracer")


def not_installed(error, library, part, extra):
    """The error for a part of this package without a library; other errors are themselves."""
    if error.name != library:
        return error
    text = f"{part} needs {library}. Install it: pip install 'selscan[{extra}]'"
    return ModuleNotFoundError(text, name=library)


def foreign(function, name, value, framework):
    """The error for something that is not an array, or not one of u's framework."""
    kind, got = type(value), describe(value)
    expected = ANY_ARRAY if framework is None else framework.title
    if framework is not None and hasattr(kind, "__dlpack__"):
        expected += f" like {_FIRST.get(function, 'u')}"
    maker = _MAKERS.get("numpy" if framework is None else framework.name)
    hint = _hint(function, name, kind, maker)
    if framework is None and not hint and hasattr(kind, "__cuda_array_interface__"):
        hint = f" Pass cupy.asarray({name})."
    return TypeError(f"{function}: {name} must be {expected}; got {got}.{hint}")


def _hint(function, name, kind, maker):
    """What to do with something that is not an array or not one that is known."""
    if issubclass(kind, np.ma.MaskedArray):
        return f" Its mask would be lost; pass {name}.filled(value)."
    if kind.__name__ == "PyCapsule":
        return " Pass the array, not its DLPack capsule."
    if is_tracer(kind):
        first = _FIRST.get(function, "u")
        return f" Under jax.jit and other transforms pass jax.numpy.asarray({first}) as well."
    known = kind.__module__ == "torch" or kind.__name__ == "ndarray"
    if maker and (kind in (list, tuple) or (hasattr(kind, "__array__") and not known)):
        return f" Pass {maker}({name})."
    return ""
