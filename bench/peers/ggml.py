"""ggml's `ssm_scan`, from a library that the user has built; docs/peers.md says how.

One graph: delta_bias is added in front of it, D u behind it, as llama.cpp does; no backward.
"""

import ctypes
import functools
import math
import os
from pathlib import Path

import numpy as np
import torch

from bench.peers.peer import NAMES, Peer

VARIABLE = "SELSCAN_BENCH_GGML"  # the folder with libggml-base.so and libggml-cpu.so
Pointer, Long, Int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
FLOAT, INTEGER = 0, 26  # enum ggml_type
OVERHEAD = 1 << 20  # bytes for the graph and the tensors' headers
PADDING = 64


class Settings(ctypes.Structure):
    """ggml_init_params."""

    _fields_ = (("size", ctypes.c_size_t), ("buffer", Pointer), ("no_alloc", ctypes.c_bool))


def missing():
    """Why the library is not there, or None."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return f"{VARIABLE} does not name a build of ggml"
    absent = [name for name in ("base", "cpu") if not file(folder, name).exists()]
    return f"{file(folder, absent[0])} does not exist" if absent else None


def file(folder, name):
    """Of one of its libraries."""
    return Path(folder) / f"libggml-{name}.so"


@functools.cache
def library():
    """Functions of ggml by name."""
    folder = os.environ[VARIABLE]
    base = ctypes.CDLL(str(file(folder, "base")), ctypes.RTLD_GLOBAL)
    cpu = ctypes.CDLL(str(file(folder, "cpu")))
    table = {
        "ggml_version": (base, ctypes.c_char_p),
        "ggml_init": (base, Pointer, Settings),
        "ggml_free": (base, None, Pointer),
        "ggml_new_tensor_4d": (base, Pointer, Pointer, Int, Long, Long, Long, Long),
        "ggml_ssm_scan": (base, Pointer, *[Pointer] * 8, Long),
        "ggml_view_1d": (base, Pointer, Pointer, Pointer, Long, ctypes.c_size_t),
        "ggml_reshape_4d": (base, Pointer, Pointer, Pointer, Long, Long, Long, Long),
        "ggml_add": (base, Pointer, *[Pointer] * 3),
        "ggml_mul": (base, Pointer, *[Pointer] * 3),
        "ggml_new_graph": (base, Pointer, Pointer),
        "ggml_build_forward_expand": (base, None, Pointer, Pointer),
        "ggml_get_data": (base, Pointer, Pointer),
        "ggml_backend_graph_compute": (base, Int, Pointer, Pointer),
        "ggml_backend_free": (base, None, Pointer),
        "ggml_backend_cpu_init": (cpu, Pointer),
        "ggml_backend_cpu_set_n_threads": (cpu, None, Pointer, Int),
    }
    return {name: declared(source, name, *types) for name, (source, *types) in table.items()}


def declared(source, name, result, *arguments):
    """A function with its types."""
    function = getattr(source, name)
    function.restype, function.argtypes = result, arguments
    return function


def version():
    """Of the library, or "-"."""
    return "-" if missing() else library()["ggml_version"]().decode()


class Graph:
    """Tensors and the graph of one scan; everything is freed with it."""

    def __init__(self, inputs):
        b, d, l = inputs["u"].shape
        n = inputs["A"].shape[1]
        g = inputs["B"].shape[1]
        self.shape = (b, l, d)
        inner = b * d * l
        # u, delta, y and two steps between, twice where a result is not in place; B, C; states.
        floats = 8 * inner + 2 * b * g * n * l + 4 * b * d * n + 8 * d
        self.call = library()
        self.context = self.make("init", Settings(4 * floats + OVERHEAD, None, False))
        channels = (1, d, 1, 1)
        x = self.tensor(inputs["u"].transpose(0, 2, 1), (1, d, l, b))
        delta = self.tensor(inputs["delta"].transpose(0, 2, 1), (d, l, b, 1))
        A = self.tensor(inputs["A"], (n, d, 1, 1))
        B, C = (self.tensor(inputs[k].transpose(0, 3, 1, 2), (n, g, l, b)) for k in "BC")
        D = self.tensor(inputs["D"], channels)
        bias = self.tensor(inputs["delta_bias"], (d, 1, 1, 1))
        state = self.tensor(np.zeros((b, d, n), np.float32), (n, 1, d, b))
        ids = self.tensor(np.arange(b, dtype=np.int32), (b, 1, 1, 1), INTEGER)
        delta = self.make("add", self.context, delta, bias)
        # The last argument came in 2026; a library before it does not look at it.
        both = self.make("ssm_scan", self.context, state, x, delta, A, B, C, ids, 1)
        y = self.make("view_1d", self.context, both, inner, 0)
        y = self.make("reshape_4d", self.context, y, 1, d, l, b)
        self.y = self.make("add", self.context, y, self.make("mul", self.context, x, D))
        self.graph = self.make("new_graph", self.context)
        self.make("build_forward_expand", self.graph, self.y)
        self.backend = self.make("backend_cpu_init")
        self.make("backend_cpu_set_n_threads", self.backend, torch.get_num_threads())

    def make(self, name, *arguments):
        """A call of ggml_`name`."""
        return self.call[f"ggml_{name}"](*arguments)

    def tensor(self, array, sizes, kind=FLOAT):
        """A copy of an array; the sizes of ggml begin with the last axis."""
        assert array.size == math.prod(sizes)
        made = self.make("new_tensor_4d", self.context, kind, *sizes)
        array = np.ascontiguousarray(array)
        ctypes.memmove(self.make("get_data", made), array.ctypes.data, array.nbytes)
        return made

    def run(self):
        """y in layout "bdl", as a view that the next run overwrites."""
        if self.make("backend_graph_compute", self.backend, self.graph):
            raise RuntimeError("ggml_backend_graph_compute failed")
        data = self.make("get_data", self.y)
        found = (ctypes.c_float * math.prod(self.shape)).from_address(data)
        found.owner = self  # as long as the array lives
        return np.frombuffer(found, np.float32).reshape(self.shape)

    def __del__(self):
        self.make("backend_free", self.backend)
        self.make("free", self.context)


def prepare(inputs, dy):
    """Copies of the inputs in ggml's memory."""
    return Graph({name: inputs[name] for name in NAMES})


def run(graph, backward):
    """Forward."""
    return {"y": graph.run().transpose(0, 2, 1)}


ggml = Peer("ggml", prepare, run, missing, gradients=False)
