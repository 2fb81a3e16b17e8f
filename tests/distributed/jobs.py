"""What the processes of ranks.py do; each function runs on every rank of a group.

Imports that few jobs need are inside of functions: a process starts in less time.
"""

import os
import time
from datetime import timedelta

import torch
import torch.distributed as dist

from selscan import distributed
from selscan.distributed import local
from selscan.distributed.agreement import agreement_of
from selscan.nn import BiMamba, Mamba

KEPT = []  # groups
WITHOUT_GRADIENTS = ("seq_idx", "dy", "dlast")


def axis_of_time(name, x, layout):
    """Where a tensor of a scan has its time, None if it has none."""
    if name == "seq_idx":
        return 1
    if name in ("u", "delta", "z", "dy") or (name in ("B", "C") and x.dim() > 2):
        return x.dim() - 1 if layout == "bdl" else 1
    return None


def piece(name, x, start, end, layout):
    """The steps of a tensor from start to end."""
    axis = axis_of_time(name, x, layout)
    return x if axis is None else x.narrow(axis, start, end - start)


def share(group):
    """That of this rank in what is counted once; a sum in any order is exact."""
    return 0.5 if dist.get_rank(group) < 2 else 0.0


def pieces(group, tensors, options, cuts):
    """This rank's arguments."""
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    ends = cuts[rank : rank + 2]
    own = {x: piece(x, v, *ends, options["layout"]).detach() for x, v in tensors.items()}
    if rank != (size - 1 if options["reverse"] else 0):
        own.pop("initial_state", None)
    return own


def scan(group, tensors, options, cuts, mode="gather", use=("y", "last"), at_once=2**22):
    """y, the last state and gradients by name of this rank's piece.

    The loss is the sum of y * dy and of last_state * dlast, or of one of them; without the second
    one the last state is None. Temporary arrays have about `at_once` elements.
    """
    local._AT_ONCE["cpu"] = at_once
    own = pieces(group, tensors, options, cuts)
    dy, dlast = own.pop("dy"), own.pop("dlast")
    for name, x in own.items():
        x.requires_grad_(bool(use) and name not in WITHOUT_GRADIENTS)
    if use == ("y",):
        y, last = distributed.scan(**own, **options, group=group, mode=mode), None
    else:
        y, last = distributed.scan(**own, **options, group=group, mode=mode, return_last_state=True)
    terms = {"y": lambda: (y * dy).sum()}
    terms["last"] = lambda: share(group) * (last.conj() * dlast).sum().real
    if use:
        sum(terms[x]() for x in use).backward()
    last = last if last is None else last.detach()
    return y.detach(), last, {x: v.grad for x, v in own.items() if v.grad is not None}


def many_scans(group, count, mode, counted=("all_gather", "isend", "broadcast", "reduce"), **scans):
    """(calls, bytes) of each function of torch.distributed, and rounds at the store, of each."""
    found = []
    for _ in range(count):
        before = agreement_of(group).rounds
        with Counter(counted) as counter:
            scan(group, mode=mode, **scans)
        found.append((counter.found, agreement_of(group).rounds - before))
    return found


class Counter:
    """Counts calls of functions of torch.distributed, and the bytes of what this rank gives.

    Or of the largest tensor: what is gathered, and what is reduced, as a whole.
    """

    def __init__(self, names, largest=False):
        self.found, self.largest = dict.fromkeys(names, (0, 0)), largest

    def __enter__(self):
        self.before = {name: getattr(dist, name) for name in self.found}
        for name, function in self.before.items():
            setattr(dist, name, self.counting(name, function))
        return self

    def __exit__(self, *_):
        for name, function in self.before.items():
            setattr(dist, name, function)

    def counting(self, name, function):
        def call(*arguments, **options):
            calls, sent = self.found[name]
            given = [x for x in (*arguments, *options.values()) if torch.is_tensor(x)]
            tensor = max(given, key=lambda x: x.nbytes) if self.largest else given[0]
            self.found[name] = calls + 1, sent + tensor.nbytes
            return function(*arguments, **options)

        return call


def halo(group, x, cuts, width, reverse, dy):
    """A piece with its halo, and its gradient where dy is that of all pieces."""
    rank = dist.get_rank(group)
    own = x[..., cuts[rank] : cuts[rank + 1]].clone().requires_grad_()
    y = distributed.halo(own, width, group, reverse=reverse)
    y.backward(dy[rank])
    return y.detach(), own.grad


def mixer(group, kind, options, weights, x, dy, cuts):
    """y, and the gradients of a piece and of the weights, of a mixer over the group."""
    rank = dist.get_rank(group)
    made = {"Mamba": Mamba, "BiMamba": BiMamba}[kind](**options, group=group)
    made.load_state_dict(weights)
    own = x[:, cuts[rank] : cuts[rank + 1]].clone().requires_grad_()
    y = made(own)
    y.backward(dy[:, cuts[rank] : cuts[rank + 1]])
    return y.detach(), own.grad, {name: v.grad for name, v in made.named_parameters()}


def compiled(group, tensors, options, cuts):
    """y and the gradient of u of a compiled function around a scan, and of the same not compiled.

    With fullgraph=True it raises, with what message is the third.
    """
    own = pieces(group, tensors, options, cuts)
    dy = own.pop("dy")
    del own["dlast"]
    u = own.pop("u")

    def function(u):
        x = distributed.halo(u.sin(), 2, group)[..., 2:]
        return 3 * distributed.scan(x, **own, **options, group=group).square()

    def outcome(function):
        leaf = u.clone().requires_grad_()
        y = function(leaf)
        y.backward(dy)
        return y.detach(), leaf.grad

    message = ""
    try:
        torch.compile(function, fullgraph=True, backend="eager")(u)
    except torch._dynamo.exc.Unsupported as error:
        message = str(error)
    return outcome(torch.compile(function, backend="aot_eager")), outcome(function), message


def checkpointed(group, tensors, options, cuts, mode):
    """The gradient of u through torch.utils.checkpoint, in both of its ways, and without it."""
    from torch.utils.checkpoint import checkpoint

    own = pieces(group, tensors, options, cuts)
    dy = own.pop("dy")
    del own["dlast"]
    u = own.pop("u")

    def function(u):
        return distributed.scan(u.sin(), **own, **options, group=group, mode=mode)

    def gradient(call):
        leaf = u.clone().requires_grad_()
        call(leaf).backward(dy)
        return leaf.grad

    ways = [lambda x, way=way: checkpoint(function, x, use_reentrant=way) for way in (True, False)]
    return [gradient(way) for way in (function, *ways)]


def refused(group, function="scan", own=(), **arguments):
    """The error of a call, `own` arguments of this rank before those of all."""
    arguments = arguments | dict(own)
    if arguments.get("u") == "meta":
        arguments["u"] = torch.ones(1, 2, 3, device="meta")
    try:
        getattr(distributed, function)(**arguments, group=arguments.pop("group", group))
    except Exception as error:
        return type(error).__name__, str(error)
    return None


def twice(group, own, **arguments):
    """The error of the second of two calls; arguments of the first on this rank are `own`."""
    distributed.scan(**arguments, group=group)
    return refused(group, own=own, **arguments)


def create_graph(group, **arguments):
    """The error of a second derivative."""
    u = arguments.pop("u").requires_grad_()
    y = distributed.scan(u, **arguments, group=group)
    try:
        torch.autograd.grad(y.sum(), u, create_graph=True)
    except RuntimeError as error:
        return str(error)
    return None


def alone(group, what, absent, mode, timeout, **arguments):
    """The error, and the seconds until it comes, where one rank does not do its part.

    "first call", "call": it makes no call, the first one or the second; "backward": it runs none;
    "end": its process ends.
    """
    own = dist.new_group(range(dist.get_world_size(group)), timeout=timedelta(seconds=timeout))
    is_absent = dist.get_rank(group) == absent
    u, error, start = arguments.pop("u").requires_grad_(), None, time.monotonic()
    try:
        if what != "first call":
            y = distributed.scan(u, **arguments, group=own, mode=mode)
        start = time.monotonic()
        if is_absent and what == "end":
            os._exit(3)
        if not is_absent and what != "backward":
            distributed.scan(u, **arguments, group=own, mode=mode)
        elif not is_absent:
            y.sum().backward()
    except Exception as caught:
        error = type(caught).__name__, str(caught), time.monotonic() - start
    # A group that lost its messages is not waited for.
    KEPT.append(own)
    return error


def count_halo(group, x, width):
    """What a halo and its gradient send."""
    with Counter(["isend"]) as counter:
        distributed.halo(x.requires_grad_(), width, group).sum().backward()
    return counter.found
