"""Names that modules have bound already: what they hold is exchanged, by identity.

transformers decides when a modeling file is imported whose function it takes. Each of its wrappers
knows the names of the function and of the package that it asked, and the torch function behind
them, so it is made anew by transformers' own decorator, which drops what a function has no
parameter for. What it finds then depends on the aliases at that time.
"""

import sys
import types

HUB = "transformers.integrations.hub_kernels"
DECORATOR = "use_kernel_func_from_hub_with_fallback"


def rebind(chosen):
    """Replace values of all modules; `chosen(value)` is the new one, or the same.

    Returns what `restore` takes: (module, name, old, new).
    """
    done = []
    for module in list(sys.modules.values()):
        if not isinstance(module, types.ModuleType) or is_own(module.__name__):
            continue
        for name, old in list(vars(module).items()):
            new = chosen(old)
            if new is not old:
                setattr(module, name, new)
                done.append((module, name, old, new))
    return done


def is_own(name):
    """Whether a module is one of selscan.compat, whose names stay."""
    return f"{name}.".startswith(f"{__package__}.")


def restore(done):
    """Undo `rebind` where nobody else has bound the name since."""
    for module, name, old, new in reversed(done):
        if vars(module).get(name) is new:
            setattr(module, name, old)


def wrappers(packages, ours):
    """For `rebind`: transformers' wrappers that ask one of the packages, made anew.

    With `ours`, which there are aliases for then, those that have no function of selscan; otherwise
    those that have one.
    """
    hub = sys.modules.get(HUB)
    if hub is None or not hasattr(hub, DECORATOR):
        return lambda value: value
    made = {}

    def chosen(value):
        if type(value) is not types.FunctionType or value.__globals__ is not vars(hub):
            return value
        if value not in made:
            made[value] = anew(value)
        return made[value]

    def anew(wrapper):
        parts = dict(zip(wrapper.__code__.co_freevars, wrapper.__closure__ or (), strict=False))
        if not {"func_name", "package", "implementation", "torch_function"} <= parts.keys():
            return wrapper
        name, package, function, fallback = (
            parts[x].cell_contents
            for x in ("func_name", "package", "implementation", "torch_function")
        )
        if package not in packages or is_own(str(function.__module__)) == ours:
            return wrapper
        return getattr(hub, DECORATOR)(name, package)(fallback)

    return chosen


def counterparts(given, wanted):
    """For `rebind`: from what some modules hold to what others of the same names hold."""
    pairs = {}
    for name, other in wanted.items():
        pairs[id(given[name])] = other
        for key, value in vars(given[name]).items():
            public = callable(value) and not key.startswith("__")
            if public and hasattr(value, "__module__") and key in vars(other):
                pairs[id(value)] = vars(other)[key]
    return lambda value: pairs.get(id(value), value)
