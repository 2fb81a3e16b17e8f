"""Where compiled kernels are kept: nobody but the user and root can have put them there."""

import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from selscan.backends import folders
from selscan.backends.folders import Folder

BODY = bytes(range(256)) * 8
NOBODY = 65534
POSIX = os.name == "posix"
pytestmark = pytest.mark.skipif(not POSIX, reason="owners and modes are those of POSIX")
as_root = pytest.mark.skipif(not POSIX or os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def path(tmp_path):
    """Not there yet."""
    return tmp_path / "above" / "kernels"


@pytest.fixture
def folder(path):
    return Folder(lambda: path, ".kept")


@pytest.fixture
def kept(folder, path):
    """The file of an entry."""
    folder.put("one", BODY)
    return path / "one.kept"


def test_an_entry_comes_back_whole_or_not_at_all(folder, kept):
    assert folder.get("one") == BODY
    assert folder.get("two") is None

    content = kept.read_bytes()
    for place in range(0, len(content), 97):
        kept.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert folder.get("one") is None
        kept.write_bytes(content[:place])
        assert folder.get("one") is None


def test_what_is_made_is_for_the_user_alone_whatever_the_umask(folder, path):
    before = os.umask(0)
    try:
        folder.put("one", BODY)
    finally:
        os.umask(before)

    modes = [stat.S_IMODE(x.stat().st_mode) for x in (path.parent, path, path / "one.kept")]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("above", [0, 1, 2])
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o707])
def test_a_folder_that_others_can_write_is_not_used_nor_one_below_it(folder, kept, above, mode):
    place = kept.parents[above]
    place.chmod(mode)

    with pytest.raises(OSError, match=f"^{place} can be written by others: mode {mode:o}$"):
        folder.get("one")
    with pytest.raises(OSError, match="can be written by others"):
        folder.put("two", BODY)


def test_a_folder_below_one_with_the_sticky_bit_is_used(folder, kept):
    kept.parents[1].chmod(0o1777)  # as /tmp is: what is in it can be exchanged by its owner

    assert folder.get("one") == BODY


def test_but_not_one_with_the_sticky_bit_itself(folder, kept):
    kept.parent.chmod(0o1777)

    with pytest.raises(OSError, match="can be written by others: mode 1777"):
        folder.get("one")


@as_root
@pytest.mark.parametrize("above", [0, 1])
def test_a_folder_of_another_user_is_not_used_nor_one_below_it(folder, kept, above):
    os.chown(kept.parents[above], NOBODY, NOBODY)

    reason = f"^{kept.parents[above]} is owned by user {NOBODY}, neither by root nor by 0$"
    with pytest.raises(OSError, match=reason):
        folder.get("one")


@as_root
def test_a_folder_of_root_is_read_by_everybody():
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        folder = Folder(lambda: Path(place), ".kept")
        folder.put("one", BODY)
        Path(place).chmod(0o755)
        Path(place, "one.kept").chmod(0o644)
        os.seteuid(NOBODY)
        try:
            assert folder.get("one") == BODY
            with pytest.raises(PermissionError):
                folder.put("two", BODY)
        finally:
            os.seteuid(0)


@as_root
def test_an_entry_of_another_user_is_not_used_and_replaced(folder, kept):
    os.chown(kept, NOBODY, NOBODY)
    assert folder.get("one") is None

    folder.put("one", BODY)

    assert folder.get("one") == BODY


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_can_write_is_not_used_and_replaced(folder, kept, mode):
    kept.chmod(mode)
    assert folder.get("one") is None

    folder.put("one", BODY)

    assert folder.get("one") == BODY


def test_an_entry_that_is_a_link_is_not_used_and_replaced(folder, kept):
    elsewhere = kept.rename(kept.with_name("elsewhere"))
    kept.symlink_to(elsewhere)
    assert folder.get("one") is None

    folder.put("one", BODY)

    assert not kept.is_symlink()


def test_a_folder_that_is_a_link_is_not_used(folder, kept, path, tmp_path):
    path.symlink_to(path.rename(tmp_path / "elsewhere"))

    with pytest.raises(OSError, match=f"^{path} is a symbolic link$"):
        folder.get("one")


def test_links_on_the_way_are_followed_and_what_they_pass_is_checked(kept, tmp_path):
    """By a link in a folder, to a relative one, to a folder."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "second").symlink_to("../above")
    (tmp_path / "first").symlink_to(tmp_path / "open" / "second")
    folder = Folder(lambda: tmp_path / "first" / "kernels", ".kept")
    assert folder.get("one") == BODY

    (tmp_path / "open").chmod(0o777)  # where anybody can exchange the second link

    with pytest.raises(OSError, match=f"^{tmp_path}/open can be written by others: mode 777$"):
        folder.get("one")


@as_root
def test_links_of_another_user_are_not_followed(kept, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("above")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)

    with pytest.raises(OSError, match=f"^{link} is owned by user {NOBODY}"):
        Folder(lambda: link / "kernels", ".kept").get("one")


def test_links_in_a_circle_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(OSError, match="symbolic links"):
        folders.check(tmp_path / "a" / "kernels")


def test_a_relative_path_is_checked_from_the_root(kept, monkeypatch):
    monkeypatch.chdir(kept.parents[1])
    folder = Folder(lambda: kept.parent.relative_to(kept.parents[1]), ".kept")
    assert folder.get("one") == BODY

    kept.parents[2].chmod(0o777)

    with pytest.raises(OSError, match="can be written by others"):
        folder.get("one")


def test_a_file_in_the_place_of_the_folder_is_an_error(folder, path):
    path.parent.mkdir()
    path.touch()

    with pytest.raises(NotADirectoryError, match="Not a directory"):
        folder.get("one")


def test_who_wants_what_another_makes_waits_and_finds_it(folder, path):
    begun, found = threading.Event(), []

    def want():
        begun.set()
        with folder.alone("one"):
            found.append(folder.get("one"))

    with folder.alone("one"):
        other = threading.Thread(target=want)
        other.start()
        begun.wait()
        other.join(0.1)
        assert other.is_alive()
        with folder.alone("two"):  # another entry is no reason to wait
            folder.put("one", BODY)
    other.join()

    assert found == [BODY]
    assert [entry.name for entry in path.iterdir()] == ["one.kept"]


def test_what_fails_to_make_an_entry_lets_the_next_one_try(folder):
    with pytest.raises(ZeroDivisionError), folder.alone("one"):
        raise ZeroDivisionError
    with folder.alone("one"):
        folder.put("one", BODY)

    with folder.alone("one"):  # which is there
        assert folder.get("one") == BODY


def test_without_a_folder_nobody_waits(path):
    path.parent.mkdir()
    path.touch()
    folder = Folder(lambda: path, ".kept")

    with folder.alone("one"), folder.alone("one"):
        pass
