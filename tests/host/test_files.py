"""Small files are read as a whole; files are replaced whole or not at all, and through no link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from trainci.host.files import open_plain, read_text, replace


def test_a_file_is_replaced_whole_and_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        replace(target, b"one")
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
    finally:
        os.umask(before)
    target.chmod(0o604)
    with target.open("rb") as reader:
        replace(target, b"two")
        assert reader.read() == b"one", "whoever read the old file goes on with it"
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"two", 0o604)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_written_through_a_link_in_the_files_place(tmp_path: Path, there: bool) -> None:
    other = tmp_path / "other"
    if there:
        other.write_bytes(b"other")
    (tmp_path / "a.txt").symlink_to(other)
    with pytest.raises(OSError, match="there is a link in its place") as refused:
        replace(tmp_path / "a.txt", b"one")
    assert refused.value.errno == errno.ELOOP
    assert other.exists() == there and (not there or other.read_bytes() == b"other")


def test_no_temporary_name_can_be_foretold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout may hold a link under every name that the process could come to write through."""
    opened: list[str] = []
    original = os.open

    def watched(path: Path, flags: int, mode: int = 0o777) -> int:
        opened.append(Path(path).name)
        assert flags & os.O_EXCL and flags & os.O_NOFOLLOW
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", watched)
    for content in (b"one", b"two"):
        replace(tmp_path / "a.txt", content)
    assert len(set(opened)) == 2


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        replace(tmp_path / "folder", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_files_of_proc_are_read_to_their_end() -> None:
    """The kernel gives them in pieces of a page or so."""
    text = Path("/proc/kallsyms").read_text()
    assert len(text) > 100_000
    assert read_text("/proc/kallsyms") == text


def test_a_file_is_opened_to_be_read_only_where_it_is_a_plain_one(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"one")
    with open_plain(tmp_path / "plain") as file:
        assert file.read() == b"one"
    (tmp_path / "link").symlink_to("plain")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "gone"):
        with pytest.raises(OSError):
            open_plain(tmp_path / name)


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path, linked: bool) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with pytest.raises(OSError, match="a device or a pipe"):
        replace(link if linked else pipe, b"one")
    assert pipe.is_fifo() and link.is_symlink() and sorted(tmp_path.iterdir()) == [link, pipe]
