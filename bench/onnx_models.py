"""Models as ONNX files in onnxruntime, beside torch: numbers, sizes, times and memory.

    python -m bench.onnx_models [model ...] [--threads N] [--opsets 18 27] [--size 224]

needs the extra onnx. Times are of calls in turns, the fastest and the median; memory is the peak of
a process that loads the file and runs it, above what it has once onnxruntime is imported.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.child import call, progress
from bench.rows import environment, markdown, short

MODELS = (
    "vim_tiny",
    "vmamba_tiny_s1l8",
    "local_vim_tiny",
    "efficientvmamba_tiny",
    "msvmamba_nano",
)
HEADER = (
    *("model", "opset", "MB", "weights", "nodes", "scans", "difference", "of"),
    *("torch ms", "onnx ms", "fastest", "fastest onnx", "peak MB", "export s"),
)
SAMPLES = 7


def main(arguments=None):
    """Print a table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--opsets", type=int, nargs="+", default=(18, 27))
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args(arguments)
    print(environment(), f"{options.size} x {options.size} pixels, {options.threads} threads")
    lines = []
    for opset in options.opsets:
        for name in options.models:
            progress(f"onnx: {name}, opset {opset}")
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "model.onnx")
                request = {"model": name, "opset": opset, "path": path, "size": options.size}
                found = call(written, request)
                request["threads"] = options.threads
                found |= call(times, request, threads=options.threads)
                found |= call(memory, request)
            lines.append([name, opset, *(shown(found[key]) for key in HEADER[2:])])
            print(*lines[-1], flush=True)
    print(markdown(HEADER, lines))


def shown(value):
    return value if isinstance(value, int) else short(value) if value > 1e-3 else f"{value:.1e}"


def new(request):
    """The model with weights at random, and two images."""
    import torch

    from selscan import models

    torch.manual_seed(0)
    model = models.create(request["model"], img_size=request["size"]).eval()
    return model, torch.randn(2, 3, request["size"], request["size"])


def written(request):
    """The file is written: its size, and what is in it."""
    from selscan import onnx

    model, images = new(request)
    start = time.process_time()
    axes = ({0: "batch"},)
    program = onnx.export(model, images, request["path"], dynamic=axes, opset=request["opset"])
    taken = time.process_time() - start
    kinds = [node.op_type for node in program.model.graph]
    assert "Loop" not in kinds
    return {
        "MB": Path(request["path"]).stat().st_size / 1e6,
        "weights": sum(x.numel() * x.element_size() for x in model.parameters()) / 1e6,
        "nodes": len(kinds),
        "scans": sum(kind in ("Scan", "LinearAttention") for kind in kinds),
        "export s": taken,
    }


def session_of(request):
    """The file in onnxruntime, as a function of images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    session = onnxruntime.InferenceSession(
        request["path"], options, providers=["CPUExecutionProvider"]
    )
    [image] = session.get_inputs()
    return lambda images: session.run(None, {image.name: images})


def times(request):
    """Milliseconds of one image, and the difference for two."""
    import torch

    torch.set_num_threads(request["threads"])
    model, images = new(request)
    run, one = session_of(request), images[:1]
    taken = {"torch": [], "onnx": []}
    with torch.no_grad():
        want = model(images)
        [scores] = run(images.numpy())
        for _ in range(SAMPLES):
            for way, act in (("torch", lambda: model(one)), ("onnx", lambda: run(one.numpy()))):
                start = time.perf_counter()
                act()
                taken[way].append(1e3 * (time.perf_counter() - start))
    return {
        "difference": float(np.abs(scores - want.numpy()).max()),
        "of": float(want.abs().max()),
        **{f"{way} ms": float(np.median(found)) for way, found in taken.items()},
        "fastest": min(taken["torch"]),
        "fastest onnx": min(taken["onnx"]),
    }


def memory(request):
    """The peak of one image."""
    import onnxruntime  # noqa: F401

    size = request["size"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    session_of(request)(np.zeros((1, 3, size, size), np.float32))
    return {"peak MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6}


if __name__ == "__main__":
    from bench import onnx_models  # children look functions up in their module

    onnx_models.main()
