"""Compiled kernels on disk, where nobody but the user and root can change them.

Whoever writes an entry chooses what runs here. So nothing is read or written where somebody else
could: every directory from the root on, every link on the way, the folder and the entry belong to
the user or to root, and neither their group nor others can write them. (Directories with the
sticky bit, such as /tmp, are passed: what is in them can be exchanged by its owner only.) After
that nobody else can exchange what was looked at. A checksum finds damage; it could not stop the
user.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LIMIT = 256 << 20  # bytes in a folder; the entries read longest ago go first

_MAGIC = b"selscan kernel\n"
_HEAD = len(_MAGIC) + hashlib.sha256().digest_size
_LINKS = 40  # on the way to a folder
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# No link is followed at the end of a path, and no pipe is waited for; Windows has neither.
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def user_folder():
    """$XDG_CACHE_HOME/selscan or ~/.cache/selscan."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "selscan"


class Folder:
    """Entries of one kind by name: bytes that come back whole or not at all.

    `find` gives the path, at each access; OSError and RuntimeError say why it cannot be used.
    """

    def __init__(self, find, suffix):
        self._find, self._suffix = find, suffix

    def get(self, name):
        """The content of an entry, or None: not there, damaged, or not the user's own."""
        content = _read(self.open() / (name + self._suffix))
        body = content[_HEAD:]
        return body if content[:_HEAD] == _head(body) else None

    def has(self, name):
        """Whether there is an entry, in whatever condition."""
        return (self.open() / (name + self._suffix)).exists()

    def put(self, name, body):
        """Keep an entry: whole or not at all, whoever else writes it now."""
        folder = self.open()
        _write(folder / (name + self._suffix), _head(body) + body)
        self._prune(folder)

    @contextlib.contextmanager
    def alone(self, name):
        """While one process makes an entry, those that want it too wait here; then it is there.

        Where files cannot be locked, each makes it.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, RuntimeError):
                path = self.open() / (name + self._suffix)
                if not path.exists():
                    stack.enter_context(_locked(path.with_name(f"{path.name}.making")))
            yield

    def open(self):
        """The path of the folder, which is made if need be and checked."""
        path = self._find()
        _make(path)
        check(path)
        return path

    def _prune(self, folder):
        """Remove what was not used for longest until the rest is below the limit."""
        entries = []
        for path in folder.iterdir():
            if self._suffix in path.name:
                with contextlib.suppress(FileNotFoundError):  # another process prunes too
                    status = path.lstat()
                    entries.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in entries) - LIMIT
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


@contextlib.contextmanager
def _locked(path):
    """A file that one process at a time has; who comes when it is gone finds the entry."""
    with open(path, "ab", opener=_for_the_user) as stream:
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _head(body):
    """What stands in front of the body of an entry."""
    return _MAGIC + hashlib.sha256(body).digest()


def check(path):
    """Refuse a folder that somebody else could change or exchange, and one that is a link."""
    *way, (last, status) = _way(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(last))
    if path.is_symlink():
        raise OSError(f"{path} is a symbolic link")
    for step, passed in way:
        if stat.S_ISLNK(passed.st_mode) or passed.st_mode & stat.S_ISVTX:
            _check_owner(passed, step)
        else:
            check_status(passed, step)
    check_status(status, last)


def check_status(status, path):
    """Refuse what somebody else owns or can write."""
    _check_owner(status, path)
    if os.name == "posix" and status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        raise OSError(f"{path} can be written by others: mode {mode:o}")


def _check_owner(status, path):
    if os.name == "posix" and status.st_uid not in (0, os.geteuid()):
        raise OSError(
            f"{path} is owned by user {status.st_uid}, neither by root nor by {os.geteuid()}"
        )


def _way(path):
    """(path, status) of all that is passed from the root to a folder: directories and links."""
    here, *names = path.absolute().parts
    here, links = Path(here), 0
    found, names = [(here, here.lstat())], names[::-1]
    while names:
        name = names.pop()
        if name == os.pardir:  # in the target of a link
            here = here.parent
            continue
        status = (here / name).lstat()
        found.append((here / name, status))
        if not stat.S_ISLNK(status.st_mode):
            here = here / name
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = (here / name).readlink()
        names += target.parts[::-1]
        if target.is_absolute():
            here = Path(names.pop())
    return found


def _make(path):
    """Make a folder and those above it, for the user alone."""
    if not os.path.lexists(path):
        _make(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)


def _plain(path, flags):
    return os.open(path, flags | _PLAIN)


def _for_the_user(path, flags):
    return os.open(path, flags | _PLAIN, 0o600)


def _read(path):
    """The content of an entry; empty if there is none, or one that others could have written."""
    try:
        with open(path, "rb", opener=_plain) as stream:
            status = os.fstat(stream.fileno())
            check_status(status, path)
            content = stream.read() if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return b""
    with contextlib.suppress(OSError):  # a disk that can only be read
        os.utime(path)  # used now: the last to be pruned
    return content


def _write(path, content):
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb", opener=_for_the_user) as stream:
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
