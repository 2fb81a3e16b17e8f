"""Error against float64 as the length, the number of states and the step size grow, by dtype.

The error is that of arithmetic: float64 gets the inputs as they are after rounding to the dtype.
In 16 bits selscan keeps A, D, delta_bias and the state in float32; the others are given all of it
in 16 bits, and keep the state so. Each number is the largest error over the largest value.
"""

from dataclasses import asdict, replace

import numpy as np
import torch

from bench.child import YIELD, call, one_line, progress
from bench.forms import WIDE
from bench.peers import PEERS, make_dy
from bench.peers.peer import NAMES, relative_error
from bench.rows import Row, markdown, nothing, scientific
from selscan.cases import Case, make_inputs

BASE = Case("numerics", 1, 16, 1024, 16, 1, "")
SWEEPS = {
    "length": (1024, 8192, 65536),
    "d_state": (1, 4, 16, 64),
    "delta": (0.001, 0.01, 0.1, 1.0, 10.0),
}
SHORT = {"length": (512, 4096)}
DTYPES = ("float64", "float32", "bfloat16", "float16")
EXACT = "loop_step"  # in float64; `check` compares it with reference/
NARROW = ("selscan", "loop_step", "pscan", "associative_scan")  # of these also 16 bits
WITHOUT_A_GRAPH = ("selscan", "selscan_jax", "stick", "ggml", "onnx_scan", "loop_step")
LONGEST = 8192  # of the others, whose arrays are (b, d, l, n)
GRADIENTS = "gradients"


def measure(options):
    """Rows of all sweeps, dtypes and peers; shorter ones where `quick`."""
    rows, short = [], options.quick
    for sweep, values in (SWEEPS | (SHORT if short else {})).items():
        length = SHORT["length"][0] if short else BASE.length
        request = {"sweep": sweep, "values": values, "length": length, "peers": options.peers}
        rows += [Row(**row) for row in call(child, request, threads=1, variables=YIELD)]
    return rows


def child(request):
    """Rows of a sweep."""
    sweep, rows = request["sweep"], []
    base = replace(BASE, length=request["length"])
    for value in request["values"]:
        for dtype in DTYPES:
            progress(f"numerics: {sweep} {value}, {dtype}")
            rows += place(base, sweep, value, dtype, request["peers"])
    return [asdict(row) for row in rows]


def place(base, sweep, value, dtype, peers):
    """The errors at one value of a sweep in one dtype, y's and the worst gradient's."""
    case = base if sweep == "delta" else replace(base, **{sweep: value})
    inputs, dy = rounded(case, value if sweep == "delta" else None, dtype)
    exact = PEERS[EXACT]
    want = exact.run(exact.prepare(*in_float64(inputs, dy)), True)
    rows = []
    for peer in (PEERS[name] for name in peers if dtype in dtypes_of(name)):
        metric = f"error, {dtype}"
        row = Row(f"{sweep}_{value}", peer.name, "y", metric, **nothing(), unit="", threads=0)
        if reason := peer.missing() or peer.refuses(case) or too_long(peer.name, case):
            rows.append(replace(row, note=reason))
            continue
        try:
            got = run(peer, inputs, dy, dtype)
        except Exception as error:  # other people's code: a failure is a row
            rows.append(replace(row, note=one_line(error)))
            continue
        errors = {key: relative_error(as_array(got[key]), want[key]) for key in got}
        modes = {"y": errors.pop("y")} | ({GRADIENTS: max(errors.values())} if errors else {})
        rows += [replace(row, mode=mode, p50=e, count=1) for mode, e in modes.items()]
    return rows


def rounded(case, delta, dtype):
    """Tensors in float64 of which each value is one of the dtype; `delta` is every step size."""
    inputs, dy = make_inputs(case, "float64"), make_dy(case, "float64")
    if delta is not None:
        inputs["delta_bias"] = np.full(case.dim, delta + np.log(-np.expm1(-delta)))
    kind = getattr(torch, dtype)

    def of_kind(x):
        return torch.from_numpy(x).to(kind).double()

    return {name: of_kind(inputs[name]) for name in NAMES}, of_kind(dy)


def in_float64(inputs, dy):
    """As `prepare` takes them."""
    return {name: x.numpy() for name, x in inputs.items()}, dy.numpy()


def dtypes_of(name):
    """Those in which a peer is measured."""
    return DTYPES if name in NARROW else ("float32",)


def too_long(name, case):
    """Why a peer is left out, or None."""
    if case.length <= LONGEST or name in WITHOUT_A_GRAPH:
        return None
    return f"no more than {LONGEST} steps"


def run(peer, inputs, dy, dtype):
    """Forward and what there is of a backward, by tensors of the dtype or float32 arrays."""
    if dtype == "float32":
        arrays = {name: x.float().numpy() for name, x in inputs.items()}
        return peer.run(peer.prepare(arrays, dy.float().numpy()), peer.gradients)
    tensors, dy = peer.prepare(*in_float64(inputs, dy))
    kind = getattr(torch, dtype)
    wide = WIDE if peer.name == "selscan" and kind.itemsize == 2 else ()
    kinds = {k: torch.float32 if k in wide else kind for k in NAMES}
    leaves = {k: x.detach().to(kinds[k]).requires_grad_() for k, x in tensors.items()}
    return peer.run((leaves, dy.to(kind)), True)


def as_array(x):
    """In float64."""
    return x.double().numpy() if isinstance(x, torch.Tensor) else x


def tables(rows):
    """One table for each sweep and mode: peers and dtypes down, values across."""
    for sweep in SWEEPS:
        for mode in ("y", GRADIENTS):
            found = [x for x in rows if x.case.startswith(f"{sweep}_") and x.mode == mode]
            cells = {(x.peer, x.metric, x.case): x.p50 for x in found if x.p50 is not None}
            places = list(dict.fromkeys(x.case for x in found))
            lines = [
                [f"{peer}, {metric.split()[1]}"]
                + [scientific(cells.get((peer, metric, place))) for place in places]
                for peer, metric in dict.fromkeys((peer, metric) for peer, metric, _ in cells)
            ]
            header = ["", *(place.removeprefix(f"{sweep}_") for place in places)]
            yield f"{sweep}: largest error over largest value, {mode}\n\n{markdown(header, lines)}"
    empty = (x for x in rows if x.p50 is None)
    yield "\n".join(dict.fromkeys(f"- not measured: {x.peer}, {x.case}: {x.note}" for x in empty))
