"""What is refused before anything is exported, with a sentence."""

import torch

from ..messages import describe, fail
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
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"export: model must be a torch.nn.Module; got {describe(model)}.")
    if model.training:
        fail("export", "model", "in eval mode", "one in training", " Call model.eval().")


def checked_example(example):
    """The arguments of the model as a tuple."""
    example = (example,) if isinstance(example, torch.Tensor) else example
    if not isinstance(example, tuple | list):
        expected = "a tensor or a tuple of the model's arguments"
        raise TypeError(f"export: example must be {expected}; got {describe(example)}.")
    return tuple(example)


def check_opset(function, opset):
    expected = f"an integer from {OPSETS[0]} to {OPSETS[-1]}"
    if type(opset) is not int:
        raise TypeError(f"{function}: opset must be {expected}; got {describe(opset)}.")
    if opset not in OPSETS:
        fail(function, "opset", expected, describe(opset))


def checked_axes(dynamic, example):
    """What torch.export takes for `dynamic`: a Dim for each name, which leaves it any length.

    Dim.AUTO and Dim.DYNAMIC would let torch narrow an axis down, and no file says so.
    """
    for x, axes in zip(example, dynamic if isinstance(dynamic, tuple | list) else (), strict=False):
        for axis in axes if isinstance(x, torch.Tensor) and isinstance(axes, dict) else ():
            if type(axis) is not int or not 0 <= axis < x.dim():
                expected = f"{OPEN_AXES}, from 0 to {x.dim() - 1} here"
                fail("export", "dynamic", expected, describe(axis))
            if x.shape[axis] < 2:
                got = f"one of {tuple(x.shape)} for the axis {axis}"
                fail("export", "example", "longer than 1 along dynamic axes", got)
    return dimensions(dynamic)


def dimensions(dynamic):
    """`dynamic` with a Dim for each name."""
    if isinstance(dynamic, str):
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
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            check_node(node, opset)


def check_node(node, opset):
    """One node of a program."""
    if node.target in NAMES:
        arrays = dict(zip(NAMES[node.target], node.args, strict=False))
        if node.target is operators.SCAN and node.args[len(arrays) + POSITIONS] is not None:
            hint = " Scan the pieces between them one after the other."
            fail("export", "return_states_at", "None", "positions", hint)
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
