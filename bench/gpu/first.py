"""The clock of parts/start.py: the first calls in a process, after torch and CUDA have started."""

import itertools
import json
import time


def first_calls():
    """Seconds by stage; the second forward has all that the first one made."""
    import torch

    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    marks = [("", time.perf_counter())]

    def mark(stage):
        torch.cuda.synchronize()
        marks.append((stage, time.perf_counter()))

    import selscan

    mark("import selscan")
    import cupy  # noqa: F401, which the first call would import

    mark("import cupy")
    from bench.gpu import inputs
    from bench.gpu.peers import ours
    from bench.gpu.shapes import language

    shape = language(1, 256, 128)
    made = inputs.make(shape, 0)
    mark("inputs")
    forward = ours(made, shape, "forward", {})
    forward()
    mark("first forward")
    forward()
    mark("second forward")
    try:
        ours(made, shape, "full", {})()
        mark("first forward + backward")
    except selscan.BackendUnavailable as error:
        return seconds(marks) | {"note": str(error)}
    return seconds(marks)


def seconds(marks):
    """Times between marks, without that of the inputs."""
    pairs = itertools.pairwise(marks)
    found = {stage: after - before for (_, before), (stage, after) in pairs}
    del found["inputs"]
    return found


if __name__ == "__main__":
    print(json.dumps(first_calls()))
