"""The parts of compare.py: each has `measure(options) -> rows` and `tables(rows) -> texts`."""

from bench.parts import (
    accuracy,
    busy,
    forms,
    growth,
    launch,
    memory,
    models,
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
    "accuracy": accuracy,
    "growth": growth,
    "step": step,
    "paths": paths,
    "overhead": overhead,
    "busy": busy,
    "launch": launch,
    "start": start,
}
