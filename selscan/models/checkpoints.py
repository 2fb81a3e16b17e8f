"""Weights from official checkpoints as they are, safetensors, a folder or the Hugging Face Hub.

A model may have a method `adapt`, from a state dict of its family to its own: it renames, resizes,
and fills in what a checkpoint need not have.
"""

from collections.abc import Mapping

import torch

from ..messages import describe, fail
from .files import read

# Where training scripts put the weights. Averages over the training come first: published figures
# are theirs.
# Of names: by DataParallel and its kind, and by torch.compile.
PREFIXES = ("module.", "_orig_mod.")
WRAPPERS = ("model_ema", "ema_model", "state_dict_ema", "state_dict", "model")


def load(model, source):
    """Load weights into a model; all of them must be there, and nothing else.

    Parameters
    ----------
    model : torch.nn.Module
        Made by `create`.
    source : str, os.PathLike or dict
        A file (.pth, .pt, .bin, .safetensors), a folder with one such file, ``"owner/name"`` of a
        repository on the Hugging Face Hub, or a state dict. Wrappers of training scripts are
        removed: weights under "model", "state_dict", "model_ema" or "ema_model", the last two
        before the others, and the prefix "module." of names. Files of torch are read with
        ``weights_only=True``.

    Raises
    ------
    ValueError
        Weights that are missing, left over or of another shape; a head for another number of
        classes is left out, though.
    TypeError
        Neither a path nor a dict.
    ModuleNotFoundError
        safetensors or huggingface_hub is needed and not installed.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"load: model must be a torch.nn.Module; got {describe(model)}.")
    state = unwrapped(source if isinstance(source, Mapping) else read(source))
    if hasattr(model, "adapt"):
        state = model.adapt(state)
    own = model.state_dict()
    state = {name: squeezed(value, own.get(name)) for name, value in state.items()}
    check_state(state, own, "a state dict" if isinstance(source, Mapping) else str(source))
    model.load_state_dict(state)
    return model


def unwrapped(file):
    """The state dict in what a file holds."""
    for wrapper in WRAPPERS:
        if isinstance(file, Mapping) and isinstance(file.get(wrapper), Mapping):
            return unwrapped(file[wrapper])
    state = {}
    for name, value in file.items() if isinstance(file, Mapping) else ():
        while isinstance(name, str) and name.startswith(PREFIXES):
            name = name.partition(".")[2]
        state[name] = value
    kinds = {(isinstance(k, str), isinstance(v, torch.Tensor)) for k, v in state.items()}
    if kinds != {(True, True)}:
        expected = f"a state dict, or have one as {', '.join(WRAPPERS)}"
        got = f"one with {some([str(name) for name in state])}" if state else describe(file)
        fail("load", "source", expected, got)
    return state


def squeezed(value, own):
    """A tensor in the shape of the model's own where that differs in axes of length 1 only."""
    return value if own is None or not fits(value, own) else value.reshape(own.shape)


def fits(value, own):
    """Whether two shapes differ in axes of length 1 at most."""
    return value.squeeze().shape == own.squeeze().shape


def check_state(state, own, source):
    """Every tensor of the model, of its shape, and no others."""
    missing = [name for name in own if name not in state]
    left = [name for name in state if name not in own]
    other = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    parts = [("lacks", missing), ("has besides", left), ("has of another shape", other)]
    found = "; ".join(f"it {verb} {some(names)}" for verb, names in parts if names)
    if found:
        expected = "the weights of this model"
        fail("load", "source", expected, f"{source}: {found}")


def some(names, count=4):
    """The first few of some names."""
    text = ", ".join(names[:count])
    return f"{text} and {len(names) - count} more" if len(names) > count else text


def keep_own(model, state, prefix, of_other_shape=False):
    """The state dict with the model's own tensors of a prefix where it has none, or, if asked, with
    all of them if its own are for another number of rows: a head for other classes."""
    own = {name: value for name, value in model.state_dict().items() if name.startswith(prefix)}
    if not of_other_shape:
        return state | {k: v for k, v in own.items() if k not in state}
    of_others = all(k in state and rows_differ(state[k], v) for k, v in own.items())
    return state | own if of_others else state


def rows_differ(value, own):
    """Whether two shapes differ along the first axis and nowhere else."""
    same = value.dim() == own.dim() > 0 and value.shape[1:] == own.shape[1:]
    return same and value.shape != own.shape
