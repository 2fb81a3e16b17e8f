"""What is refused before anything is exported, with a sentence."""

import inspect
import os
from pathlib import Path

import torch

from ..messages import describe, fail, library_of
from ..ops import contract
from ..ops import scan2d as ops2d
from ..torch import operators, operators2d, paths
from .steps import is_step, state_of

ATTENTION = 27  # the first opset with LinearAttention
OPSETS = range(18, ATTENTION + 1)
NAMES = {  # of the tensors that an operator begins with
    operators.SCAN: contract.ARGUMENTS,
    operators2d.SCAN2D: ops2d.ARGUMENTS,
    paths.GATHER: ("x",),
    paths.SCATTER: ("y",),
}
POSITIONS = 4  # the place of return_states_at among the arguments behind them
OPEN_AXES = "the axes of the example by number with names for them, as in ({0: 'batch'},)"


def check_model(model):
    """That it is a module in eval mode, with all its parts."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"export: model must be a torch.nn.Module; got {describe(model)}.")
    for name, part in model.named_modules():
        if part.training:
            got = f"{name} in training" if name else "one in training"
            fail("export", "model", "in eval mode", got, " Call model.eval().")


def checked_example(example):
    """The arguments of the model as a tuple."""
    example = (example,) if isinstance(example, torch.Tensor) else example
    if not isinstance(example, tuple | list):
        expected = "a tensor or a tuple of the model's arguments"
        raise TypeError(f"export: example must be {expected}; got {describe(example)}.")
    for x in example:
        if library_of(type(x)) == "numpy":
            hint = "Pass torch.from_numpy(x)."
            raise TypeError(f"export: example must have tensors; got {describe(x)}. {hint}")
    return tuple(example)


def check_opset(function, opset):
    expected = f"an integer from {OPSETS[0]} to {OPSETS[-1]}"
    if type(opset) is not int:
        raise TypeError(f"{function}: opset must be {expected}; got {describe(opset)}.")
    if opset not in OPSETS:
        fail(function, "opset", expected, describe(opset))


def check_path(path):
    """That a file can be there."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"export: path must be a path; got {describe(path)}.")
    file = Path(path)
    if not file.parent.is_dir() or file.is_dir():
        fail("export", "path", "a file in a folder that is there", describe(os.fspath(path)))


def checked_axes(dynamic, model, example):
    """What torch.export takes for `dynamic`: a Dim for each name, which leaves it any length.

    Dim.AUTO and Dim.DYNAMIC would let torch narrow an axis down, and no file says so.
    """
    if not isinstance(dynamic, tuple | list | dict | None):
        raise TypeError(f"export: dynamic must be {OPEN_AXES}; got {describe(dynamic)}.")
    try:
        given = inspect.signature(model.forward).bind(*example).arguments
    except TypeError as error:
        expected = "the arguments of model.forward"
        raise TypeError(f"export: example must be {expected}; got others: {error}.") from None
    check_axes(given if isinstance(dynamic, dict) else tuple(given.values()), dynamic)
    return dimensions(dynamic)


def check_axes(x, axes):
    """That the dynamic axes of a tensor, or of all in a container, are there and longer than 1."""
    if isinstance(x, dict) and isinstance(axes, dict):
        for key in x.keys() & axes.keys():
            check_axes(x[key], axes[key])
    elif isinstance(x, tuple | list) and isinstance(axes, tuple | list):
        for pair in zip(x, axes, strict=False):
            check_axes(*pair)
    elif isinstance(x, torch.Tensor) and isinstance(axes, dict):
        for axis in axes:
            check_axis(x, axis)


def check_axis(x, axis):
    """One that is dynamic."""
    if type(axis) is not int or not 0 <= axis < x.dim():
        fail("export", "dynamic", f"{OPEN_AXES}, from 0 to {x.dim() - 1} here", describe(axis))
    if x.shape[axis] < 2:
        got = f"one of {tuple(x.shape)} for the axis {axis}"
        fail("export", "example", "longer than 1 along dynamic axes", got)


def dimensions(dynamic):
    """`dynamic` with a Dim for each name."""
    if isinstance(dynamic, str):
        if not dynamic.isidentifier():
            fail("export", "dynamic", "axes with names as Python has them", describe(dynamic))
        return torch.export.Dim(dynamic)
    if dynamic is None or isinstance(dynamic, torch.export.Dim):
        return dynamic
    if isinstance(dynamic, dict):
        return {key: dimensions(value) for key, value in dynamic.items()}
    if isinstance(dynamic, tuple | list):
        return type(dynamic)(map(dimensions, dynamic))
    raise TypeError(f"export: dynamic must be {OPEN_AXES}; got {describe(dynamic)}.")


def names(dynamic):
    """`dynamic` with names alone."""
    if isinstance(dynamic, torch.export.Dim):
        return dynamic.__name__
    if isinstance(dynamic, dict):
        return {key: names(value) for key, value in dynamic.items()}
    return type(dynamic)(map(names, dynamic)) if isinstance(dynamic, tuple | list) else dynamic


def refused_axes(error, is_number):
    """The error for axes that cannot be dynamic, from torch's: a number to the model, or none."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.startswith("  - ")]
    got = (lines or str(error).splitlines())[0].split(". ")[0].rstrip(".")
    if not is_number:
        return ValueError(f"export: dynamic must be {OPEN_AXES}; got others: {got}.")
    return ValueError(
        f"export: dynamic must be axes that the model takes at any length; got others: {got}. "
        "Paths and positions are tables for one size of images: export a file for each. And len(x) "
        "is a number, where x.shape[0] is not."
    )


def check_program(program, opset):
    """That all calls of selscan in a program without writes can be said in ONNX."""
    signature = program.graph_signature
    written = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    if written:
        expected = "one that writes to none of its inputs and buffers"
        hint = " Write to a clone and return it."
        fail("export", "model", expected, f"one that writes to {written[0]}", hint)
    if not any(isinstance(x, str) for x in signature.user_outputs):  # others are numbers and None
        fail("export", "model", "one that returns tensors", "one that returns none")
    for node in nodes_of(program):
        check_node(node, opset)


def nodes_of(program):
    """All nodes of a program, those of branches too."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            yield from module.graph.nodes


def check_node(node, opset):
    """One node of a program."""
    if node.target in NAMES:
        arrays = dict(zip(NAMES[node.target], node.args, strict=False))
        if node.target is operators.SCAN and node.args[len(arrays) + POSITIONS] is not None:
            hint = " Scan the pieces between them one after the other."
            fail("export", "return_states_at", "None", "positions", hint)
        if has_orders(node):
            hint = " In a file a path is a constant."
            fail("export", "path", "one for all samples", "orders per sample", hint)
        moves = node.target in (paths.GATHER, paths.SCATTER)
        check_arrays(arrays, attention=opset == ATTENTION and not moves)
    elif is_step(node):
        if state_of(node) is None:
            hint = " Pass state.clone()."
            fail("export", "state", "a tensor of its own", "a part of another one", hint)
        check_arrays(node.kwargs | {"state": state_of(node)}, attention=False)
    elif getattr(node.target, "namespace", None) == "selscan":
        got = f"one with {node.target.name()}"
        fail("export", "model", "one whose calls have nodes in ONNX", got)


def has_orders(node):
    """Whether a call has orders per sample, which come behind all other arguments."""
    place = [x.name for x in node.target._schema.arguments].index
    return node.target is not operators.SCAN and len(node.args) > place("orders")


def check_arrays(arrays, attention):
    """Arguments of one call, nodes among them; `attention` if it becomes a LinearAttention."""
    found = {name: x.meta["val"] for name, x in arrays.items() if isinstance(x, torch.fx.Node)}
    if "seq_idx" in found:
        hint = " ONNX has no node with packed sequences: pad them, or scan each by itself."
        fail("export", "seq_idx", "None", "a tensor", hint)
    for name, x in found.items():
        dtype = str(x.dtype).removeprefix("torch.")
        if x.is_complex():
            hint = "ONNX has no nodes for complex numbers."
            raise TypeError(f"export: {name} must be real; got {dtype}. {hint}")
        if dtype == "float64" and attention:
            expected = f"in at most 32 bits with opset={ATTENTION}"
            raise TypeError(f"export: {name} must be {expected}; got {dtype}. Pass opset=18.")
        sizes = x.shape[1:] if name in ("u", "x", "y") else x.shape
        if name in ("A", "x", "y") and not all(type(size) is int for size in sizes):
            expected = "of known sizes" if name == "A" else "of known sizes but for the batch"
            fail("export", name, expected, f"one of {tuple(x.shape)}")
