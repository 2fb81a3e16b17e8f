"""Weak scaling of a scan that is cut over ranks: time of a forward and backward, and what waits.

    torchrun --nproc-per-node 2 -m bench.distributed --length 65536

Each rank has a piece of so many steps, and one thread. Three things are run in turns: every rank
scans its piece for itself (`alone`), and the two modes of `selscan.distributed.scan`. The first is
what the others would be if ranks had not to talk; a machine that is busy slows down all three.
"""

import argparse
import os
import statistics
import time

MODES = ("alone", "gather", "ring")
WAITS = ("all_gather", "broadcast", "reduce")


def problem(length, d, n):
    """Tensors of one rank."""
    import torch

    u, delta = torch.rand(2, 1, d, length).unbind()
    A, (B, C) = -torch.rand(d, n), torch.randn(2, 1, n, length)
    return [x.requires_grad_() for x in (u, delta, A, B, C)]


class Waits:
    """Seconds that are spent in functions of torch.distributed."""

    def __init__(self):
        import torch.distributed as dist

        self.seconds = 0.0
        for name in WAITS:
            setattr(dist, name, self.timed(getattr(dist, name)))
        self.receive = dist.irecv
        dist.irecv = self.timed_receive

    def timed(self, function):
        def call(*arguments, **options):
            start = time.perf_counter()
            result = function(*arguments, **options)
            self.seconds += time.perf_counter() - start
            return result

        return call

    def timed_receive(self, *arguments, **options):
        """Of a receive it is the wait that counts."""
        work = self.receive(*arguments, **options)

        class Timed:
            wait = staticmethod(self.timed(work.wait))

        return Timed


def step(mode, tensors):
    """A forward and backward."""
    import selscan

    options = {"delta_softplus": True}
    if mode == "alone":
        y = selscan.scan(*tensors, **options)
    else:
        y = selscan.distributed.scan(*tensors, **options, mode=mode)
    y.backward(y.detach())


def measure(tensors, repeats):
    """{mode: [(seconds, of them waiting, CPU seconds)]} on this rank."""
    import torch.distributed as dist

    waits, found = Waits(), {mode: [] for mode in MODES}
    for i in range(repeats + 1):
        for mode in MODES:
            dist.barrier()
            waits.seconds, start, cpu = 0.0, time.perf_counter(), time.process_time()
            step(mode, tensors)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            if i:  # the first one loads kernels
                found[mode].append((seconds, waits.seconds, cpu))
    return found


def main(length, d, n, repeats):
    """Print a line for each mode, of rank 0."""
    import numba
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    dist.init_process_group("gloo")
    every = [None] * dist.get_world_size()
    dist.all_gather_object(every, measure(problem(length, d, n), repeats))
    if dist.get_rank() == 0:
        print(f"{len(every)} rank(s) on {os.cpu_count()} cores, (1, {d}, {length}, {n}) on each")
        alone = column(every, "alone", 0), column(every, "alone", 2)
        for mode in MODES:
            seconds, cpu = column(every, mode, 0), column(every, mode, 2)
            shares = [waits / seconds for rank in every for seconds, waits, _ in rank[mode]]
            print(
                f"{mode:<7} {statistics.median(seconds) * 1e3:7.0f} ms  least "
                f"{min(seconds) * 1e3:7.0f} ms  {ratio(seconds, alone[0]):5.2f} x alone  "
                f"CPU {ratio(cpu, alone[1]):5.2f} x alone  waiting {statistics.median(shares):6.1%}"
            )
    dist.destroy_process_group()


def column(every, mode, i):
    """The i-th number of each step of a mode, of the rank in which it is largest."""
    return [max(x) for x in zip(*([x[i] for x in rank[mode]] for rank in every), strict=True)]


def ratio(numbers, others):
    """The median of the ratios of steps that were run after one another."""
    return statistics.median(x / y for x, y in zip(numbers, others, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=65536)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    main(**vars(parser.parse_args()))
