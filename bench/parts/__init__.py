"""The parts of compare.py: each has `measure(options) -> rows` and `tables(rows) -> texts`."""

from bench.parts import (
    accuracy,
    busy,
    dropin,
    forms,
    growth,
    launch,
    memory,
    models,
    numerics,
    overhead,
    paths,
    scan2d,
    start,
    step,
    time,
)

PARTS = {
    "time": time,
    "forms": forms,
    "scan2d": scan2d,
    "memory": memory,
    "models": models,
    "dropin": dropin,
    "accuracy": accuracy,
    "numerics": numerics,
    "growth": growth,
    "step": step,
    "paths": paths,
    "overhead": overhead,
    "busy": busy,
    "launch": launch,
    "start": start,
}
