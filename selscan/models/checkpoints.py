"""Weights from official checkpoints as they are, safetensors, a folder or the Hugging Face Hub.

A model may have a method `adapt`, from a state dict of its family to its own: it renames, resizes,
and fills in what a checkpoint need not have.
"""

from collections.abc import Mapping

import torch

from ..messages import describe, fail
from .files import read
from .wrappers import some, unwrapped


def load(model, source):
    """Load weights into a model; all of them must be there, and nothing else.

    Parameters
    ----------
    model : torch.nn.Module
        Made by `create`.
    source : str, os.PathLike or dict
        A file (.pth, .pt, .bin, .safetensors), the index of several (.index.json), a folder with
        either, ``"owner/name"`` of a repository on the Hugging Face Hub, or a state dict. What
        training scripts and libraries put around the weights is removed: dicts such as "model",
        "state_dict" and "model_ema", averages before others, and prefixes of names such as
        "module.", "model." and "_orig_mod.". Files of torch are read with ``weights_only=True``.

    Raises
    ------
    ValueError
        Weights that are missing, left over, of another shape, without data of their own, or
        integers for floats; a head for another number of classes is left out, though.
    TypeError
        Neither a path nor a dict.
    ModuleNotFoundError
        safetensors or huggingface_hub is needed and not installed.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"load: model must be a torch.nn.Module; got {describe(model)}.")
    inner = model_in(model)
    own = inner.state_dict()
    check_memory(own)
    state = unwrapped(source if isinstance(source, Mapping) else read(source), own)
    check_data(state)
    if hasattr(inner, "adapt"):
        state = inner.adapt(state)
    state = {name: squeezed(value, own.get(name)) for name, value in state.items()}
    check_state(state, own, "a state dict" if isinstance(source, Mapping) else str(source))
    inner.load_state_dict(state)
    return model


def model_in(model):
    """The model that one of torch's is around: compiled, parallel, averaged."""
    while type(model).__module__.startswith("torch."):
        children = dict(model.named_children())
        if list(children) not in (["_orig_mod"], ["module"]):
            break
        [model] = children.values()
    return model


def check_memory(own):
    """A model on the device "meta" can hold no weights."""
    if any(value.is_meta for value in own.values()):
        hint = ' Call model.to_empty(device="cpu") first.'
        fail("load", "model", "one with memory for its weights", "one on the device meta", hint)


def check_data(state):
    """Tensors whose numbers can be copied one by one."""
    for name, value in state.items():
        if value.is_meta:
            fail("load", "source", "weights with data", f"{name} on the device meta")
        if value.layout != torch.strided or value.is_quantized:
            got = "quantized" if value.is_quantized else f"of layout {value.layout}"
            hint = f" Call .{'dequantize' if value.is_quantized else 'to_dense'}() first."
            fail("load", "source", "weights in dense tensors", f"{name} {got}", hint)


def squeezed(value, own):
    """A tensor in the shape of the model's own where that differs in axes of length 1 only."""
    return value if own is None or not fits(value, own) else value.reshape(own.shape)


def fits(value, own):
    """Whether two shapes differ in axes of length 1 at most."""
    return value.squeeze().shape == own.squeeze().shape


def check_state(state, own, source):
    """Every tensor of the model, of its shape and kind, and no others."""
    missing = [name for name in own if name not in state]
    left = [name for name in state if name not in own]
    both = [(name, state[name], value) for name, value in own.items() if name in state]
    shapes = [(k, tuple(x.shape), tuple(y.shape)) for k, x, y in both if x.shape != y.shape]
    kinds = [(k, short(x), short(y)) for k, x, y in both if not casts(x.dtype, y.dtype)]
    parts = [
        ("lacks", missing),
        ("has besides", left),
        ("has of another shape", ["{} {} for {}".format(*x) for x in shapes]),
        ("has of another kind", ["{} {} for {}".format(*x) for x in kinds]),
    ]
    found = "; ".join(f"it {verb} {some(names)}" for verb, names in parts if names)
    if found:
        expected = "the weights of this model"
        fail("load", "source", expected, f"{source}: {found}")


def casts(dtype, own):
    """Whether numbers mean the same in the model's dtype: integers that stand for floats do not.

    Averages of counts, which are floats, may become counts again.
    """
    if dtype.is_complex:
        return own.is_complex
    return dtype.is_floating_point or not (own.is_floating_point or own.is_complex)


def short(tensor):
    """The name of a dtype."""
    return str(tensor.dtype).removeprefix("torch.")


def keep_own(model, state, prefix, of_other_shape=False):
    """The state dict with the model's own tensors of a prefix where it has none, or, if asked, with
    all of them if its own are for another number of rows: a head for other classes, or none."""
    own = {name: value for name, value in model.state_dict().items() if name.startswith(prefix)}
    if not of_other_shape:
        return state | {k: v for k, v in own.items() if k not in state}
    if not own:
        return {k: v for k, v in state.items() if k not in (f"{prefix}weight", f"{prefix}bias")}
    of_others = all(k in state and rows_differ(state[k], v) for k, v in own.items())
    return state | own if of_others else state


def rows_differ(value, own):
    """Whether two shapes differ along the first axis and nowhere else."""
    same = value.dim() == own.dim() > 0 and value.shape[1:] == own.shape[1:]
    return same and value.shape != own.shape
