"""One process of ranks.py: `worker.py pipe rank size timeout file`."""

import os
import pickle
import sys
import traceback
from datetime import timedelta
from multiprocessing.connection import Connection

pipe = Connection(int(sys.argv[1]))
rank, size, timeout = map(int, sys.argv[2:5])

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

from distributed import jobs, training  # noqa: E402

torch.set_num_threads(1)
options = {"timeout": timedelta(seconds=timeout)}
dist.init_process_group(
    "gloo", store=dist.FileStore(sys.argv[5], size), rank=rank, world_size=size, **options
)
groups = {n: dist.new_group(range(n), **options) for n in range(2, size)} | {size: dist.group.WORLD}
pipe.send_bytes(pickle.dumps((True, None)))
while True:
    try:
        job, members, arguments = pickle.loads(pipe.recv_bytes())
    except EOFError:  # the tests are gone
        os._exit(1)
    try:
        function = getattr(jobs, job, None) or getattr(training, job)
        result = True, function(groups[members], **arguments)
    except Exception as error:
        result = False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    # Not by pipe.send, which would share the memory of tensors.
    pipe.send_bytes(pickle.dumps(result))
