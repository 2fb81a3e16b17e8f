"""The parts of compare.py: each has `measure(options) -> rows` and `tables(rows) -> texts`."""

from bench.parts import (
    accuracy,
    forms,
    growth,
    launch,
    memory,
    overhead,
    paths,
    start,
    step,
    time,
)

PARTS = {
    "time": time,
    "forms": forms,
    "memory": memory,
    "accuracy": accuracy,
    "growth": growth,
    "step": step,
    "paths": paths,
    "overhead": overhead,
    "launch": launch,
    "start": start,
}
