"""Builds a source with g++, once: libraries are kept under names made of all they depend on."""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
HEADERS, RUNTIME = HERE / "cuda", HERE / "runtime"

# NVRTC's C++17, without what device code has not. Contraction and strict aliasing as written: a*b+c
# is rounded twice, and pointers may be cast to float4*.
LANGUAGE = (
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-fPIC",
    "-w",
)
CHECKS = (
    "-fsanitize=alignment,null,bounds",
    "-fsanitize=signed-integer-overflow,shift-exponent,integer-divide-by-zero",
    "-fno-sanitize-recover=all",
)
# What each sanitizer changes: flags for the runtime, for kernels and for the linker.
RUNTIME_FLAGS = {None: (), "address": ("-DEMULATOR_ADDRESS",), "thread": ("-DEMULATOR_THREAD",)}
KERNEL_FLAGS = {
    None: ("-Og", *CHECKS),
    "address": ("-Og", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address", *CHECKS),
    "thread": ("-Og", "-g1", "-fsanitize=thread"),
}
LINK_FLAGS = {None: (), "address": ("-fsanitize=address",), "thread": ("-fsanitize=thread",)}
# Which sanitizer a build is for, by what its runtime library, preloaded, defines.
SYMBOLS = {"address": "__asan_init", "thread": "__tsan_init"}
# The ucontext switch, which is for other CPUs than x86-64, on any.
UCONTEXT = ("-DEMULATOR_UCONTEXT",)
switch_flags = ()

# Options of NVRTC that mean nothing here.
_IGNORED = re.compile(
    r"--?(arch|gpu-architecture|ftz|fmad|prec-div|prec-sqrt|use_fast_math|lineinfo|std|maxrregcount"
    r"|generate-line-info|device-as-default-execution-space|default-device|ptxas-options)(=.*)?"
)


class CompileError(RuntimeError):
    """A kernel does not compile; the compiler's text is a note of it."""


def missing():
    """Why kernels cannot be emulated on this machine; empty if they can."""
    if not sys.platform.startswith("linux"):
        return f"the CUDA emulator runs on Linux; this is {sys.platform}"
    if shutil.which("g++") is None:
        return "the CUDA emulator compiles kernels with g++, which is not installed"
    return ""


def sanitizer():
    """The sanitizer whose runtime is in this process."""
    process = ctypes.CDLL(None)
    return next((name for name, symbol in SYMBOLS.items() if hasattr(process, symbol)), None)


def split_options(options):
    """Options of NVRTC: those for g++, and the folders for includes."""
    kept = [option for option in options if re.match(r"-[DU]", option)]
    folders = [option[2:] for option in options if option.startswith("-I")]
    known = len(kept) + len(folders) + sum(bool(_IGNORED.fullmatch(o)) for o in options)
    if known != len(options):
        raise ValueError(f"Module: options must be ones of NVRTC; got {options!r}.")
    return tuple(kept), tuple(folders)


def build(text, options):
    """The path of a library with the kernels of a C++ text."""
    kind = sanitizer()
    names = f"-fdebug-prefix-map={folder()}=."  # a file's name as #line gives it
    flags = (*LANGUAGE, *KERNEL_FLAGS[kind], *options, f"-I{HEADERS}", names)
    runtime = _runtime(kind, switch_flags)

    def make(work, target):
        (work / "kernels.cpp").write_text(text, encoding="utf-8")
        _run(*flags, "-c", work / "kernels.cpp", "-o", work / "kernels.o")
        # Without the checks' flags, which would ask for their runtime library. The emulator's own
        # runtime lies beside the library.
        link = ("-shared", *LINK_FLAGS[kind], "-Wl,-rpath,$ORIGIN")
        _run(*link, work / "kernels.o", f"-L{runtime.parent}", f"-l:{runtime.name}", "-o", target)

    return _kept(_key(text, flags, runtime.name, *_contents(HEADERS)), make)


@functools.cache
def _runtime(kind, switch):
    """The path of the library that runs kernels. One for all: its stacks and fibers are shared."""
    flags = ("-shared", *LANGUAGE, "-O2", *RUNTIME_FLAGS[kind], *switch)
    key = _key(flags, *_contents(RUNTIME), *_contents(HEADERS))

    def make(_, target):
        _run(*flags, f"-Wl,-soname,{target.name}", RUNTIME / "runtime.cpp", "-o", target)

    return _kept(key, make)


def library(sources, flags):
    """The path of a library of all C++ files of a folder, which has nothing to do with kernels."""
    files = sorted(sources.glob("*.cpp"))
    key = _key(flags, *_contents(sources))
    return _kept(key, lambda _, target: _run(*flags, *files, "-o", target))


def _kept(key, make):
    """The library of a key, made in a folder of its own and then moved: nobody sees half of it."""
    path = folder() / f"{key}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder()) as work:
            target = Path(work) / path.name
            make(Path(work), target)
            target.replace(path)
    return path


@functools.cache
def folder():
    """Where libraries are kept: a folder of this user that nobody else can write."""
    path = Path(tempfile.gettempdir()) / f"selscan-emulator-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise RuntimeError(f"{path} must be a folder that only this user can write.")
    return path


def _key(*parts):
    return hashlib.sha256(repr((version(), *parts)).encode()).hexdigest()[:32]


@functools.cache
def _contents(root):
    return tuple(path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.*")))


@functools.cache
def version():
    """The compiler's version and its target."""
    return _run("--version") + _run("-dumpmachine")


def _run(*arguments):
    command = ["g++", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"} | {"LC_ALL": "C"}
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=folder()
    )
    if result.returncode:
        raise _failure(result.stderr)
    return result.stdout


def _failure(log):
    first = re.search(r"^(.*?:\d+):(?:\d+:)? (?:fatal )?error: (.*)$", log, re.MULTILINE)
    error = CompileError(f"{first[1]}: {first[2]}" if first else log.strip()[:1000])
    error.add_note(log)
    return error
