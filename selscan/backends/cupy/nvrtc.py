"""Kernels by name: pasted, compiled for the device, kept on disk, loaded. The face of this folder.

`kernel(file, name, device)` is one look-up once a kernel is loaded. The first call of a kernel
compiles it under a lock of its own, so many threads compile many kernels and none of them twice.
"""

import hashlib
import json
import os
import threading
import weakref

from ...errors import BackendUnavailable
from . import gpu
from .compiler import OPTIONS, find_nvrtc
from .instances import INSTANCES, listed
from .paste import SOURCES, paste
from .store import FORMAT, Store


class Loader:
    """The kernels of a list, from the sources of a folder, on the devices of a `gpu` module."""

    def __init__(self, instances, folder, gpu, store, find_nvrtc=find_nvrtc):
        self._instances, self._folder = instances, folder
        self._gpu, self._store, self._find_nvrtc = gpu, store, find_nvrtc
        self._nvrtc = None
        self._forked = False
        self._functions = {}  # by file, name, device; functions keep their modules loaded
        self._compiled = {}  # by key: the second device of a kind, or no disk
        self._renew_locks()
        _loaders.add(self)

    def kernel(self, file, name, device):
        """The function of an instance on a device (a number), as gpu.Function is.

        Raises
        ------
        KeyError
            It is not in the list of instances: a mistake of our own.
        BackendUnavailable
            CuPy, the driver or NVRTC is missing or does not fit.
        RuntimeError
            It does not compile (the log is a note of the error) or cannot be loaded.
        """
        function = self._functions.get((file, name, device))
        return self._load(file, name, device) if function is None else function

    def check(self):
        """Raise BackendUnavailable if no kernel could run on this machine; compiles nothing."""
        self._refuse_forked()
        self._find()

    def _load(self, file, name, device):
        file, name = listed(self._instances, file, name)
        self._refuse_forked()
        with self._locks.setdefault((file, name), threading.Lock()):
            function = self._functions.get((file, name, device))
            if function is None:
                function = self._new_function(file, name, device)
                self._functions[file, name, device] = function
        return function

    def _new_function(self, file, name, device):
        nvrtc = self._find()
        target = nvrtc.target(self._gpu.capability(device))
        compiled = self._compile(nvrtc, file, name, target)
        try:
            return self._gpu.load(compiled.image, compiled.lowered[name], device)
        except BackendUnavailable:
            raise
        except Exception as error:
            raise RuntimeError(
                f"selscan: {name} of {file}, compiled for {target} by {nvrtc}, cannot be loaded on "
                f"cuda:{device} ({type(error).__name__}: {error})."
            ) from error

    def _compile(self, nvrtc, file, name, target):
        """Compiled code from memory, from disk or from the compiler."""
        text = paste(file, self._folder)
        key = key_of(nvrtc.identity, text, (name,), target)
        compiled = self._compiled.get(key) or self._store.get(key, (name,))
        if compiled is None:
            compiled = nvrtc.compile(text, file, (name,), target)
            self._store.put(key, compiled)
        self._compiled[key] = compiled
        return compiled

    def _find(self):
        """The compiler for this machine's driver, found once."""
        if self._nvrtc is None:
            with self._finding:
                if self._nvrtc is None:
                    self._nvrtc = self._find_nvrtc(self._gpu.driver())
        return self._nvrtc

    def _refuse_forked(self):
        if self._forked:
            raise BackendUnavailable(
                "selscan: this process was forked after CUDA had started, which CUDA does not "
                "survive. Start workers with the 'spawn' or 'forkserver' method."
            )

    def after_fork(self):
        """In a child: another thread may have held a lock, and CUDA does not work any more."""
        self._renew_locks()
        if self._nvrtc is not None:  # CUDA was asked for devices
            self._forked = True
            _lost.append(self._functions)  # to destroy a function would call CUDA
            self._functions = {}

    def _renew_locks(self):
        self._finding, self._locks = threading.Lock(), {}


def key_of(identity, text, names, target):
    """A name for compiled code: a hash of everything that it depends on."""
    everything = [FORMAT, identity, OPTIONS, target, names, text]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


_lost = []
_loaders = weakref.WeakSet()
_loader = Loader(INSTANCES, SOURCES, gpu, Store())
kernel = _loader.kernel
check = _loader.check


def _after_fork():
    for loader in _loaders:
        loader.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
