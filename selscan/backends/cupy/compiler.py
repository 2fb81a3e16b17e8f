"""Compiling with NVRTC, by ctypes: neither a driver nor CuPy is needed.

CuPy's own compiler asks the current device even for the name of an architecture, and its cache
trusts any directory; NVIDIA's Python packages would be one more dependency for ten functions.
"""

import ctypes
import functools
import hashlib
import os
import re
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from typing import NamedTuple

from ...errors import BackendUnavailable
from .paste import HEADERS
from .toolkit import install, toolkits

OLDEST = (12, 0)
# Without --no-source-include a quoted include is looked for in the current directory. Denormals
# are flushed, as ex2.approx.ftz does anyway. Line info costs nothing at run time, and -v has ptxas
# write registers and spills into the log.
OPTIONS = (
    "--std=c++17",
    "--no-source-include",
    "--device-as-default-execution-space",
    "--ftz=true",
    "--generate-line-info",
    "--ptxas-options=-v",
)

_CALLS = {
    "nvrtcVersion": (POINTER(c_int), POINTER(c_int)),
    "nvrtcGetNumSupportedArchs": (POINTER(c_int),),
    "nvrtcGetSupportedArchs": (POINTER(c_int),),
    "nvrtcCreateProgram": (POINTER(c_void_p), c_char_p, c_char_p, c_int, c_void_p, c_void_p),
    "nvrtcDestroyProgram": (POINTER(c_void_p),),
    "nvrtcAddNameExpression": (c_void_p, c_char_p),
    "nvrtcCompileProgram": (c_void_p, c_int, POINTER(c_char_p)),
    "nvrtcGetLoweredName": (c_void_p, c_char_p, POINTER(c_char_p)),
    "nvrtcGetProgramLogSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetProgramLog": (c_void_p, c_char_p),
    "nvrtcGetCUBINSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetCUBIN": (c_void_p, c_char_p),
    "nvrtcGetPTXSize": (c_void_p, POINTER(c_size_t)),
    "nvrtcGetPTX": (c_void_p, c_char_p),
}


class Compiled(NamedTuple):
    """Machine code (a cubin) or PTX of some kernels."""

    image: bytes
    lowered: dict  # the mangled name of each name expression
    log: str


class Nvrtc:
    """One NVRTC."""

    def __init__(self, toolkit):
        self.include = toolkit.include
        self._size = toolkit.library.stat().st_size
        # Some releases (13.0) look for this part of theirs in the system's folders only, but take
        # it where it is loaded already.
        for builtins in toolkit.library.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins))
        self._library = ctypes.CDLL(str(toolkit.library))
        self._library.nvrtcGetErrorString.restype = c_char_p
        for name, types in _CALLS.items():
            getattr(self._library, name).argtypes = types
        major, minor = c_int(), c_int()
        self._call("nvrtcVersion", byref(major), byref(minor))
        self.version = major.value, minor.value

    def __str__(self):
        return "NVRTC {}.{}".format(*self.version)

    @functools.cached_property
    def architectures(self):
        """Compute capabilities that this release can compile for, such as 90, sorted."""
        count = c_int()
        self._call("nvrtcGetNumSupportedArchs", byref(count))
        found = (c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", found)
        return sorted(found)

    @functools.cached_property
    def identity(self):
        """What compiles, for a key: release, build (by its size) and a hash of CUDA's headers."""
        digest = hashlib.sha256()
        for header in HEADERS:
            for path in sorted(self.include.glob(f"{header}*")):  # and .hpp
                digest.update(path.read_bytes())
        return [*self.version, self._size, digest.hexdigest()]

    def target(self, capability):
        """The architecture to compile for on a device of this compute capability.

        Machine code where this release knows the device, else PTX of the newest architecture
        before it: the driver compiles that when it is loaded.
        """
        if capability in self.architectures:
            return f"sm_{capability}"
        older = [known for known in self.architectures if known < capability]
        if older:
            return f"compute_{older[-1]}"
        raise BackendUnavailable(
            f"selscan: {self} compiles for compute capability {_dotted(self.architectures[0])} and "
            f"newer; this GPU has {_dotted(capability)}. An older release may do: {install(12)}."
        )

    def compile(self, text, file, names, target):
        """Instances of the text of a file, for one target."""
        options = (*OPTIONS, f"--gpu-architecture={target}", f"--include-path={self.include}")
        kind = "CUBIN" if target.startswith("sm_") else "PTX"
        program = c_void_p()
        self._call(
            "nvrtcCreateProgram", byref(program), text.encode(), file.encode(), 0, None, None
        )
        try:
            for name in names:
                self._call("nvrtcAddNameExpression", program, name.encode())
            array = (c_char_p * len(options))(*map(os.fsencode, options))
            status = self._library.nvrtcCompileProgram(program, len(options), array)
            log = self._bytes(program, "ProgramLog").replace(b"\0", b"").decode(errors="replace")
            if status:
                raise self._failure(status, log, file, names, target)
            lowered = {name: self._lowered(program, name) for name in names}
            return Compiled(self._bytes(program, kind), lowered, log)
        finally:
            self._library.nvrtcDestroyProgram(byref(program))

    def _call(self, name, *arguments):
        status = getattr(self._library, name)(*arguments)
        if status:
            raise RuntimeError(f"selscan: {name} failed: {self._error(status)}.")

    def _error(self, status):
        return self._library.nvrtcGetErrorString(status).decode()

    def _bytes(self, program, what):
        size = c_size_t()
        self._call(f"nvrtcGet{what}Size", program, byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, buffer)
        return buffer.raw

    def _lowered(self, program, name):
        lowered = c_char_p()
        self._call("nvrtcGetLoweredName", program, name.encode(), byref(lowered))
        return lowered.value.decode()

    def _failure(self, status, log, file, names, target):
        """The error for kernels that do not compile: file and line first, the log as a note."""
        error = RuntimeError(
            f"selscan: {_first_error(log) or self._error(status)} [{', '.join(names)} in {file}, "
            f"{target}, {self}]"
        )
        error.add_note(log)
        return error


def _first_error(log):
    """The first error of a log as `file:line: text`; of ptxas, which knows no lines, its text."""
    match = re.search(r"^(.+?)\((\d+)\): (?:catastrophic )?error(?: #\S+)?: (.*)", log, re.M)
    if match:
        return "{}:{}: {}".format(*match.groups())
    match = re.search(r"\berror *: (.*)", log)
    return match[1] if match else None


def _dotted(capability):
    """90 as 9.0."""
    return f"{capability // 10}.{capability % 10}"


def find_nvrtc(release=None, found=toolkits):
    """The first NVRTC that works and whose code a driver can load, given its CUDA release (13)."""
    reasons = []
    for toolkit in found():
        if toolkit.include is None:
            reasons.append(f"the headers of {toolkit.library} are missing")
            continue
        try:
            nvrtc = Nvrtc(toolkit)
        except Exception as error:  # not a library, or one without the functions
            reasons.append(f"{toolkit.library}: {error}")
            continue
        if nvrtc.version < OLDEST:
            reasons.append(f"{nvrtc} is older than {OLDEST[0]}.{OLDEST[1]}")
        elif release is not None and nvrtc.version[0] > release:
            reasons.append(f"{nvrtc} needs a newer driver than this one of CUDA {release}")
        else:
            return nvrtc
    raise BackendUnavailable(
        "selscan: CUDA kernels are compiled by NVRTC, and none can be used "
        f"({'; '.join(reasons) or 'none is installed'}): {install(release)}."
    )
