"""`python -m selscan export`: a model by name as an ONNX file, tried in onnxruntime."""

import importlib.util
from pathlib import Path

import torch

from .. import onnx
from . import create

BATCH = 2  # of the example: an axis of length 1 could not be dynamic
SCANS = ("Scan", "LinearAttention")


def export(name, weights, size, classes, path, opset):
    """Write the file, and print what it is; the exit code."""
    model = create(name, weights, num_classes=classes, img_size=tuple(size)).eval()
    images = torch.randn(BATCH, 3, *size, generator=torch.Generator().manual_seed(0))
    source = "random weights (none were given)" if weights is None else f"weights of {weights}"
    print(f"{name}, {source}, for images of {size[0]} x {size[1]} and any batch", flush=True)
    program = onnx.export(model, images, path, dynamic=({0: "batch"},), opset=opset)
    kinds = [node.op_type for node in program.model.graph]
    scans, size_of_file = sum(map(kinds.count, SCANS)), Path(path).stat().st_size
    print(f"{path}: {size_of_file / 1e6:.1f} MB, {len(kinds)} nodes, {scans} scans, opset {opset}")
    if importlib.util.find_spec("onnxruntime") is None:
        print("onnxruntime is not installed: the file was not tried")
        return 0
    with torch.no_grad():
        want = model(images)
    found, scale = difference(path, images, want), want.abs().max().item()
    print(f"onnxruntime differs from torch by {found:.1e} at most, of scores up to {scale:.3g}")
    return 0 if found <= 1e-4 * max(scale, 1) else 1


def difference(path, images, want):
    """The largest difference of a score from torch's."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [scores] = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return (torch.from_numpy(scores) - want).abs().max().item()
