"""The clock of parts/start.py. It imports nothing before the clock starts."""

import itertools
import time


def first_calls(framework):
    """Seconds of the imports and of the first forward and backward, by stage.

    torch is imported before the clock starts, and numpy with it; without torch numpy is timed.
    """
    if framework == "torch":
        import torch
    marks = {"start": time.perf_counter()}
    import numpy as np

    marks["import numpy"] = time.perf_counter()
    import selscan

    marks["import selscan"] = time.perf_counter()
    from selscan.cases import Case, make_inputs

    inputs = make_inputs(Case("first", 1, 64, 128, 16, 1, ""))
    dy = np.ones_like(inputs["u"])
    if framework == "torch":
        inputs = {name: torch.from_numpy(x).requires_grad_() for name, x in inputs.items()}
    marks["inputs"] = time.perf_counter()
    y = selscan.scan(**inputs, delta_softplus=True)
    marks["forward"] = time.perf_counter()
    if framework == "torch":
        y.backward(torch.from_numpy(dy))
    else:
        selscan.scan_backward(dy, **inputs, delta_softplus=True)
    marks["backward"] = time.perf_counter()
    taken = {b: marks[b] - marks[a] for a, b in itertools.pairwise(marks)}
    taken["total"] = taken["import selscan"] + taken["forward"] + taken["backward"]
    return taken
