"""A file that grows, read on from where the last look ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainci.history.tail import Tail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("ab\n", max_size=12), max_size=12))
def test_however_a_file_grows_each_whole_line_is_given_once(tmp_path: Path, pieces: list[str]) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"")
    tail, given_ones = Tail(file, 5), []
    for piece in pieces:
        with file.open("ab") as stream:
            stream.write(piece.encode())
        given_ones += list(tail.lines())
    whole = "".join(pieces).encode().splitlines(keepends=True)
    assert given_ones == [line for line in whole if line.endswith(b"\n") and len(line) <= 5]


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"one\ntwo\n")
    tail = Tail(file, 100)
    assert list(tail.lines()) == [b"one\n", b"two\n"]
    file.write_bytes(b"???\n???\nthree\n")
    assert list(tail.lines()) == [b"three\n"] and list(tail.lines()) == []


@pytest.mark.parametrize("what", ["none", "link", "folder"])
def test_what_is_no_plain_file_has_no_lines(tmp_path: Path, what: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret\n")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder").mkdir()
    assert list(Tail(tmp_path / what, 100).lines()) == []
