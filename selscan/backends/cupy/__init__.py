"""The CUDA backend through CuPy: kernels in CUDA C++ (csrc/), compiled by NVRTC at the first call.

`instances.py` is the closed list of kernels. `nvrtc.py` makes a function of one of them: `paste.py`
puts its source together, `toolkit.py` finds NVRTC, `compiler.py` calls it, `store.py` keeps machine
code on disk, `gpu.py` loads it; CuPy is imported there, inside functions, and nowhere else.
`launches.py` turns a checked problem into a launch: `plan.py` spreads it over the GPU,
`arguments.py` makes the struct that the kernel takes.

There is no backward yet: a backend without `backward_plan` has no gradients.
"""

from . import gpu, launches, nvrtc
from .launches import step_plan

__all__ = ["check", "detail", "forward_plan", "launch", "states_size", "step_plan"]


def forward_plan(problem, operands):
    """Plan of scan_forward; `operands`: name -> (Layout, axes)."""
    device = gpu.properties(launches.number_of(problem.device))
    return launches.forward_plan(problem, operands, device)


def states_size(problem):
    """Elements of the states kept for a backward: none, as there is no backward."""
    return 0


def launch(plan, addresses, stream):
    """Start the kernel of a plan on operands at these addresses (by name), on a stream."""
    plan.launch(nvrtc.kernel(plan.file, plan.name, plan.device), addresses, stream)


def check():
    """Raise BackendUnavailable, with the reason and what helps, where no kernel could run."""
    nvrtc.check()


def detail():
    """One line for people."""
    return gpu.detail()
