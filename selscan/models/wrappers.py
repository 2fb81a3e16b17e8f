"""The state dict in what training scripts and libraries save around it.

Wrappers are dicts, as in {"state_dict": ...}, or parts of names, as in "module.norm.weight": a name
with dots is a path through dicts that was written out, so both have one table.
"""

from collections.abc import Mapping

import torch

from ..messages import describe, fail

# Averages over the training come first: published figures are theirs. Then in this order.
AVERAGES = ("model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "ema")
OTHERS = ("state_dict", "model_state_dict", "model", "module", "net", "app", "online_model")
WRAPPERS = AVERAGES + OTHERS
# What torch puts between the names of layers, wherever it wraps one.
OF_TORCH = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# How often an average was taken, beside it.
COUNTERS = ("n_averaged", "num_updates", "steps", "step", "initted")


def unwrapped(file, own=()):
    """The state dict in what a file holds, for a model with the names `own`."""
    parts = {name.partition(".")[0] for name in own}
    # Dicts may hold themselves, and some wrappers are there and empty: all are looked at, once.
    waiting, seen = [file], set()
    while waiting:
        holder = waiting.pop()
        if id(holder) in seen or not isinstance(holder, Mapping):
            continue
        seen.add(id(holder))
        inner = [holder.get(name) for name in WRAPPERS]
        if any(isinstance(x, Mapping) for x in inner):
            waiting.extend(reversed(inner))
        elif trouble(holder) is None:
            state = without_prefixes(holder, parts)
            if set(state) - set(COUNTERS):
                return state
    got = describe(file)
    if isinstance(file, Mapping) and file:
        got = trouble(file) or f"one with {some(list(file))}"
    return fail("load", "source", f"a state dict, or have one as {', '.join(WRAPPERS)}", got)


def trouble(holder):
    """What makes a dict no state dict, None if it is one."""
    others = [name for name, value in holder.items() if not isinstance(value, torch.Tensor)]
    names = [str(name) for name in holder]
    if not others and all(isinstance(name, str) for name in holder):
        return None
    # Where some are tensors or arrays, the first of the others is what is wrong.
    if others and any(hasattr(value, "shape") for value in holder.values()):
        return f"one whose {others[0]} is {describe(holder[others[0]])}"
    return f"one with {some(names)}"


def without_prefixes(state, parts):
    """A state dict without wrappers in its names; `parts` are those of the model itself."""
    plain = {".".join(x for x in name.split(".") if x not in OF_TORCH): name for name in state}
    if len(plain) == len(state):
        state = {name: state[old] for name, old in plain.items()}
    wrappers = [name for name in WRAPPERS if name not in parts]
    while (shorter := without_prefix(state, wrappers)) is not None:
        state = shorter
    return state


def without_prefix(state, wrappers):
    """A state dict without the first of some wrappers, None if its names have none of them."""
    for wrapper in wrappers:
        inner = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{wrapper}.")}
        if not set(inner) - set(COUNTERS):
            continue
        # Beside an average is what it is of. All else is left over, and an error will say so.
        known = WRAPPERS if wrapper in AVERAGES else (wrapper,)
        rest = {k: v for k, v in state.items() if k.partition(".")[0] not in known}
        rest = {k: v for k, v in rest.items() if k not in COUNTERS}
        return None if set(inner) & set(rest) else inner | rest
    return None


def some(names, count=4):
    """The first few of some names."""
    text = ", ".join(names[:count])
    return f"{text} and {len(names) - count} more" if len(names) > count else text
