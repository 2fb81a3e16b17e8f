"""Times of single calls on a GPU, in us: by events, by replays of a CUDA graph, and of the host."""

import gc
import math
import time

import torch

SHORT = 50.0  # us: below this a call is timed in a graph, where no launch is waited for
IN_GRAPH = 20  # calls, at least: the launch of the graph itself does not count then
LONG = 10_000.0  # us: such a call is timed a few times only
CALLS, FEW = 10, 3  # of a sample
MOST = 300  # times of a function
ROOM = 3  # input sets take so many times the L2 cache together
MOST_SETS = 256
CYCLES = 2_000_000  # of waiting for each call of a batch: about a millisecond


def release():
    """Give back the memory of earlier calls and graphs."""
    gc.collect()
    torch.cuda.empty_cache()


def sets_for(size, cache):
    """How many sets of inputs of so many bytes the calls go through in turns."""
    return max(1, min(MOST_SETS, math.ceil(ROOM * cache / max(size, 1))))


def cache_size():
    """Bytes of the L2 cache."""
    return torch.cuda.get_device_properties(0).L2_cache_size


def warm_up(calls):
    """Each call once and the first one again, on a side stream, as capturing wants it.

    Returns the us that the last one takes, launches and all.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in calls:
            call()
        side.synchronize()
        start = time.perf_counter()
        calls[0]()
        side.synchronize()
    return 1e6 * (time.perf_counter() - start)


def queued(calls, count=CALLS):
    """Times of `count` calls, launched while the GPU waits, so that none waits for the host.

    One that launches for longer than the GPU waits is timed with what it waits for.
    """
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2 * count)]
    torch.cuda._sleep(CYCLES * count)
    for i in range(count):
        events[2 * i].record()
        calls[i % len(calls)]()
        events[2 * i + 1].record()
    torch.cuda.synchronize()
    pairs = zip(events[::2], events[1::2], strict=True)
    return [1e3 * start.elapsed_time(end) for start, end in pairs]


def replayed(calls):
    """A function that gives means over a replay of all calls, and keeps the graph."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]
    graph.replay()
    torch.cuda.synchronize()

    def times(count=CALLS):
        assert kept  # memory of the graph's results
        return [x / len(calls) for x in queued([graph.replay], count)]

    return times


class Clock:
    """Times of one function on its input sets, in several rounds."""

    def __init__(self, calls):
        self._calls, self.times = calls, []
        self._measure = lambda: queued(calls)
        self._long = warm_up(calls) > LONG
        if self._long:
            self.times = queued(calls, FEW)
        first = self.times or self._measure()
        self.expected = sorted(first)[len(first) // 2]
        self.in_graph = self.expected < SHORT
        if self.in_graph:
            self._measure = replayed(calls * math.ceil(IN_GRAPH / len(calls)))

    def round(self, seconds):
        """Some more times; a long call has no more."""
        end = time.perf_counter() + seconds
        while not self._long and len(self.times) < MOST:
            self.times += self._measure()
            if time.perf_counter() > end:
                return

    def eager(self):
        """Host and GPU together: us for each of some calls, one after the other."""
        count = 1 if self._long else min(200, int(1e5 / max(self.expected, 50.0)))
        torch.cuda.synchronize()
        start = time.perf_counter()
        for i in range(count):
            self._calls[i % len(self._calls)]()
        torch.cuda.synchronize()
        return 1e6 * (time.perf_counter() - start) / count


def peak(call):
    """MB that a call needs at most, results included."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    results = call()
    torch.cuda.synchronize()
    del results
    return (torch.cuda.max_memory_allocated() - before) / 1e6
