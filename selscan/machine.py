"""What this machine and this installation are (python -m selscan info)."""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import textwrap
import time
from importlib import metadata
from pathlib import Path

import selscan
from selscan.backends import OPERATORS
from selscan.cases import CASES, make_inputs

LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "jax", "cupy", "numba-cuda")
# Environment variables that change how kernels are compiled and run.
VARIABLES = re.compile("(SELSCAN|NUMBA|OMP|KMP|CUDA)_")


def versions():
    """{library: version} of what is installed; nothing is imported."""
    found = {}
    for library in LIBRARIES:
        for name in (library, f"{library}-cuda12x", f"{library}-cuda13x"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[library] = metadata.version(name)
    return found


def processors():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cpu():
    """The processor's name and how many there are."""
    name = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        model = re.search(r"^model name\s*: (.+)$", info.read_text(), re.M)
        name = model[1] if model else name
    return f"{name}, {processors()} usable"


def busy():
    """A warning if much else ran in the last minute; empty if not, or if that is not known."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    if load < 0.5 * processors():
        return ""
    return (
        f"Busy before this began (load {load:.1f}, {processors()} processors): times may be long."
    )


def gpus():
    """What nvidia-smi lists, one text a GPU."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    if shutil.which(query[0]) is None:
        return []
    done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def machine():
    """Versions and devices, as (label, text)."""
    found = versions()
    yield "selscan", selscan.__version__
    yield "Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield "libraries", ", ".join(f"{name} {version}" for name, version in found.items())
    yield "missing", ", ".join(name for name in LIBRARIES if name not in found) or "-"
    yield "CPU", cpu()
    yield "GPU", "; ".join(gpus()) or "none found"


def backends():
    """Each backend, usable or why not, as (name, text)."""
    for info in selscan.list_backends():
        text = "usable" if info.usable else f"not usable: {info.reason}"
        text += f"; {info.detail}" if info.usable and info.detail else ""
        missing = [x for x in OPERATORS if info.serves and x not in info.serves]
        yield info.name, text + (f"; without {', '.join(missing)}" if missing else "")


def names():
    """What third-party code gets where it imports these, as (name, text)."""
    from selscan.compat import patching  # here: it is not needed for other commands

    found = {}
    for name, text in patching.resolutions():
        found.setdefault(text, []).append(name)
    for text, those in found.items():
        yield "names", f"{', '.join(those)}: {text}"


def private(text):
    """The text without the home directory and, in other paths, the user's name."""
    home = Path.home()
    text = text.replace(str(home), "~")
    return re.sub(rf"(?<=[/\\]){re.escape(home.name)}(?=[/\\]|$)", "USER", text, flags=re.M)


def first_scan():
    """How long the first scan of this process took, and on what threads, as (label, text)."""
    inputs = make_inputs(CASES["vim"])
    start = time.perf_counter()
    try:
        selscan.scan(**inputs, delta_softplus=True)
    except Exception as error:
        yield "first scan", f"{type(error).__name__}: {error}"
        return
    yield "first scan", f"{time.perf_counter() - start:.2f} s"
    from selscan.backends import cpu

    directory = cpu.kernel("forward").stats.cache_path
    yield "cache", str(directory or "none: no directory can be written")
    yield "threads", str(cpu.threads.wanted(None))


def installation():
    """Places and settings, as (label, text)."""
    variables = (f"{k}={v}" for k, v in sorted(os.environ.items()) if VARIABLES.match(k))
    yield "installed", str(Path(selscan.__file__).parent)
    yield "environment", ", ".join(variables) or "-"


def show(pairs):
    """Print (label, text) in two columns, wrapped at 80."""
    for label, text in pairs:
        print(
            textwrap.fill(
                text,
                80,
                initial_indent=f"{label:11s} ",
                subsequent_indent=" " * 12,
                break_long_words=False,
                break_on_hyphens=False,
            ),
            flush=True,
        )


def info():
    """Print a block for a bug report; the exit code."""
    print("```text")
    for pairs in (machine(), backends(), names(), installation(), first_scan()):
        show((label, private(text)) for label, text in pairs)
    print("```")
    return 0
