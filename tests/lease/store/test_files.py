"""Files that another user may have put into the lock directory."""

from __future__ import annotations

import os
import stat

import pytest

from trainci.lease.store import files
from trainci.lease.store.files import open_pipe, open_regular, read_text


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("SECRET")
    return path


@pytest.mark.parametrize("opens", [open_regular, lambda path: open_pipe(path, os.O_RDWR)])
def test_a_link_that_takes_a_files_place_after_the_first_look_is_not_followed(tmp_path, secret, monkeypatch, opens):
    link = tmp_path / "link"
    link.symlink_to(secret)
    kind = stat.S_IFREG if opens is open_regular else stat.S_IFIFO
    monkeypatch.setattr(files.os, "lstat", lambda path: os.stat_result((kind, *range(9))))
    with pytest.raises(OSError):
        opens(str(link))


def test_a_file_with_a_second_name_is_not_opened(tmp_path, secret):
    os.link(secret, tmp_path / "second")
    assert read_text(str(tmp_path / "second")) is None
    secret.unlink()
    assert read_text(str(tmp_path / "second")) == "SECRET"


def test_what_is_longer_than_any_file_of_ours_is_read_as_nothing(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert read_text(str(tmp_path / "huge")) == ""
