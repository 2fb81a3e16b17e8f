"""selscan's ONNX files of one scan in onnxruntime: as a Scan, and as a LinearAttention."""

import importlib.util
from functools import partial

import torch

from bench.peers.peer import NAMES, Peer

NODES = {"Scan": 18, "LinearAttention": 27}  # and the opset that makes it of a scan


def missing():
    """Why onnxruntime or the exporter is not there, or None."""
    absent = [x for x in ("onnxruntime", "onnxscript") if importlib.util.find_spec(x) is None]
    return f"pip install {' '.join(absent)}" if absent else None


def session(inputs, opset, threads):
    """onnxruntime's session for a scan of arrays, by name, with softplus of delta."""
    import onnx_ir as ir
    import onnxruntime

    from selscan.onnx import translate
    from selscan.onnx.nodes import Nodes
    from selscan.torch import operators

    op, kind = Nodes(), ir.TensorType(ir.DataType.FLOAT)
    values = {
        name: ir.Value(name=name, shape=ir.Shape(x.shape), type=kind) for name, x in inputs.items()
    }
    order = (*NAMES[:6], "z", "delta_bias", "initial_state", "seq_idx")
    constants = True, False, "bdl", None, None, None, False
    scan = translate.functions(opset)[operators.SCAN]
    [y] = scan(op, *map(values.get, order), *constants)
    y.name = "y"
    graph = ir.Graph(
        list(values.values()), [y], nodes=op.made, opset_imports={"": opset}, name="scan"
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )


def prepare(opset, inputs, dy):
    """A session for their shapes, and the inputs."""
    inputs = {name: inputs[name] for name in NAMES}
    return session(inputs, opset, torch.get_num_threads()), inputs


def run(data, backward):
    """Forward."""
    found, inputs = data
    return {"y": found.run(None, inputs)[0]}


onnx_scan, onnx_attention = (
    Peer(f"onnx_{name}", partial(prepare, NODES[node]), run, missing, gradients=False)
    for name, node in {"scan": "Scan", "attention": "LinearAttention"}.items()
)
