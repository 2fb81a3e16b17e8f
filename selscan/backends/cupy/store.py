"""Compiled CUDA kernels on disk (../folders.py): machine code and the names of what is in it.

The key inside an entry finds one that was renamed.
"""

import json
import warnings

from ..folders import Folder, user_folder
from .compiler import Compiled

FORMAT = 1  # part of the key: older entries are no longer found, and pruned in time


class Store:
    """Entries named by their keys; a folder that cannot be used costs one warning."""

    def __init__(self, find=user_folder):
        self._folder = Folder(find, ".kernel")
        self._warned = False

    def get(self, key, names):
        """What was put under a key; None if it is not there, or not whole."""
        try:
            content = self._folder.get(key)
        except (OSError, RuntimeError) as error:
            self._warn(error)
            return None
        return None if content is None else _decode(content, key, names)

    def put(self, key, compiled):
        """Keep an entry: whole or not at all, whoever else writes it now."""
        try:
            self._folder.put(key, _encode(key, compiled))
        except (OSError, RuntimeError) as error:
            self._warn(error)

    def _warn(self, error):
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"selscan: compiled CUDA kernels cannot be kept on disk ({error}), so each process "
            "compiles them again. Set XDG_CACHE_HOME to a directory that only you can write.",
            RuntimeWarning,
            stacklevel=2,
        )


def _encode(key, compiled):
    """Length of the head, head (JSON), image."""
    size = len(compiled.image)
    head = {"key": key, "lowered": compiled.lowered, "log": compiled.log, "size": size}
    head = json.dumps(head).encode()
    return len(head).to_bytes(8, "little") + head + compiled.image


def _decode(body, key, names):
    """The entry, or None if it is another than was asked for."""
    end = 8 + int.from_bytes(body[:8], "little")
    try:
        head = json.loads(body[8:end])
        lowered, log, size = head["lowered"], head["log"], head["size"]
        known = head["key"] == key and sorted(lowered) == sorted(names)
        known = known and all(isinstance(text, str) for text in (*lowered.values(), log))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    image = body[end:]
    return Compiled(image, lowered, log) if known and size == len(image) else None
