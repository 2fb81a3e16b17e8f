"""Starting a kernel on several threads.

An entry point takes the address of the argument array and the number of a worker, and does that
worker's part. It is compiled as an ordinary function and started by its address: were it called
from a parallel loop directly, Numba would compile all of it four times more, once for each of the
functions that it wraps around such a loop.
"""

import numpy as np
from numba import prange

from .jit import kernel
from .simd import call


def compile_launch(version):
    """The function that runs every worker of an entry point."""

    @parallel_kernel
    def launch(function, address, workers):
        if workers == 1 or not version:  # no parallel region: cheaper, and safe in a forked child
            call(function, (address, 0))
        else:
            for worker in prange(workers):
                call(function, (address, np.int64(worker)))

    return launch


def parallel_kernel(function):
    return kernel(function, parallel=True)


def address_of(entry):
    """The address of a compiled entry point, in C's calling convention."""
    [compiled] = entry.overloads.values()
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
