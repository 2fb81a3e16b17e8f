"""The runs of a path: stretches of a route whose pixel numbers grow by a constant stride.

A row is one run, and so are a column, every other pixel of a row, all of a map in row-major order
and a stretch of padding. Kernels that compute addresses, instead of reading one for each step from
the table, go run by run.
"""

from typing import NamedTuple

import numpy as np


class Runs(NamedTuple):
    """The runs of all routes: step position + i of a route visits pixel start + i stride.

    Of all ways to cut a route, this one has the fewest runs. Every step is in one, padding too.
    """

    table: np.ndarray  # (r, 4), int32: start, stride, count, position; padding: start -1, stride 0
    first: np.ndarray  # (k + 1,), int32: route k has the runs first[k] to first[k + 1] - 1

    @property
    def mean_length(self):
        """Steps in a run: how much is gained over a table that has every single step."""
        return float(self.table[:, 2].mean())


def find_runs(table):
    """The Runs of a table (k, l), read-only."""
    starts = run_starts(table)
    routes, positions = np.nonzero(starts)
    # Positions in the flattened table tell where a run ends; no run goes on in the next route.
    flat = np.flatnonzero(starts)
    counts = np.diff(flat, append=table.size)
    pixels = table.ravel()
    strides = np.where(counts > 1, pixels[np.minimum(flat + 1, table.size - 1)] - pixels[flat], 0)
    runs = np.stack([pixels[flat], strides, counts, positions], axis=1).astype(np.int32)
    first = np.searchsorted(routes, np.arange(len(table) + 1)).astype(np.int32)
    for array in (runs, first):
        array.setflags(write=False)
    return Runs(runs, first)


def run_starts(table):
    """True (k, l) where a run starts.

    A run takes its second step at any stride and ends where the stride changes: at a bend. So the
    first of several bends in a row starts a run, the second is its second step, the third starts
    the next one, and so on. Where padding begins or ends, a run starts in any case.
    """
    k, l = table.shape
    padding = table < 0
    edge = np.ones((k, l), bool)
    edge[:, 1:] = padding[:, 1:] != padding[:, :-1]
    bend = edge.copy()
    strides = np.diff(table, axis=1)
    bend[:, 2:] |= strides[:, 1:] != strides[:, :-1]
    begins = bend.copy()
    begins[:, 1:] &= ~bend[:, :-1]
    steps = np.arange(l, dtype=np.int32)
    origin = np.maximum.accumulate(np.where(begins | edge, steps, 0), axis=1)
    return bend & ((steps - origin) % 2 == 0)
