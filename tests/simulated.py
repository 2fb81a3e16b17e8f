"""Numba's simulator, its threads at a real barrier; and small blocks, so that there are several.

In the simulator a thread of the host asks again and again whether all threads of a block have come
to a barrier, which takes milliseconds each time. Here they wait for one another. A thread that does
not come to the barrier of the others, which the simulator lets pass, is an error. And two threads
that ask for an array in shared memory at once get the same one; in the simulator each may get its
own.
"""

import sys
import threading

import numpy as np

from selscan.backends.numba_cuda import launches, shapes

PATIENCE = 30  # seconds at a barrier
_shared = threading.Lock()


def install(patch):
    """For all kernels from here on."""
    from numba.cuda.simulator import kernel, kernelapi

    patch.setattr(kernel.BlockManager, "run", run_block)
    patch.setattr(kernelapi.FakeCUDAShared, "array", shared_array)
    patch.setattr(kernel.BlockThread, "syncthreads", lambda thread: thread.barrier.wait(PATIENCE))
    patch.setattr(shapes, "CHANNELS", 3)
    patch.setattr(launches, "MOVERS", 3)
    patch.setattr(launches, "MOST_MOVING", 2)


def shared_array(shared, shape, dtype):
    """FakeCUDAShared.array: one array for each line of a kernel that asks for it."""
    asking = sys._getframe(1)
    line = asking.f_code.co_filename, asking.f_lineno
    with _shared:
        if line not in shared._allocations:
            shared._allocations[line] = np.empty(shape, dtype)
        return shared._allocations[line]


def run_block(manager, grid_point, *arguments):
    """BlockManager.run: the threads of one block."""
    from numba.cuda.simulator.kernel import BlockThread

    def body():
        thread = threading.current_thread()
        try:
            manager._f(*arguments)
        except BaseException:
            thread.barrier.abort()
            raise

    barrier = threading.Barrier(int(np.prod(manager._block_dim)))
    threads = []
    for block_point in np.ndindex(*manager._block_dim):
        thread = BlockThread(body, manager, grid_point, block_point, manager._debug)
        thread.barrier = barrier
        threads.append(thread)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [thread.exception for thread in threads if thread.exception]
    if failed:  # first those that others only waited for
        failed.sort(key=lambda found: isinstance(found[0], threading.BrokenBarrierError))
        raise failed[0][0].with_traceback(failed[0][1])
