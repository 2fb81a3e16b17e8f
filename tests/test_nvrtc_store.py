"""The cache of compiled CUDA kernels: whole entries or none, in a directory of the user's own."""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from selscan.backends import folders
from selscan.backends.cupy.compiler import Compiled
from selscan.backends.cupy.store import Store

NAMES = ("k<float>",)
KEY, OTHER = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
COMPILED = Compiled(bytes(range(256)) * 20, {"k<float>": "_Z1kIfEvv"}, "ptxas info: é")
NOBODY = 65534


@pytest.fixture
def directory(tmp_path):
    """Not there yet."""
    return tmp_path / "cache" / "selscan"


@pytest.fixture
def cache(directory):
    return Store(lambda: directory)


@pytest.fixture
def entry(cache, directory):
    """The file of COMPILED under KEY."""
    cache.put(KEY, COMPILED)
    return directory / f"{KEY}.kernel"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def content(directory):
    return sorted(path.name for path in directory.iterdir())


def use(cache):
    cache.put(KEY, COMPILED)
    found = cache.get(KEY, NAMES)
    cache.put(KEY, COMPILED)
    return found


def assert_warns_once_and_does_without(cache, reason):
    with pytest.warns(RuntimeWarning) as caught:
        found = use(cache)
    assert found is None
    [warning] = caught
    text = str(warning.message)
    assert text.startswith("selscan: compiled CUDA kernels cannot be kept on disk (")
    assert reason in text
    assert text.endswith("again. Set XDG_CACHE_HOME to a directory that only you can write.")


def test_an_entry_comes_back_as_it_was(cache):
    assert cache.get(KEY, NAMES) is None
    cache.put(KEY, COMPILED)

    assert cache.get(KEY, NAMES) == COMPILED
    assert cache.get(OTHER, NAMES) is None


def test_directories_and_entries_are_for_the_user_alone_whatever_the_umask(cache, directory):
    before = os.umask(0)
    try:
        cache.put(KEY, COMPILED)
    finally:
        os.umask(before)

    assert content(directory) == [f"{KEY}.kernel"]
    assert [mode(path) for path in (directory.parent, directory)] == [0o700, 0o700]
    assert mode(directory / f"{KEY}.kernel") == 0o600


@pytest.mark.parametrize("size", [0, 1, 14, 15, 40, 47, 60, -1, -5000])
def test_a_truncated_entry_is_not_used_and_written_again(cache, entry, size):
    entry.write_bytes(entry.read_bytes()[:size])
    assert cache.get(KEY, NAMES) is None

    cache.put(KEY, COMPILED)

    assert cache.get(KEY, NAMES) == COMPILED


@pytest.mark.parametrize("place", [0, 14, 15, 46, 47, 54, 55, 70, 200, -1])
def test_a_damaged_entry_is_not_used(cache, entry, place):
    damaged = bytearray(entry.read_bytes())
    damaged[place] ^= 1
    entry.write_bytes(damaged)
    assert cache.get(KEY, NAMES) is None

    entry.write_bytes(forge({}) + b"something behind it")
    assert cache.get(KEY, NAMES) is None


def forge(change, image=COMPILED.image):
    """An entry with a right checksum and something else in its head."""
    head = {"key": KEY, "lowered": COMPILED.lowered, "log": "", "size": len(image)} | change
    head = json.dumps({name: value for name, value in head.items() if value is not ...}).encode()
    body = len(head).to_bytes(8, "little") + head + image
    return b"selscan kernel\n" + hashlib.sha256(body).digest() + body


def test_a_rightly_made_entry_is_used(cache, entry):
    entry.write_bytes(forge({}))

    assert cache.get(KEY, NAMES) == COMPILED._replace(log="")


@pytest.mark.parametrize(
    "change",
    [
        {"key": OTHER},  # as after renaming
        {"lowered": {"k<double>": "_Z1kIdEvv"}},
        {"lowered": COMPILED.lowered | {"another": "_Z7another"}},
        {"lowered": {}},
        {"lowered": {"k<float>": 1}},
        {"lowered": ["k<float>"]},
        {"lowered": ...},
        {"log": None},
        {"size": len(COMPILED.image) - 1},
        {"size": "5120"},
    ],
)
def test_a_forged_entry_with_a_right_checksum_is_not_used(cache, entry, change):
    entry.write_bytes(forge(change))

    assert cache.get(KEY, NAMES) is None


@pytest.mark.parametrize("head", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100000])
def test_an_entry_whose_head_is_not_its_json_is_not_used(cache, entry, head):
    body = len(head).to_bytes(8, "little") + head
    entry.write_bytes(b"selscan kernel\n" + hashlib.sha256(body).digest() + body)

    assert cache.get(KEY, NAMES) is None


@pytest.mark.parametrize("permissions", [0o620, 0o602, 0o666])
def test_an_entry_that_others_can_write_is_not_used_and_replaced(cache, entry, permissions):
    entry.chmod(permissions)
    assert cache.get(KEY, NAMES) is None

    cache.put(KEY, COMPILED)

    assert cache.get(KEY, NAMES) == COMPILED
    assert mode(entry) == 0o600


def make_pipe(path, good):
    """A pipe that has an entry in it; the two ends are one descriptor, which is left open."""
    os.mkfifo(path)
    os.write(os.open(path, os.O_RDWR), good.read_bytes())


@pytest.mark.parametrize("make", [Path.symlink_to, make_pipe])
def test_an_entry_that_is_no_file_of_its_own_is_not_used_and_replaced(cache, entry, make):
    good = entry.rename(entry.parent.with_name("elsewhere"))
    make(entry, good)
    assert cache.get(KEY, NAMES) is None

    cache.put(KEY, COMPILED)

    assert cache.get(KEY, NAMES) == COMPILED
    assert stat.S_ISREG(entry.lstat().st_mode)


@pytest.mark.parametrize("permissions", [0o777, 0o770, 0o702, 0o1777])
def test_a_directory_that_others_can_write_is_not_used(cache, entry, permissions):
    entry.parent.chmod(permissions)

    assert_warns_once_and_does_without(cache, f"can be written by others: mode {permissions:o}")


def test_a_symlinked_directory_is_not_used(cache, entry, tmp_path):
    target = entry.parent.rename(tmp_path / "elsewhere")
    entry.parent.symlink_to(target)

    assert_warns_once_and_does_without(cache, f"{entry.parent} is a symbolic link")
    assert content(target) == [entry.name]


def test_a_directory_of_another_user_is_not_used(cache, entry, monkeypatch):
    owner = os.geteuid() or NOBODY
    if owner == NOBODY:
        os.chown(entry.parent, NOBODY, NOBODY)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    assert_warns_once_and_does_without(cache, f"is owned by user {owner}, neither by root nor by")


def test_a_file_in_the_place_of_the_directory_costs_a_warning(cache, directory):
    directory.parent.mkdir()
    directory.touch()

    assert_warns_once_and_does_without(cache, "Not a directory")


def test_a_home_that_is_not_known_costs_a_warning(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)

    assert_warns_once_and_does_without(Store(), "Could not determine home")


def test_a_full_disk_costs_a_warning_and_leaves_nothing(cache, directory, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)

    assert_warns_once_and_does_without(cache, "No space left on device")
    assert content(directory) == []


@pytest.fixture
def readable():
    """A directory that this process cannot write, not even when the tests run as root."""
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(dir="/tmp" if root else None))  # which nobody can reach, too
    Store(lambda: folder / "selscan").put(KEY, COMPILED)
    (folder / "selscan").chmod(0o500)
    folder.chmod(0o500)
    try:
        if root:
            for path in (folder, folder / "selscan", folder / f"selscan/{KEY}.kernel"):
                os.chown(path, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        (folder / "selscan").chmod(0o700)
        shutil.rmtree(folder)


def test_a_home_that_can_only_be_read_costs_a_warning(readable):
    assert_warns_once_and_does_without(
        Store(lambda: readable / ".cache/selscan"), "Permission denied"
    )


def test_entries_that_can_only_be_read_are_used(readable):
    cache = Store(lambda: readable / "selscan")

    assert cache.get(KEY, NAMES) == COMPILED
    with pytest.warns(RuntimeWarning, match="Permission denied"):
        cache.put(OTHER, COMPILED)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("/x/cache", "/x/cache/selscan"),
        ("", "/home/ada/.cache/selscan"),
        ("here", "/home/ada/.cache/selscan"),  # relative paths are ignored, as XDG says
        (None, "/home/ada/.cache/selscan"),
    ],
)
def test_the_directory_is_that_of_the_platform(monkeypatch, variable, expected):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", variable)

    assert folders.user_folder() == Path(expected)


def test_what_was_not_used_for_longest_is_pruned(cache, directory, monkeypatch):
    keys = [hashlib.sha256(bytes([i])).hexdigest() for i in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, COMPILED)
        os.utime(directory / f"{key}.kernel", (age, age))
    (directory / "notes.txt").write_text("not ours")
    assert cache.get(keys[0], NAMES) == COMPILED  # used now, so the second is the oldest

    monkeypatch.setattr(folders, "LIMIT", int(3.5 * len(COMPILED.image)))
    cache.put(keys[3], COMPILED)

    assert [cache.get(key, NAMES) is not None for key in keys] == [True, False, True, True]
    assert (directory / "notes.txt").exists()
