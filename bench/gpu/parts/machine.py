"""The GPU and what runs on it; without both there is nothing to measure."""

from bench.gpu.outcomes import NotAvailable
from bench.rows import Row, markdown, quantiles, short

PATIENCE = 120


def names(options):
    """One row for all."""
    return ["device"]


def run(name, options):
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
    lines = [[row.case, f"{short(row.p50)} {row.unit}"] for row in rows if row.p50 is not None]
    if lines:
        yield markdown(["", rows[0].peer], lines)
