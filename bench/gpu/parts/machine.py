"""The GPU and what runs on it, and the gate; where it is shut there is nothing to measure."""

from bench.gpu import gate
from bench.gpu.outcomes import FAILED, NotAvailable
from bench.rows import Row, markdown, nothing, quantiles, short

PATIENCE = 120
GATE = "gate"


def names(options):
    """The properties, and a scan and its gradients against the CPU."""
    return ["device", GATE]


def run(name, options):
    """Rows of properties or of errors."""
    yield from (of_gate if name == GATE else of_device)()


def of_gate():
    """A row for the forward and one for the backward."""
    for mode, error in gate.errors().items():
        limit = gate.TOLERANCES[mode]
        note = "" if error <= limit else f"{FAILED}more than {limit:g} of the CPU's norm"
        values = nothing() | {"p50": error}
        yield Row(GATE, "selscan", mode, "error", **values, unit="", threads=0, note=note)


def of_device():
    """A row a property."""
    import torch

    import selscan

    if not torch.cuda.is_available():
        raise NotAvailable("this torch was built without CUDA, or finds no GPU; there is --emulate")
    [backend] = [x for x in selscan.list_backends() if x.name == "cupy"]
    if not backend.usable:
        raise NotAvailable(backend.reason)
    found = torch.cuda.get_device_properties(0)
    properties = {
        "compute capability": (found.major + found.minor / 10, ""),
        "multiprocessors": (found.multi_processor_count, ""),
        "L2 cache": (found.L2_cache_size / 2**20, "MiB"),
        "memory": (found.total_memory / 2**30, "GiB"),
        "CUDA of torch": (float(torch.version.cuda), ""),
        "devices": (torch.cuda.device_count(), ""),
    }
    for case, (value, unit) in properties.items():
        values = quantiles([value])
        yield Row(case, found.name, "-", "property", **values, unit=unit, threads=0)


def tables(rows, rates):
    """Properties down."""
    found = [row for row in rows if row.p50 is not None]
    lines = [
        [f"{row.case} {row.mode}".rstrip(" -"), f"{short(row.p50)} {row.unit}"] for row in found
    ]
    if lines:
        yield markdown(["", rows[0].peer], lines)
