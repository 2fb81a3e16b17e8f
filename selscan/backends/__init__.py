"""Backends: what one is, and how one is chosen.

The first that says so decides: the argument `backend`, `use`, the environment variable
SELSCAN_BACKEND, and otherwise the device of the arrays and the operator that is asked for.
"""

import contextlib
import contextvars
import functools
import importlib
import os
from typing import Any, NamedTuple, Protocol

from ..errors import BackendUnavailable
from .forks import lock

# Numba's simulator, for tests: its arrays have device "cudasim:0", on which no other backend works.
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
# Each is a package of this folder, with the arrays that it works on; in the order of preference.
DEVICES = {"cpu": "cpu", "cupy": "cuda", "numba_cuda": "cudasim" if SIMULATED else "cuda"}

_SUMS = ("backward_plan", "states_size", "backward_parts", "backward_scratch", "sum_plan")
# Operators, and the functions of a Backend that each needs besides `launch`.
OPERATORS = {
    "scan": ("forward_plan", "forward_scratch"),
    "scan_backward": (
        "forward_plan",
        "forward_scratch",
        *_SUMS,
    ),  # of the states that its own forward has kept
    "scan_step": ("step_plan",),
    "scan2d": ("forward_plan", "forward_scratch"),
    "scan2d_backward": ("forward_plan", "forward_scratch", *_SUMS),
    "gather": ("move_plan",),
    "scatter": ("move_plan",),
    "orders_per_sample": ("orders_plan",),  # of the three above
}

_in_use = contextvars.ContextVar("selscan_backend", default=None)


class Backend(Protocol):
    """What a package of this folder has, as functions of the package.

    A plan is all of a call but its addresses: made once for shapes, strides, dtypes and options,
    and kept. What it looks like is the backend's own affair. `problem` is a checked call
    (ops/contract.py), `operands` says where each array lies: name -> (Layout, Axes). Gradients have
    the names of their inputs with a d in front. Only functions of the operators in SERVES are
    called.
    """

    SERVES: frozenset[str]  # of OPERATORS
    # Whether plans of scans have the operands `states_at` and `dstates_at`, the states that are
    # wanted after `problem.positions`; of a backend without, scans are cut there (ops/pieces.py),
    # for a gradient only if it has sum_plan. Of a later piece the operand seq_idx has one step more
    # than `problem.length`, the one before the first: a state is left out at a change there too.
    STOPS: bool = False

    def check(self) -> None:
        """Raise BackendUnavailable, with the reason and what helps, where no kernel could run."""

    def detail(self) -> str:
        """One line for people about the hardware; only called where `check` passed."""

    def launch(self, plan: Any, addresses: Any, runs_on: int | None = None) -> None:
        """Start the kernels of a plan on operands at these addresses.

        `runs_on` is what the library of the arrays works on: a stream of CUDA, or on the CPU a
        number of threads, if it has one of its own.

        `addresses` are by name: those of `operands`, "states" and "carries", for gather and scatter
        "source" and "result"; for a sum_plan they are pairs (parts, result). Orders per sample,
        checked, are "path". False is returned where a check has found a wrong one; on CUDA nobody
        waits for that, and it ends all work of the process on the device.
        """

    def forward_plan(self, problem: Any, operands: dict) -> Any:
        """Of a scan, along a path if the problem has one; keeps states if given their address."""

    def forward_scratch(self, problem: Any, operands: dict) -> int:
        """Elements, all real, that a forward needs besides, under the name "carries"."""

    def step_plan(self, problem: Any, operands: dict) -> Any:
        """Of one step; the state is `initial_state` and, as it is afterwards, `last_state`."""

    def move_plan(self, moved: Any) -> Any:
        """Of a gather or a scatter (ops/path_contract.py)."""

    def orders_plan(self, layout: Any, pixels: int, device: str) -> Any:
        """Of the check of orders per sample, a table (b, k, l) for maps of so many pixels.

        It copies "source" to "result", int32 and in C order, with -1 for what is no pixel.
        """

    def states_size(self, problem: Any) -> int:
        """Elements, all real, of the states that a forward keeps for the backward."""

    def backward_plan(self, problem: Any, operands: dict, part_steps: dict) -> Any:
        """Of all gradients; `part_steps`: dB and dC, if in parts -> bytes between two parts."""

    def backward_parts(self, problem: Any) -> tuple[int, int]:
        """In how many parts dB and dC are written, and the gradients of what has no batch axis."""

    def backward_scratch(self, problem: Any) -> int:
        """Elements, all real, that a backward needs besides, under the name "carries"."""

    def sum_plan(self, problem: Any, pairs: list) -> Any:
        """Of the sums over the first axis of parts, for pairs of Layouts (parts, result).

        None where the library of the arrays adds up.
        """


class BackendInfo(NamedTuple):
    """A backend on this machine."""

    name: str
    usable: bool
    reason: str  # why it is not usable and what would help; empty if it is
    detail: str  # one line about the hardware it found; empty if not usable
    serves: tuple[str, ...] = ()  # the operators that it has


def use(name):
    """Use one backend for all calls inside a ``with`` block.

    Parameters
    ----------
    name : str
        One of ``cpu``, ``cupy``, ``numba_cuda``. The ``backend`` argument of a call goes first.

    Raises
    ------
    ValueError
        No such backend.
    TypeError
        Not a string.

    Examples
    --------
    >>> import numpy as np, selscan
    >>> u, A = np.ones((1, 1, 2), np.float32), np.zeros((1, 1), np.float32)
    >>> with selscan.use("cpu"):
    ...     selscan.scan(u, u, A, u, u)
    array([[[1., 2.]]], dtype=float32)
    """
    return _using(check_name("use", "name", name))  # an error comes at the call, not at `with`


@contextlib.contextmanager
def _using(name):
    token = _in_use.set(name)
    try:
        yield
    finally:
        _in_use.reset(token)


def check_name(function, argument, name):
    """The name of a backend, or an error that lists them."""
    if not isinstance(name, str):
        got = f"an object of type {type(name).__name__}"
        raise TypeError(f"{function}: {argument} must be {_one_of()}; got {got}.")
    if name not in DEVICES:
        raise ValueError(f"{function}: {argument} must be {_one_of()}; got {name!r:.40}.")
    return name


def _one_of():
    return f"one of {', '.join(DEVICES)}"


def choose(function, operator, requested, device):
    """The backend for an operator on arrays on `device` ("cpu", "cuda:0", ...)."""
    source, name = "backend", requested
    if name is None:
        source, name = "the backend of selscan.use", _in_use.get()
    if name is None:
        source, name = "SELSCAN_BACKEND", os.environ.get("SELSCAN_BACKEND") or None
    kind = device.partition(":")[0]
    if name is None:
        return _first(operator, kind) or _refuse(function, operator, device)
    if DEVICES[check_name(function, source, name)] != kind:
        raise ValueError(
            f"{function}: {source} must be one for arrays on {device}; got {name!r}, which works "
            f"on {DEVICES[name]} arrays."
        )
    module, reason = _import(name)
    if reason:
        raise _unusable(function, kind, operator, {name: reason})
    if operator not in module.SERVES:
        those = ", ".join(_having(operator, kind)) or f"none works on {kind} arrays"
        raise BackendUnavailable(
            f"{function}: {source} must be one that has {operator} ({those}); got {name!r}."
        )
    return module


@functools.cache
def _first(operator, kind):
    """The first that has the operator and can be used; None if there is none."""
    for name in _having(operator, kind):
        module, reason = _import(name)
        if not reason:
            return module
    return None


def _refuse(function, operator, device):
    """Raise for arrays on a device that no backend serves, with the reasons of those that could."""
    kind = device.partition(":")[0]
    having = [*_having(operator, kind)]
    if having:
        raise _unusable(function, kind, operator, {name: _import(name)[1] for name in having})
    if kind in DEVICES.values():
        raise BackendUnavailable(
            f"{function}: no backend for arrays on {device} has {operator}; move the arrays to the "
            "CPU."
        )
    raise BackendUnavailable(
        f"{function}: no backend works on {kind} arrays; move them to the CPU."
    )


def _unusable(function, kind, operator, reasons):
    """The error for backends that cannot be used; it names those that can."""
    text = "; ".join(f"backend {name!r} cannot be used: {why}" for name, why in reasons.items())
    others = [name for name in _having(operator, kind) if not _import(name)[1]]
    hint = f" There is {', '.join(others)} for {kind} arrays." if others else ""
    return BackendUnavailable(f"{function}: {text}.{hint}")


def _having(operator, kind):
    """Names of the backends for such arrays that have an operator, whether or not they can run.

    Of one that cannot be imported nobody knows.
    """
    for name, works_on in DEVICES.items():
        if works_on == kind:
            module, _ = _import(name)
            if module is None or operator in module.SERVES:
                yield name


@functools.cache
def _import(name):
    """The module and why it cannot be used, empty if it can; None for a module that is not there.

    Anything may go wrong in a foreign import.
    """
    module = None
    try:
        with lock:
            module = importlib.import_module(f".{name}", __name__)
        module.check()
        return module, ""
    except BackendUnavailable as error:
        return module, str(error).removeprefix("selscan: ").removesuffix(".")
    except Exception as error:
        return module, f"{type(error).__name__}: {error}"


def forget():
    """Find out about backends anew: something was installed or, in a test, replaced."""
    _import.cache_clear()
    _first.cache_clear()


def usable(name):
    """Whether a backend works here."""
    return not _import(name)[1]


def _detail(module):
    """What a backend says of its hardware; a driver may fail at the question."""
    try:
        return module.detail()
    except Exception as error:
        return f"its hardware cannot be asked: {type(error).__name__}: {error}"


def list_backends():
    """All backends, whether each can be used on this machine, and if not, why and what helps.

    Returns
    -------
    list of BackendInfo
        In the order in which they are tried, with the operators that each one has.

    Examples
    --------
    >>> import selscan
    >>> selscan.list_backends()[0].name
    'cpu'
    """
    infos = []
    for name in DEVICES:
        module, reason = _import(name)
        detail = "" if reason else _detail(module)
        serves = tuple(x for x in OPERATORS if module is not None and x in module.SERVES)
        infos.append(BackendInfo(name, not reason, reason, detail, serves))
    return infos
