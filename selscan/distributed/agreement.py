"""What the ranks of a group must have in common, looked at before they exchange anything.

A buffer of another size than expected ends the process in gloo, and hangs or gives wrong numbers in
NCCL. So ranks compare what sizes depend on through the store of their group, whenever it is not
what it was in the call before: in training that is the first call. What else must be the same is
compared then, too, and travels as a fingerprint at the head of every buffer.

A rank whose sizes are as before goes on without a look at the store. It then meets only ranks of
which that is true as well: the others wait at the store, until the group's timeout is over.
"""

import hashlib
import json
import weakref

import torch.distributed as dist

_GROUPS = weakref.WeakKeyDictionary()


class Agreement:
    """What the ranks of one group have told each other."""

    def __init__(self, group):
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.store, self.timeout = group.get_group_store(), timeout_of(group)
        self.rounds = self.calls = 0
        self.sizes = {}  # kind of a call -> what sizes depend on, in its last one
        self.texts = {}  # fingerprint -> all that a call must share

    def number(self):
        """Of a call: the same one on every rank, if they make the same calls."""
        self.calls += 1
        return self.calls

    def fingerprint(self, function, kind, sizes, options):
        """Of a call; ranks are asked for theirs if it is new, or if the sizes are."""
        text = json.dumps(sizes | options)
        found = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)
        if self.sizes.get(kind) != sizes or found not in self.texts:
            self.sizes[kind] = None
            self._compare(function, [json.loads(x) for x in self._exchange(function, text)])
            self.sizes[kind], self.texts[found] = sizes, text
        return found

    def _exchange(self, function, text):
        """The texts of all ranks."""
        self.rounds += 1
        keys = [f"selscan/{self.rounds}/{rank}" for rank in range(self.size)]
        self.store.set(keys[self.rank], text)
        try:
            self.store.wait(keys, self.timeout)
        except RuntimeError as error:
            raise RuntimeError(
                f"{function}: every rank of the group must make the same call; not all of them did "
                f"within {self.timeout.total_seconds():.0f} s. This one has {text}."
            ) from error
        texts = [self.store.get(key).decode() for key in keys]
        # All have come to this round, so nobody reads the last one any more.
        self.store.delete_key(f"selscan/{self.rounds - 1}/{self.rank}")
        return texts

    def _compare(self, function, all_facts):
        """Raise for the first thing in which a rank differs from this one."""
        own = all_facts[self.rank]
        for rank, facts in enumerate(all_facts):
            for name in own | facts:
                mine, other = own.get(name), facts.get(name)
                if mine != other:
                    raise ValueError(
                        f"{function}: {name} must be the same on every rank; got {mine!r} on rank "
                        f"{self.rank} and {other!r} on rank {rank}."
                    )

    def check(self, function, rank, expected, found):
        """Raise unless what a rank has sent is of the same call: fingerprint, number, direction."""
        if found != expected:
            own, other = (self.texts.get(x[0], "a call of its own") for x in (expected, found))
            raise RuntimeError(
                f"{function}: every rank must make the same calls in the same order; rank "
                f"{self.rank} is at number {expected[1]} with {own}, rank {rank} at number "
                f"{found[1]} with {other}."
            )


def agreement_of(group):
    """The Agreement of a group."""
    found = _GROUPS.get(group)
    if found is None:
        found = _GROUPS[group] = Agreement(group)
    return found


def timeout_of(group):
    """Of its collectives, for which torch has no public name."""
    try:
        return group._get_backend(group._device_types[0]).options._timeout
    except (AttributeError, IndexError, RuntimeError):
        return group.get_group_store().timeout
