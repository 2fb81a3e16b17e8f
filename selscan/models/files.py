"""Tensors from a path: a file, a folder with one, or a repository on the Hugging Face Hub."""

import argparse
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import torch

from ..messages import describe, fail

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


# Classes in which training scripts keep their settings beside the weights. yacs need not be there.
HARMLESS = (argparse.Namespace, (OrderedDict, "yacs.config.CfgNode"))


def read(source):
    """What a file holds."""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"load: source must be a path or a state dict; got {describe(source)}.")
    path = Path(source)
    if not path.exists():
        path = download(source)
    if path.is_dir():
        path = file_in(path)
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)


def file_in(folder):
    """The one file with weights in a folder; safetensors before others."""
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    files = [path for path in files if path.suffix == ".safetensors"] or files
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        fail("load", "source", f"a folder with one file of weights ({', '.join(SUFFIXES)})", names)
    return files[0]


def download(source):
    """The folder of a repository on the Hub, from the cache of huggingface_hub or the net."""
    name = str(source)
    if not REPOSITORY.fullmatch(name) or Path(name).suffix in SUFFIXES:
        fail("load", "source", "a file, a folder or a repository owner/name", describe(name))
    hub = needed("huggingface_hub", f"to get {name} from the Hugging Face Hub")
    return Path(hub.snapshot_download(name, allow_patterns=[f"*{suffix}" for suffix in SUFFIXES]))


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
        text = f"load: {library} is needed {why}. Install it: pip install {library}"
        raise ModuleNotFoundError(text) from error
