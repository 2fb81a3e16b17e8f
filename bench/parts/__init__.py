"""The parts of compare.py: each has `measure(options) -> rows` and `tables(rows) -> texts`."""

from bench.parts import accuracy, growth, memory, overhead, start, step, time

PARTS = {
    "time": time,
    "memory": memory,
    "accuracy": accuracy,
    "growth": growth,
    "step": step,
    "overhead": overhead,
    "start": start,
}
