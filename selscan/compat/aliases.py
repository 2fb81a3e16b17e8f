"""Names of third-party modules, the modules of selscan that stand for them, and the import of both.

An alias is a module of its own, with its own `__name__`, `__spec__` and `__path__`, that holds the
functions and classes of one in `selscan.compat`.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

HERE = __package__  # selscan.compat

# Extensions first: a real package may need them.
TABLE = {
    "selective_scan_cuda": "extensions.selective_scan_cuda",
    "selective_scan_cuda_core": "extensions.selective_scan_cuda_core",
    "selective_scan_cuda_nrow": "extensions.selective_scan_cuda_core",
    "selective_scan_cuda_ndstate": "extensions.selective_scan_cuda_ndstate",
    "selective_scan_cuda_oflex": "extensions.selective_scan_cuda_oflex",
    "selective_scan_cuda_oflex_rh": "extensions.selective_scan_cuda_oflex_rh",
    "selective_scan_vmamba": "extensions.selective_scan_vmamba",
    "selective_scan_vmamba_pt202": "extensions.selective_scan_vmamba",
    "causal_conv1d_cuda": "extensions.causal_conv1d_cuda",
    "selective_scan": "extensions.selective_scan",
    "causal_conv1d": "causal_conv1d",
    "mamba_ssm": "mamba_ssm",
}
# Modules that go by a second name.
RENAMED = {"mamba_ssm.ops.triton.layernorm": "mamba_ssm.ops.triton.layer_norm"}
# What begins like this is not there, and an import says so.
ABSENT = ("mamba2", "mamba3", "ssd_")


def home(name):
    """The module of selscan behind a name, as its spec; None if there is none."""
    top, dot, rest = RENAMED.get(name, name).partition(".")
    source = f"{HERE}.{TABLE[top]}{dot}{rest}"
    try:
        return importlib.util.find_spec(source)
    except ModuleNotFoundError as error:
        if error.name != source and not source.startswith(f"{error.name}."):
            raise
        return None  # below what is no package


class Finder(importlib.abc.MetaPathFinder):
    """Finds the aliases of the top-level names in `names`."""

    def __init__(self):
        self.names = frozenset()

    def find_spec(self, name, path=None, target=None):
        top, _, rest = name.partition(".")
        if top not in self.names:
            return None
        source = home(name)
        if source is None:
            absent = rest.rpartition(".")[2].startswith(ABSENT)
            return importlib.machinery.ModuleSpec(name, Absent()) if absent else None
        is_package = source.submodule_search_locations is not None
        loader = Loader(source.name)
        return importlib.machinery.ModuleSpec(
            name, loader, origin=source.origin, is_package=is_package
        )


class Loader(importlib.abc.Loader):
    """Fills an alias from the module that it stands for."""

    def __init__(self, source):
        self.source = source

    def exec_module(self, module):
        source = importlib.import_module(self.source)
        prefix, inner = f"{self.source}.", []
        for name, value in vars(source).items():
            if isinstance(value, types.ModuleType) and value.__name__.startswith(prefix):
                inner.append(name)
            elif not name.startswith("__") or name in ("__all__", "__getattr__", "__version__"):
                setattr(module, name, value)
        module.__doc__, module.__file__ = source.__doc__, source.__file__
        for name in inner:  # as the original, which imports these as well
            importlib.import_module(f"{module.__name__}.{name}")


class Absent(importlib.abc.Loader):
    """Of what selscan does not have."""

    def exec_module(self, module):
        text = "selscan has neither Mamba-2, nor Mamba-3, nor SSD"
        raise ImportError(f"{module.__name__}: {text}.", name=module.__name__)


def is_alias(module):
    """Whether a module was made here."""
    return isinstance(getattr(module, "__spec__", None), importlib.machinery.ModuleSpec) and (
        isinstance(module.__spec__.loader, Loader)
    )


def loaded(names):
    """The modules in sys.modules that are, or are below, top-level names."""
    return {x: m for x, m in sys.modules.copy().items() if x.partition(".")[0] in names}
