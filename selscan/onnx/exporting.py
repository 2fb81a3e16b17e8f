"""`selscan.onnx.export` and what it needs of torch's exporter."""

import contextlib
import logging
import warnings
from pathlib import Path

import torch

from ..messages import not_installed
from . import checks
from .steps import without_steps

CONVERTED = 25  # the last opset that torch's exporter converts to; later ones leave all ops as is
RULES = (  # of onnxscript, that find something in what torch makes
    *("cast_cast", "no_op_cast", "no_op_transpose", "transpose_transpose", "no_op_expand"),
    *("reshape_reshape", "unsqueeze_unsqueeze", "squeeze_reshape_1d", "materialize_reshape_shape"),
    *(
        "collapse_slice",
        "collapse_slice2",
        "add_0",
        "div_by_1",
        "mul_by_1",
        "fuse_batchnorm_into_conv",
    ),
)
REMARKS = {  # loggers of torch, and the level below which they say nothing of use
    "torch.onnx._internal.exporter._registration": logging.ERROR,
    "torch._subclasses.fake_tensor": logging.CRITICAL,
}
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
    checks.check_path(path)
    axes = checks.checked_axes(dynamic, model, example)
    table = translations(opset)
    with torch.no_grad(), quiet():
        program = exported(model, example, axes)
        checks.check_program(program, opset)
        found = torch.onnx.export(
            without_steps(program),
            dynamo=True,
            verbose=False,
            optimize=False,  # see `finish`
            opset_version=min(opset, CONVERTED),
            custom_translation_table=table,
            dynamic_shapes=checks.names(dynamic),
        )
    finish(found.model, opset)
    found.save(Path(path))
    return found


def exported(model, example, axes):
    """The program of a model, in which writes, if there are any, are taken apart."""
    from torch._dynamo.exc import UserError, UserErrorType  # here: it takes a second to import

    try:
        program = torch.export.export(model, example, dynamic_shapes=axes)
    except (UserError, TypeError) as error:
        by_us = isinstance(error, TypeError) and "got a torch.SymInt" in str(error)
        if axes is None or not (by_us or isinstance(error, UserError)):
            raise
        is_number = by_us or error.error_type is UserErrorType.CONSTRAINT_VIOLATION
        raise checks.refused_axes(error, is_number) from error
    # Takes a third of the time of an export, and torch does it again.
    return program.run_decompositions({}) if writes(program) else program


def writes(program):
    """Whether any operator of a program writes to what it is given."""
    targets = (node.target for node in checks.nodes_of(program))
    return any(x._schema.is_mutable for x in targets if isinstance(x, torch._ops.OpOverload))


def finish(model, opset):
    """Make a graph simpler, and forget where it was made from.

    torch's own `optimize` has one rule more, for which it compares all nodes with all: two minutes
    for a LocalVim.
    """
    import onnx_ir.passes.common as common
    from onnxscript import optimizer, rewriter
    from onnxscript.rewriter.rules import common as rules

    common.InlinePass()(model)
    for _ in range(2):  # one makes work for the other
        optimizer.fold_constants_ir(model)
        rewriter.rewrite(model, [getattr(rules, f"{name}_rule") for name in RULES])
    for tidy in (
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(),  # tables of paths that several layers have
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
        common.ClearMetadataAndDocStringPass(),
    ):
        tidy(model)
    model.opset_imports[""] = opset


@contextlib.contextmanager
def quiet():
    """Without torch's remarks on torchvision, on code of its own, on names that axes share, and on
    errors that it raises anyway."""
    loggers = {logging.getLogger(name): level for name, level in REMARKS.items()}
    levels = {logger: logger.level for logger in loggers}
    try:
        for logger, level in loggers.items():
            logger.setLevel(level)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".isinstance.treespec", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)  # of several axes
            yield
    finally:
        for logger, level in levels.items():
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
