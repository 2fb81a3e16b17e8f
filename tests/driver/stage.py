"""A process of bench.gpu without a GPU: CuPy on the driver, tensors on the CPU, small shapes.

CuPy, NVRTC's machine code, processes, files and tables are the true ones. What torch knows of a GPU
is made up, and kernels run in the emulator, so that times mean nothing.
"""

from dataclasses import replace
from types import SimpleNamespace

from emulator import compiler

import driver

PATCH = SimpleNamespace(setattr=setattr)  # as fake_cuda.install wants it
LENGTH, BATCH = 20, 2


def set_up():
    """Pretend; before anything of bench.gpu runs."""
    driver.install()
    compiler.KERNEL_FLAGS[None] = ("-O1",)  # half of the time of g++; other tests check more
    pretend_torch()
    shrink()
    driver.run_with(run)


def run(symbol, *launch):
    """Kernels of the backend in the emulator; those that measure the device do nothing."""
    from driver import kernels

    try:
        kernels.instance_of(symbol)
    except KeyError:
        return
    kernels.emulate(symbol, *launch)


def pretend_torch():
    """torch.cuda has a device, whose tensors are on the CPU."""
    import fake_cuda
    import torch

    from bench.parts.launch import tensors_pass_for_cuda
    from selscan.arrays import torch as arrays

    torch.set_num_threads(1)  # two that wait for one another take long on a busy machine
    fake_cuda.install(PATCH)
    found = SimpleNamespace(
        name="a device that is none",
        major=9,
        minor=0,
        multi_processor_count=132,
        L2_cache_size=1000,
        total_memory=1 << 30,
    )
    functions = {
        "is_available": lambda: True,
        "is_initialized": lambda: False,
        "device_count": lambda: 1,
        "empty_cache": lambda: None,
        "get_device_properties": lambda number: found,
        "synchronize": lambda device=None: None,
    }
    for name, function in functions.items():
        setattr(torch.cuda, name, function)
    torch.version.cuda = "13.0"
    zeros = torch.zeros
    torch.zeros = lambda *size, device=None, **options: zeros(*size, **options)
    tensors_pass_for_cuda(setattr)
    arrays.CudaTensors.allocate = allocate


def allocate(framework, output):
    """In the place of CudaTensors.allocate: what no kernel writes is NaN, or 85."""
    import torch

    shape, strides, dtype = output.recipe
    poison = torch.nan if dtype.is_floating_point or dtype.is_complex else 85
    return torch.empty_strided(shape, strides, dtype=dtype).fill_(poison)


def shrink():
    """Shapes that the emulator manages, under their names."""
    import bench.models
    from bench.gpu import gate, places, problems, problems_maps, shapes
    from bench.gpu.parts import correct, micro, models, start

    for table in (shapes.SHAPES, shapes.STEPS):
        for name, shape in table.items():
            case = shape.case
            small = replace(
                case,
                batch=min(case.batch, BATCH),
                dim=4 * case.groups,
                length=min(case.length, LENGTH),
            )
            table[name] = replace(shape, case=small)
    gate.SHAPE = (1, 4, 70, 4)
    every = correct.all_cases
    correct.all_cases = lambda small: every(True)
    correct.SECOND = correct.BACKEND  # numba_cuda is not there
    memory = places.Memory("cpu")
    places.here = lambda emulate: places.Place(memory, emulated=True)
    problems.COUNT = problems.FEW
    problems_maps.COUNT = getattr(problems_maps, "FEW", 0)
    micro.COPIED, micro.CACHED, micro.THREADS = 1 << 16, 1 << 13, 512
    start.CALLS, start.BATCH = 200, 20
    models.BATCH, models.SECONDS = 1, 0.01
    models.WAYS = ("selscan",)  # loops take minutes on the CPU
    runner = bench.models.runner
    bench.models.runner = lambda name, way, mode, batch, device: quick(
        runner(name, way, mode, batch, "cpu")
    )


def quick(call):
    """A call of a model, whose kernels do nothing."""

    def without_kernels():
        driver.run_with(None)
        try:
            return call()
        finally:
            driver.run_with(run)

    return without_kernels
