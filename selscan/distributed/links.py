"""The line of ranks in which a call visits the pieces, and messages along it."""

from typing import Any, NamedTuple

import torch.distributed as dist

FORWARD, BACKWARD = 0, 1


class Line(NamedTuple):
    """The ranks of a group in the order in which one call visits their pieces."""

    function: str  # its name in messages
    group: Any
    agreement: Any
    reverse: bool
    fingerprint: int
    number: int

    @property
    def size(self):
        return self.agreement.size

    @property
    def place(self):
        """That of this rank."""
        return self.rank(self.agreement.rank)

    def rank(self, place):
        """The rank at a place, or the place of a rank."""
        return self.size - 1 - place if self.reverse else place

    def pack(self, parcel, direction, steps, tensors):
        """A buffer of this call."""
        return parcel.pack([self.fingerprint, self.number, direction, steps], *tensors)

    def unpack(self, parcel, direction, place, buffer):
        """(steps, tensors) of the buffer of a place; raises if it is one of another call."""
        head, tensors = parcel.unpack(buffer)
        expected = [self.fingerprint, self.number, direction]
        self.agreement.check(self.function, self.rank(place), expected, head[:3])
        return head[3], tensors


class Link:
    """From one neighbour in the line to the other: parcels come, and as many go, in turn.

    A rank at the end of the line receives None, or sends nothing.
    """

    def __init__(self, line, direction, parcels):
        self.line, self.direction, self.parcels = line, direction, parcels
        step = 1 if direction == FORWARD else -1
        self.source, self.target = line.place - step, line.place + step
        self.sent, self.waiting = [], []
        if 0 <= self.source < line.size:
            self.waiting = [self._ask(parcel) for parcel in parcels]

    def _ask(self, parcel):
        buffer, rank = parcel.empty(), self.line.rank(self.source)
        return dist.irecv(buffer, group=self.line.group, group_src=rank), buffer

    def receive(self, i=0):
        """(steps, tensors) of parcel i."""
        if not self.waiting:
            return None
        work, buffer = self.waiting[i]
        work.wait()
        return self.line.unpack(self.parcels[i], self.direction, self.source, buffer)

    def send(self, tensors, i=0, steps=0):
        """Parcel i, after those before it."""
        if 0 <= self.target < self.line.size:
            buffer = self.line.pack(self.parcels[i], self.direction, steps, tensors)
            rank = self.line.rank(self.target)
            # The buffer must live until it is sent.
            work = dist.isend(buffer, group=self.line.group, group_dst=rank)
            self.sent.append((work, buffer))

    def finish(self):
        """Wait until all is sent."""
        for work, _ in self.sent:
            work.wait()
