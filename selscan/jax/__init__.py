"""JAX under jit, grad, vmap, shard_map and the like; users call the functions of `selscan`.

route.py has what those do with traced arrays, scan.py, step.py, scan2d.py and moves.py the
operations and their gradients, batching.py vmap, calls.py the call of a kernel, guards.py what is
refused, partition.py sharded arrays. This is the only package that imports jax, and it is imported
when a traced array is met. A process that runs programs exported elsewhere imports it before.
"""

from . import calls

calls.register()
