"""`selscan.onnx.export` and what it needs of torch's exporter."""

import contextlib
import logging
import os
import warnings
from pathlib import Path

import torch

from ..messages import describe, not_installed
from . import checks
from .steps import without_steps

CONVERTED = 25  # the last opset that torch's exporter converts to; later ones leave all ops as is
LIBRARIES = ("onnx", "onnx_ir", "onnxscript")


def translations(opset=18):
    """What `torch.onnx.export` needs to know of selscan's operators.

    Parameters
    ----------
    opset : int
        18 to 26 makes a scan one node Scan, 27 one LinearAttention.

    Returns
    -------
    table : dict
        Pass it as ``custom_translation_table``, with ``dynamo=True`` and an ``opset_version`` from
        18 to 25. Of a program with opset 27 set ``program.model.opset_imports[""] = 27`` then:
        torch has no conversion to it, and between 25 and 27 no node has changed.

    Raises
    ------
    ValueError, TypeError
        Another opset.
    ModuleNotFoundError
        onnx or onnxscript is not installed.

    Examples
    --------
    >>> import torch, selscan.onnx
    >>> table = selscan.onnx.translations()
    >>> torch.ops.selscan.scan.default in table
    True
    """
    checks.check_opset("translations", opset)
    with needed():
        from .translate import table  # here, since it imports onnx
    return table(opset)


def export(model, example, path, *, dynamic=None, opset=18):
    """Write a model as an ONNX file, with one node for each scan whatever its length is.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode. It takes and returns tensors, and writes to none that it is given: states of
        a decoding step are cloned first, and returned.
    example : tensor or tuple of tensors
        Its arguments. Sizes of the file are theirs, except for those that are dynamic.
    path : str or os.PathLike
        Where the file is written; above 2 GB the weights are written beside it.
    dynamic : tuple or dict, optional
        For each argument the axes of any length, with names for them: ``({0: "batch"},)``; in the
        form of ``dynamic_shapes`` of `torch.export.export`. A `torch.export.Dim` is a name, too.
        The example is longer than 1 along them.
    opset : int
        Version of ONNX's operators. 18 to 26 makes a scan one node Scan; 27 makes it one
        LinearAttention, which needs memory for three arrays (b, l, d n).

    Returns
    -------
    program : torch.onnx.ONNXProgram
        What was written; ``program.model`` is the graph.

    Raises
    ------
    ValueError
        A call that no node can say (``seq_idx``), a model that writes to its arguments, an axis
        that the model takes as a number.
    TypeError
        Complex numbers; float64 in a scan with opset 27; an argument of another kind.
    ModuleNotFoundError
        onnx or onnxscript is not installed.

    Notes
    -----
    Paths are tables for one size of images, and so are the positions in Vim and LocalVim: height
    and width are never dynamic there. The arithmetic is that of `selscan.scan`.

    Examples
    --------
    >>> import torch, selscan.onnx
    >>> from selscan import nn
    >>> mixer = nn.Mamba(16, d_state=4).eval()
    >>> axes = {0: "batch", 1: "length"}
    >>> program = selscan.onnx.export(mixer, torch.randn(2, 9, 16), "mixer.onnx", dynamic=(axes,))
    >>> [node.op_type for node in program.model.graph].count("Scan")
    1
    """
    checks.check_model(model)
    example = checks.checked_example(example)
    checks.check_opset("export", opset)
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"export: path must be a path; got {describe(path)}.")
    axes = checks.checked_axes(dynamic, example)
    table = translations(opset)
    with torch.no_grad(), quiet():
        program = exported(model, example, axes)
        checks.check_program(program, opset)
        found = torch.onnx.export(
            without_steps(program),
            dynamo=True,
            verbose=False,
            opset_version=min(opset, CONVERTED),
            custom_translation_table=table,
            dynamic_shapes=checks.names(dynamic),
        )
    finish(found.model, opset)
    found.save(Path(path))
    return found


def exported(model, example, axes):
    """The program of a model, in which writes are taken apart."""
    from torch._dynamo.exc import UserError, UserErrorType  # here: it takes a second to import

    try:
        program = torch.export.export(model, example, dynamic_shapes=axes)
    except UserError as error:
        if axes is None:
            raise
        is_number = error.error_type is UserErrorType.CONSTRAINT_VIOLATION
        raise checks.refused_axes(error, is_number) from error
    return program.run_decompositions({})


def finish(model, opset):
    """Take out of a graph what is there twice, and notes on the files that it was made from."""
    import onnx_ir.passes.common as common

    for tidy in (
        common.LiftConstantsToInitializersPass(),
        common.DeduplicateInitializersPass(),  # tables of paths that several layers have
        common.ClearMetadataAndDocStringPass(),
    ):
        tidy(model)
    model.opset_imports[""] = opset


@contextlib.contextmanager
def quiet():
    """Without torch's remarks on torchvision, on code of its own, and on names that axes share."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".isinstance.treespec", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)  # of several axes
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def needed():
    """Around imports of onnx: the error says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise
        raise not_installed(error, error.name, "selscan.onnx", "onnx") from None
