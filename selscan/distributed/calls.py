"""The public functions: documentation, and all that is checked before ranks talk to each other."""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from .. import api
from ..messages import describe, fail
from ..ops import contract
from ..ops import scan as ops
from ..torch.autograd import records, transforming
from ..torch.operators import FRAMEWORK, run_as_it_is
from .agreement import agreement_of
from .borders import Halo
from .gathered import GatheredScan
from .links import Line
from .local import STATE
from .ring import RingScan

_MODES = {"gather": GatheredScan, "ring": RingScan}
SCAN, HALO = "distributed.scan", "distributed.halo"
_PLAIN = (torch.Tensor, torch.nn.Parameter)


class Call(NamedTuple):
    """A scan of one piece, but for its tensors."""

    line: Line
    options: ops.Switches
    backend: str | None
    problem: contract.Problem
    y: Any  # Output
    recorded: bool
    wants_last: bool

    @property
    def state(self):
        """Shape and dtype of a state."""
        return self.problem.state_shape, getattr(torch, self.problem.state_dtype)

    @property
    def real(self):
        """The dtype of the arithmetic."""
        return getattr(torch, self.problem.real)

    @property
    def time(self):
        """The axis of time in u."""
        return 1 if self.options.layout == "bld" else 2

    def request(self, inputs, options=None):
        return request(inputs, options or self.options, self.backend, self.recorded)


def request(inputs, options, backend, recorded):
    operator = "scan_backward" if recorded else "scan"
    return ops.request(SCAN, FRAMEWORK, inputs, options, backend, operator)


def scan(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    *,
    group=None,
    mode="gather",
    delta_softplus=False,
    initial_state=None,
    return_last_state=False,
    return_states_at=None,
    reverse=False,
    seq_idx=None,
    layout="bdl",
    out_dtype=None,
    backend=None,
):
    """`selscan.scan` of one sequence that is cut along time over the ranks of a group.

    Each rank gives the steps that follow those of the rank before, any number of them, and gets its
    steps of y. All ranks of the group make the same call, and the same backward.

    Parameters
    ----------
    u, delta, B, C, z, seq_idx : torch.Tensor
        This rank's steps, as `selscan.scan` takes them.
    A, D, delta_bias, and B or C constant in time : torch.Tensor
        The same on every rank.
    group : torch.distributed.ProcessGroup, optional
        The ranks, in the order of their steps; all of them if not given.
    mode : {"gather", "ring"}
        Every rank scans twice, and all exchange the states of their pieces in between; or each
        waits for the state of the rank before, in slices of batch and channels, and y has the bits
        that one process computes.
    initial_state : torch.Tensor, (b, d, n), optional
        For the first piece, rank 0, or the last rank with ``reverse=True``; None on the others.
    return_last_state : bool
        Every rank gets the state after the last piece.
    reverse : bool
        The scan begins at the end of the last rank's piece.
    return_states_at : None
        States within a piece are not to be had; cut the piece in two calls of `selscan.scan`.
    delta_softplus, layout, out_dtype, backend
        As in `selscan.scan`. Where `seq_idx` changes between two ranks the state restarts, too.

    Returns
    -------
    y : torch.Tensor
        This rank's steps.
    last_state : torch.Tensor, (b, d, n)
        Only with ``return_last_state=True``.

    Raises
    ------
    ValueError, TypeError, BackendUnavailable
        As `selscan.scan` does, before anything is sent; and on every rank where they differ in what
        they must share.
    RuntimeError
        A rank is gone, or has not come within the timeout of the group.

    Notes
    -----
    The loss that is differentiated is the sum of the losses of all ranks. Gradients of u, delta,
    B, C and z are whole. Those of A, D, delta_bias and of B and C constant in time are the share of
    this piece: their sum over the ranks is what one process has, and the caller makes it;
    DistributedDataParallel takes the mean, which is right if each rank's loss is the mean over its
    own steps and all have as many.

    Examples
    --------
    >>> import torch, torch.distributed as dist
    >>> import selscan
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> u, delta = torch.rand(2, 2, 8, 64)
    >>> A, (B, C) = -torch.rand(8, 16), torch.rand(2, 2, 16, 64)
    >>> selscan.distributed.scan(u, delta, A, B, C, mode="ring").shape
    torch.Size([2, 8, 64])
    >>> dist.destroy_process_group()
    """
    inputs = (u, delta, A, B, C, D, z, delta_bias, initial_state, seq_idx)
    if return_states_at is not None:
        hint = " The state after the last piece is had by return_last_state."
        fail(SCAN, "return_states_at", "None", describe(return_states_at), hint)
    switches = delta_softplus, reverse, layout, out_dtype
    call = _call(inputs, switches, backend, group, mode, return_last_state)
    if call is None:
        *arrays, initial_state, seq_idx = inputs
        return api.scan(
            *arrays,
            initial_state=initial_state,
            seq_idx=seq_idx,
            delta_softplus=delta_softplus,
            reverse=reverse,
            layout=layout,
            out_dtype=out_dtype,
            backend=backend,
            return_last_state=return_last_state,
        )
    y, last = _MODES[mode].apply(call, *inputs)
    return (y, last) if return_last_state else y


def _call(inputs, switches, backend, group, mode, wants_last):
    """The Call, on which all ranks agree; None in a group of one."""
    group = _group(SCAN, group)
    _check_mode(mode)
    contract.check_flags(SCAN, return_last_state=wants_last)
    options = ops.switches(SCAN, *switches, FRAMEWORK)
    ops.check_arrays(SCAN, FRAMEWORK, contract.ARGUMENTS, inputs)
    _check_plain(SCAN, zip(contract.ARGUMENTS, inputs, strict=True))
    recorded = records(inputs)
    _, problem, y, *_ = ops.check_forward(request(inputs, options, backend, recorded))
    agreement = agreement_of(group)
    if agreement.size == 1:
        return None
    _check_initial_state(inputs[STATE], agreement, options.reverse)
    facts = _facts(problem, inputs, recorded, wants_last)
    line = _line(SCAN, group, agreement, options.reverse, mode, *facts)
    return Call(line, options, backend, problem, y, recorded, wants_last)


def _line(function, group, agreement, reverse, kind, sizes, options):
    """The Line of a call, once all ranks have the same facts."""
    found = agreement.fingerprint(function, kind, sizes, options)
    return Line(function, group, agreement, reverse, found, agreement.number())


def _facts(problem, inputs, recorded, wants_last):
    """What ranks must share: what sizes of buffers depend on, and the rest."""
    b, d, n = problem.state_shape
    given = [x for x, v in zip(contract.ARGUMENTS, inputs, strict=True) if v is not None]
    sizes = {"batch": b, "d": d, "n": n, "g": problem.groups, "state": problem.state_dtype}
    sizes["seq_idx"] = "seq_idx" in given
    options = {
        "delta_softplus": problem.softplus,
        "reverse": problem.reverse,
        "return_last_state": wants_last,
        "requires_grad": recorded,
        "given": " ".join(x for x in given if x != "initial_state"),
        "constant": " ".join(
            x for x, v in (("B", problem.constant_b), ("C", problem.constant_c)) if v
        ),
    }
    return sizes, options


def halo(x, width, group=None, *, reverse=False):
    """x with the last steps of the pieces before it in front, which a causal convolution needs.

    Parameters
    ----------
    x : torch.Tensor, (..., l)
        This rank's steps of a sequence, time last, any number of them.
    width : int
        How many steps are added; those before the beginning are zero.
    group : torch.distributed.ProcessGroup, optional
        The ranks, in the order of their steps; all of them if not given.
    reverse : bool
        Whether the steps behind are added at the end instead.

    Returns
    -------
    torch.Tensor, (..., width + l)
        Gradients of what was added go back to the rank that it came from.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As in `scan`.

    Examples
    --------
    >>> import torch, torch.distributed as dist
    >>> import selscan
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> selscan.distributed.halo(torch.ones(1, 3), 2)
    tensor([[0., 0., 1., 1., 1.]])
    >>> dist.destroy_process_group()
    """
    group = _group(HALO, group)
    contract.check_flags(HALO, reverse=reverse)
    if type(width) is not int or width < 0:
        fail(HALO, "width", "an integer of at least 0", describe(width))
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{HALO}: x must be a torch tensor; got {describe(x)}.")
    _check_plain(HALO, [("x", x)])
    if x.dim() == 0:
        fail(HALO, "x", "(..., l)", "()")
    sizes = {"shape": list(x.shape[:-1]), "dtype": str(x.dtype), "width": width}
    options = {"reverse": reverse, "requires_grad": records((x,))}
    line = _line(HALO, group, agreement_of(group), reverse, "halo", sizes, options)
    return Halo.apply(line, width, x)


def _group(function, group):
    """The group, the default one if None."""
    if not dist.is_available() or not dist.is_initialized():
        raise RuntimeError(
            f"{function}: torch.distributed must be initialised; call "
            "torch.distributed.init_process_group first."
        )
    if group is None:
        return dist.group.WORLD
    if not isinstance(group, dist.ProcessGroup):
        got = describe(group)
        hint = " Is this rank not in it?" if group is dist.GroupMember.NON_GROUP_MEMBER else ""
        raise TypeError(
            f"{function}: group must be a torch.distributed.ProcessGroup; got {got}.{hint}"
        )
    return group


def _check_mode(mode):
    if not isinstance(mode, str) or mode not in _MODES:
        got = f"{mode!r:.40}" if isinstance(mode, str) else describe(mode)
        fail(SCAN, "mode", "'gather' or 'ring'", got)


def _check_initial_state(state, agreement, reverse):
    first = agreement.size - 1 if reverse else 0
    if state is not None and agreement.rank != first:
        got = f"a tensor on rank {agreement.rank}"
        fail(SCAN, "initial_state", f"None but on rank {first}, which has the first steps", got)


def _check_plain(function, tensors):
    """Raise for what has no data of its own on this rank, or stands for more than that."""
    if transforming():
        raise RuntimeError(f"{function}: transforms of torch.func are not supported.")
    for name, x in tensors:
        if x is not None and (type(x) not in _PLAIN or x.is_meta):
            got = "a meta tensor" if type(x) in _PLAIN else describe(x)
            raise TypeError(f"{function}: {name} must be a plain tensor with data; got {got}.")


for _function in (scan, halo):
    # Under torch.compile the graph breaks here: sends and receives are no part of it.
    _function._torchdynamo_disable = True
    run_as_it_is(_function)
