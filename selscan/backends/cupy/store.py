"""Compiled kernels on disk, in a directory that only the user can write.

Whoever writes an entry chooses what runs on the GPU, so a directory or a file that others own or
can write is not used. The directory is opened once for each access and everything is done relative
to it: it cannot be exchanged between the check and the use. A checksum finds damage, and the key
inside an entry finds one that was renamed; neither could stop its owner, who is the user.
"""

import contextlib
import hashlib
import json
import os
import secrets
import stat
import warnings
from pathlib import Path

from .compiler import Compiled

FORMAT = 1  # part of the key: older entries are no longer found, and pruned in time
LIMIT = 256 << 20  # bytes in the directory; the entries read longest ago go first

_MAGIC = b"selscan kernel\n"
_SUFFIX = ".kernel"


def default_directory():
    """$XDG_CACHE_HOME/selscan or ~/.cache/selscan."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "selscan"


class Store:
    """Entries named by their keys; a directory that cannot be used costs one warning."""

    def __init__(self, directory=default_directory):
        self._directory = directory
        self._warned = False

    def get(self, key, names):
        """What was put under a key; None if it is not there, or not whole."""
        try:
            with self._open() as directory:
                content = _read(directory, key + _SUFFIX)
        except (OSError, RuntimeError) as error:
            self._warn(error)
            return None
        return _decode(content, key, names)

    def put(self, key, compiled):
        """Keep an entry: whole or not at all, whoever else writes it now."""
        try:
            with self._open() as directory:
                _write(directory, key + _SUFFIX, _encode(key, compiled))
                _prune(directory)
        except (OSError, RuntimeError) as error:
            self._warn(error)

    @contextlib.contextmanager
    def _open(self):
        """A descriptor of the directory, which is made if need be."""
        path = self._directory()
        if os.open not in os.supports_dir_fd:
            raise OSError("this system does not tell whose a directory is")
        _make(path)
        if path.is_symlink():
            raise OSError(f"{path} is a symbolic link")
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _check(os.fstat(directory), path)
            yield directory
        finally:
            os.close(directory)

    def _warn(self, error):
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"selscan: compiled CUDA kernels cannot be kept on disk ({error}), so each process "
            "compiles them again. Set XDG_CACHE_HOME to a directory of your own.",
            RuntimeWarning,
            stacklevel=2,
        )


def _make(path):
    """Make a directory and its parents, for the user alone."""
    if not path.parent.exists():
        _make(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)


def _check(status, path):
    """Refuse what others own or can write."""
    if status.st_uid != os.geteuid():
        raise OSError(f"{path} is owned by user {status.st_uid}, not by {os.geteuid()}")
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        raise OSError(f"{path} can be written by others: mode {mode:o}")


def _read(directory, name):
    """The content of an entry; empty if there is none, or one that others could have written."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a link is refused, a pipe not waited for
    try:
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as stream:
            status = os.fstat(stream.fileno())
            _check(status, name)
            content = stream.read() if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return b""
    with contextlib.suppress(OSError):  # a disk that can only be read
        os.utime(name, dir_fd=directory, follow_symlinks=False)  # used now: the last to be pruned
    return content


def _write(directory, name, content):
    temporary = f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as stream:
            stream.write(content)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _prune(directory):
    """Remove what was not used for longest until the rest is below the limit."""
    entries = []
    for entry in os.scandir(directory):
        if _SUFFIX in entry.name:
            with contextlib.suppress(FileNotFoundError):  # another process prunes too
                status = entry.stat(follow_symlinks=False)
                entries.append((status.st_mtime_ns, status.st_size, entry.name))
    excess = sum(size for _, size, _ in entries) - LIMIT
    for _, size, name in sorted(entries):
        if excess <= 0:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        excess -= size


def _encode(key, compiled):
    """Magic, checksum of all that follows, length of the head, head (JSON), image."""
    size = len(compiled.image)
    head = {"key": key, "lowered": compiled.lowered, "log": compiled.log, "size": size}
    head = json.dumps(head).encode()
    body = len(head).to_bytes(8, "little") + head + compiled.image
    return _MAGIC + hashlib.sha256(body).digest() + body


def _decode(content, key, names):
    """The entry, or None if it is damaged or another than was asked for."""
    magic, content = content[: len(_MAGIC)], content[len(_MAGIC) :]
    checksum, body = content[:32], content[32:]
    if magic != _MAGIC or checksum != hashlib.sha256(body).digest():
        return None
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
