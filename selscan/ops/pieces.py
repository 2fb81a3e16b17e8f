"""Scans that are cut where states are wanted, for backends whose kernels cannot stop there.

Each piece is a scan of its own: its last state is the state that is wanted, and the initial state
of the next piece. Nothing is copied: a piece is the same memory, some steps on.
"""

import functools
from typing import NamedTuple

from .piece_launches import Backward, Forward, Memory, padded, part_of, pieces_of, state_size


class Plan(NamedTuple):
    """Launches, one after the other."""

    launches: list
    if_kept: list | None = None  # these instead where states are kept for a backward


@functools.cache
def cutting(backend):
    """The Cut of a backend; always the same one, as requests are compared."""
    return Cut(backend)


class Cut:
    """A backend that launches a scan of another one for each piece."""

    NUMBERS = (0, 1)  # constants in memory that it asks for

    def __init__(self, backend):
        self.backend, self.SERVES, self.__name__ = backend, backend.SERVES, backend.__name__

    def launch(self, plan, addresses, runs_on=None):
        if not isinstance(plan, Plan):
            self.backend.launch(plan, addresses, runs_on)
            return
        kept = plan.if_kept is not None and "states" in addresses
        for launch in plan.if_kept if kept else plan.launches:
            if launch.needs is None or launch.needs in addresses:
                self._start(launch, addresses, runs_on)

    def _start(self, launch, addresses, runs_on):
        if isinstance(launch.operands, list):
            own = [tuple(addresses[x.name] + x.offset for x in pair) for pair in launch.operands]
        else:
            own = {
                name: addresses[x.name] + x.offset
                for name, x in launch.operands.items()
                if x.name in addresses
            }
        self.backend.launch(launch.plan, own, runs_on)

    def sum_plan(self, problem, pairs):
        return self.backend.sum_plan(problem, pairs)

    def forward_plan(self, problem, operands):
        made = [Forward(self.backend, problem, operands, keeps).made() for keeps in (False, True)]
        return Plan(*made)

    def forward_scratch(self, problem, operands):
        """Elements that the backend needs for a piece."""
        forward = Forward(self.backend, problem, operands, False)
        forward.made()
        return forward.scratch

    def states_size(self, problem):
        """Elements of what is kept: for each piece its initial state and what the backend keeps."""
        parts = (self.backend.states_size(part_of(problem, x)) for x in pieces_of(problem))
        return sum(padded(size) + padded(state_size(problem)) for size in parts)

    def backward_parts(self, problem):
        """dB and dC are whole; of others there are the parts of each piece."""
        parts = [self.backend.backward_parts(part_of(problem, x))[1] for x in pieces_of(problem)]
        return 1, sum(parts)

    def backward_plan(self, problem, operands, part_steps):
        return Plan(Backward(self.backend, problem, operands).made())

    def backward_scratch(self, problem):
        """Two gradients of a state, what the backend needs, and dB and dC in parts."""
        memory = Memory(self.backend, problem)
        return memory.size
