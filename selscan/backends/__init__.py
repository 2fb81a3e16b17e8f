"""Backends and how one is chosen: the argument, `use`, SELSCAN_BACKEND, the arrays' device."""

import contextlib
import contextvars
import functools
import importlib
import os
from typing import NamedTuple

from ..errors import BackendUnavailable

# In the order of preference; each is a package of this folder.
NAMES = ("cpu", "cupy", "numba_cuda")
DEVICES = {"cpu": "cpu", "cupy": "cuda", "numba_cuda": "cuda"}
_FIRST = {DEVICES[name]: name for name in reversed(NAMES)}
NOT_YET = {
    "numba_cuda": "CUDA through Numba is not part of this version; move the arrays to the CPU",
}

_ONE_OF = f"one of {', '.join(NAMES)}"
_in_use = contextvars.ContextVar("selscan_backend", default=None)


class BackendInfo(NamedTuple):
    """A backend on this machine."""

    name: str
    usable: bool
    reason: str  # why it is not usable and what would help; empty if it is
    detail: str  # one line about the hardware it found; empty if not usable


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
        raise TypeError(f"{function}: {argument} must be {_ONE_OF}; got {got}.")
    if name not in NAMES:
        raise ValueError(f"{function}: {argument} must be {_ONE_OF}; got {name!r:.40}.")
    return name


def choose(function, requested, device):
    """The backend module for arrays on `device` ("cpu", "cuda:0", ...)."""
    kind = device.partition(":")[0]
    source, name = "backend", requested
    if name is None:
        source, name = "the backend of selscan.use", _in_use.get()
    if name is None:
        source, name = "SELSCAN_BACKEND", os.environ.get("SELSCAN_BACKEND") or None
    if name is None:
        name = _FIRST.get(kind)
        if name is None:
            raise BackendUnavailable(
                f"{function}: no backend works on {kind} arrays; move them to the CPU."
            )
    elif DEVICES[check_name(function, source, name)] != kind:
        raise ValueError(
            f"{function}: {source} must be one for arrays on {device}; got {name!r}, which works "
            f"on {DEVICES[name]} arrays."
        )
    return load(function, name)


def load(function, name):
    """The module of a backend that works here, or BackendUnavailable with the reason."""
    module, reason = _import(name)
    if module is None:
        raise BackendUnavailable(f"{function}: backend {name!r} cannot be used: {reason}.")
    return module


@functools.cache
def _import(name):
    """The module, or None and the reason; anything may go wrong in a foreign import."""
    if name in NOT_YET:
        return None, NOT_YET[name]
    try:
        module = importlib.import_module(f".{name}", __name__)
        module.check()
        return module, ""
    except BackendUnavailable as error:
        return None, str(error).removeprefix("selscan: ").removesuffix(".")
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def usable(name):
    """Whether a backend works here."""
    return _import(name)[0] is not None


def list_backends():
    """All backends, whether each can be used on this machine, and if not, why and what helps.

    Returns
    -------
    list of BackendInfo

    Examples
    --------
    >>> import selscan
    >>> selscan.list_backends()[0].name
    'cpu'
    """
    infos = []
    for name in NAMES:
        module, reason = _import(name)
        detail = module.detail() if module else ""
        infos.append(BackendInfo(name, module is not None, reason, detail))
    return infos
