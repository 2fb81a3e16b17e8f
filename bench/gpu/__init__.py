"""One command for a machine with a CUDA device: is it right, how fast is it? (docs/gpu-bench.md)

`parts/` has what is done, `worker.py` does it in processes that may fail, `results.py` keeps what
came of it, and `report.py` makes tables.
"""
