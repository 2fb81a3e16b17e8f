"""ONNX files in onnxruntime, on the CPU."""

import numpy as np
import pytest

for library in ("torch", "onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)

import onnxruntime  # noqa: E402


class File:
    """A file, or its bytes."""

    def __init__(self, source):
        source = source if isinstance(source, bytes) else str(source)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(source, options, providers=providers)

    def __call__(self, *values):
        """The outputs as NumPy arrays, of arrays or tensors."""
        names = [x.name for x in self.session.get_inputs()]
        arrays = [x if isinstance(x, np.ndarray) else x.detach().numpy() for x in values]
        return self.session.run(None, dict(zip(names, arrays, strict=True)))
