"""Tensors from a path: a file, several with an index, a folder with either, or a repository on the
Hugging Face Hub.
"""

import argparse
import json
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch

from ..messages import describe, fail
from .wrappers import some

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
INDEX = ".index.json"  # of the tensors in several files
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
URL = re.compile(r"\w[\w+.-]+://")  # a drive of Windows has one letter


# Classes in which training scripts keep their settings beside the weights. Those of other libraries
# are dicts, and the libraries need not be there.
HARMLESS = (
    argparse.Namespace,
    (OrderedDict, "yacs.config.CfgNode"),
    (OrderedDict, "lightning.fabric.utilities.data.AttributeDict"),
    (OrderedDict, "lightning_fabric.utilities.data.AttributeDict"),
)


def read(source):
    """What a file holds."""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"load: source must be a path or a state dict; got {describe(source)}.")
    name = os.fsdecode(source)
    if URL.match(name):
        refuse(name, " Download it, and pass the file.")
    path = Path(name)
    if not os.path.exists(name):  # noqa: PTH110, since Path.exists raises for what is too long
        path = download(name)
    return read_file(file_in(path) if path.is_dir() else path)


def read_file(path):
    """What one file holds, or those of an index."""
    if path.name.endswith(INDEX):
        return read_index(path)
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)


def refuse(name, hint=""):
    """Raise for what is no place of weights."""
    got = describe(name) if len(name) <= 40 else f"{name[:80]!r}{'...' * (len(name) > 80)}"
    fail("load", "source", "a file, a folder or a repository owner/name", got, hint)


def file_in(folder):
    """The one file with weights in a folder, or the index of several; safetensors before others."""
    files = sorted(x for x in folder.iterdir() if x.suffix in SUFFIXES or x.name.endswith(INDEX))
    files = [path for path in files if ".safetensors" in path.suffixes] or files
    files = [path for path in files if path.name.endswith(INDEX)] or files
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        fail("load", "source", f"a folder with one file of weights ({', '.join(SUFFIXES)})", names)
    return files[0]


def download(name):
    """The folder of a repository on the Hub, from the cache of huggingface_hub or the net."""
    if not REPOSITORY.fullmatch(name) or Path(name).suffix in SUFFIXES:
        refuse(name)
    hub = needed("huggingface_hub", f"to get {name} from the Hugging Face Hub")
    patterns = [f"*{suffix}" for suffix in (*SUFFIXES, INDEX)]
    return Path(hub.snapshot_download(name, allow_patterns=patterns))


def read_index(path):
    """The tensors of an index, from the files beside it."""
    try:
        places = json.loads(path.read_bytes())["weight_map"]
        files = sorted(set(places.values()))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        expected, kind = "a whole index of files of weights", type(error).__name__
        raise ValueError(f"load: source must be {expected}; got {path} ({kind}).") from error
    found = {}
    for name in files:
        is_name = isinstance(name, str) and Path(name).name == name
        if not is_name or Path(name).suffix not in SUFFIXES:
            fail("load", "source", "an index of files of weights", f"one of {describe(name)}")
        if not (path.parent / name).is_file():
            fail("load", "source", "an index of files beside it", f"one of {name}, not there")
        held = read_file(path.parent / name)
        found |= held if isinstance(held, Mapping) else {}
    if lost := [name for name in places if name not in found]:
        fail("load", "source", "an index of what its files have", f"one with {some(lost)}")
    return {name: found[name] for name in places}


def read_safetensors(path):
    """All tensors."""
    library = needed("safetensors.torch", f"to read {path.name}")
    try:
        return library.load_file(path)
    except needed("safetensors", "").SafetensorError as error:
        expected = "a whole file of safetensors"
        raise ValueError(f"load: source must be {expected}; got {path} ({error}).") from error


def read_torch(path):
    """Tensors and plain data, never code."""
    try:
        with torch.serialization.safe_globals(list(HARMLESS)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        expected = "a file of tensors and plain data"
        hint = " If you trust it, pass torch.load(source, weights_only=False) instead of the path."
        raise ValueError(f"load: source must be {expected}; got {path}.{hint}") from error
    except (
        EOFError,
        LookupError,
        RuntimeError,
        ValueError,
    ) as error:  # empty, cut off, of other kind
        expected, kind = "a whole file of torch.save", type(error).__name__
        raise ValueError(f"load: source must be {expected}; got {path} ({kind}).") from error


def needed(module, why):
    """A module that is not a dependency."""
    try:
        return __import__(module, fromlist=["_"])
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        text = f"load: {library} is needed {why}. Install it: pip install 'selscan[models]'"
        raise ModuleNotFoundError(text) from error
