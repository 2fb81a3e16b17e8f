"""Models as ONNX files in onnxruntime, beside torch: numbers, sizes, times and memory.

    python -m bench.onnx_models [model ...] [--modes scores maps] [--size 224] [--csv FILE]
    python -m bench.onnx_models --again bench/results/cpu-onnx.csv    # its tables

needs the extra onnx. Times of scores are CPU time of one image on one thread, in turns. Memory is
the peak of a process that loads the file and runs it with one image, above what it has once
onnxruntime is imported.
"""

import argparse
import csv
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.child import call, progress
from bench.rows import Row, environment, markdown, quantiles, short, write_csv

MODELS = (  # the smallest official one of each family
    "vim_tiny",
    "vmamba_tiny_s1l8",
    "local_vim_tiny",
    "efficientvmamba_tiny",
    "msvmamba_nano",
)
MODES = ("scores", "maps")
NODES = {"Scan": 18, "LinearAttention": 27}  # what a scan becomes, and the opset for it
UNITS = {
    "file": "MB",
    "weights": "MB",
    "tables": "MB",  # of paths: all integers that are more than one
    "nodes": "",
    "scans": "",
    "difference": "",  # from torch, the largest
    "largest": "",  # of torch's numbers
    "memory": "MB",
    "export": "s of CPU",
    "time": "ms of CPU",
}
HEADER = (
    *("model", "node of a scan", "file, MB", "without weights", "nodes", "scans"),
    *("differs by, of up to", "torch, ms", "onnxruntime, ms", "peak, MB", "export, s"),
)
FEWEST, MOST, BUDGET = 3, 15, 3  # calls that are timed, and about how many seconds of each way


def main(argv=None):
    """Print tables, of what is measured or was."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="model")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--csv", metavar="FILE", help="for all numbers, written model by model")
    parser.add_argument("--again", metavar="FILE", help="measure nothing: the tables of this file")
    options = parser.parse_args(argv)
    rows = []
    if options.again:
        rows = read(options.again)
    else:
        print(environment(), f"{options.size} x {options.size} pixels", flush=True)
        for mode in options.modes:
            for name in options.models:
                progress(f"onnx: {mode} of {name}")
                rows += measured({"model": name, "mode": mode, "size": options.size})
                if options.csv:
                    write_csv(rows, options.csv)
        progress("")
    print(*tables(rows), sep="\n\n")


def measured(request):
    """Rows of one model, by both nodes."""
    with tempfile.TemporaryDirectory() as folder:
        files = {node: str(Path(folder) / f"{node}.onnx") for node in NODES}
        found = {
            node: call(written, request | {"node": node, "path": path})
            | call(memory, request | {"path": path}, threads=1)
            for node, path in files.items()
        }
        for way, values in call(times, request | {"files": files}, threads=1).items():
            found[way] = found.get(way, {}) | values
    return [
        Row(
            request["model"],
            way,
            request["mode"],
            metric,
            **quantiles(np.atleast_1d(value)),
            unit=UNITS[metric],
            threads=1,
        )
        for way, values in found.items()
        for metric, value in values.items()
    ]


def new(request):
    """The model with weights at random, and two images."""
    import torch

    from selscan import models

    torch.manual_seed(0)
    size, maps = request["size"], request["mode"] == "maps"
    model = models.create(request["model"], img_size=size, features_only=maps).eval()
    return model, torch.randn(2, 3, size, size)


def written(request):
    """The file is written: its size, and what is in it."""
    from selscan import onnx

    model, images = new(request)
    start = time.process_time()
    opset = NODES[request["node"]]
    program = onnx.export(model, images, request["path"], dynamic=({0: "batch"},), opset=opset)
    taken = time.process_time() - start
    kinds = [node.op_type for node in program.model.graph]
    assert "Loop" not in kinds
    constants = [x.const_value for x in program.model.graph.initializers.values()]
    return {
        "file": Path(request["path"]).stat().st_size / 1e6,
        "weights": sum(x.numel() * x.element_size() for x in model.parameters()) / 1e6,
        "tables": sum(x.nbytes for x in constants if x.size > 1 and x.dtype.is_integer()) / 1e6,
        "nodes": len(kinds),
        "scans": kinds.count(request["node"]),
        "export": taken,
    }


def runner(path):
    """A file in onnxruntime, as a function of images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    [image] = session.get_inputs()
    return lambda images: session.run(None, {image.name: images})


def times(request):
    """Of torch and of each file: how the numbers of two images differ; of scores, the times of
    one."""
    import torch

    model, images = new(request)
    one, ways = images[:1].numpy(), {node: runner(x) for node, x in request["files"].items()}
    found = {"torch": {}} | {node: {} for node in ways}
    with torch.no_grad():
        want = model(images)
        want = [x.numpy() for x in (want if request["mode"] == "maps" else [want])]
        found["torch"]["largest"] = float(max(np.abs(x).max() for x in want))
        for node, run in ways.items():
            pairs = zip(run(images.numpy()), want, strict=True)
            found[node]["difference"] = float(max(np.abs(x - y).max() for x, y in pairs))
        ways["torch"] = lambda one: model(torch.from_numpy(one))
        if request["mode"] == "maps":
            return found
        for taken in found.values():
            taken["time"] = []
        for _ in range(MOST):
            for way, run in ways.items():
                taken = found[way]["time"]
                if len(taken) < FEWEST or sum(taken) < 1e3 * BUDGET:
                    start = time.process_time()
                    run(one)
                    taken.append(1e3 * (time.process_time() - start))
    return found


def memory(request):
    """The peak of one image."""
    import onnxruntime  # noqa: F401

    size = request["size"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runner(request["path"])(np.zeros((1, 3, size, size), np.float32))
    return {"memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6}


def read(path):
    """The rows of a file."""
    with Path(path).open(newline="") as stream:
        return [
            Row(*(line[x] for x in ("case", "peer", "mode", "metric")), *quantities(line))
            for line in csv.DictReader(stream)
        ]


def quantities(line):
    """The other fields of a row."""
    numbers = (float(line[x]) for x in ("p20", "p50", "p80"))
    return *numbers, line["unit"], int(line["threads"]), int(line["count"])


def tables(rows):
    """A table for each mode: a line for each model and node, of medians."""
    found = {(row.mode, row.case, row.peer, row.metric): row.p50 for row in rows}
    for mode in dict.fromkeys(row.mode for row in rows):
        names = dict.fromkeys(row.case for row in rows if row.mode == mode)
        lines = [cells(found, mode, name, node) for name in names for node in NODES]
        columns = zip(HEADER, *lines, strict=True)
        header, *lines = zip(*(x for x in columns if set(x[1:]) != {"-"}), strict=True)
        yield f"{mode}\n\n{markdown(header, lines)}"


def cells(found, mode, name, node):
    """A line of a table."""
    by_torch = {x: found.get((mode, name, "torch", x)) for x in ("largest", "time")}
    by_node = {x: found.get((mode, name, node, x)) for x in UNITS}
    return [
        f"`{name}`",
        f"`{node}`",
        short(by_node["file"]),
        short(by_node["file"] - by_node["weights"]),
        *(f"{by_node[x]:.0f}" for x in ("nodes", "scans")),
        f"{by_node['difference']:.1e}, {short(by_torch['largest'])}",
        *map(short, (by_torch["time"], by_node["time"])),
        *(f"{by_node[x]:.0f}" for x in ("memory", "export")),
    ]


if __name__ == "__main__":
    from bench import onnx_models  # children look functions up in their module

    onnx_models.main()
