"""A part of a log, on a page or as bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.serve.logs import SHOWN, byte_range, part, pieces, size_of


def pages(log: Path, size: int) -> list[list[str]]:
    found, at = [], 0
    while at < size:
        shown = part(log, size, at)
        assert shown.start == at and shown.end > at and shown.end - shown.start <= SHOWN
        found.append([str(line) for line in shown.lines])
        at = shown.end
    return found


def test_from_page_to_page_every_line_is_shown_once_and_whole(tmp_path: Path) -> None:
    lines = [f"line {number} " + "x" * (1 + number % 700) for number in range(2000)]
    log = tmp_path / "a.log"
    log.write_text("\n".join(lines) + "\n")
    found = pages(log, log.stat().st_size)
    assert len(found) > 5 and [line for page in found for line in page] == lines


def test_without_a_start_the_end_is_shown_and_begins_with_a_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    shown = part(log, log.stat().st_size, None)
    assert shown.lines[-1] == "line 19999" and shown.end == shown.size
    assert shown.lines == tuple(f"line {number}" for number in range(20_000 - len(shown.lines), 20_000))


def test_a_line_longer_than_a_page_is_gone_through_in_parts(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"a\n" + b"x" * (3 * SHOWN + 9) + b"\nend\n")
    found = pages(log, log.stat().st_size)
    assert found[0] == ["a"] and found[-1] == ["x" * 9, "end"]


def test_what_is_no_plain_file_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link.log").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe.log")
    assert [size_of(tmp_path / name) for name in ("link.log", "pipe.log", "none.log")] == [None, None, None]
    assert b"".join(pieces(tmp_path / "link.log", 0, 6)) == b""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=50-1000", (50, 100)),
        ("bytes=100-", (100, 100)),
        ("bytes=9-3", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        (None, None),
    ],
)
def test_a_range_is_read_as_the_standard_says(wanted: str | None, found: tuple[int, int] | None) -> None:
    assert byte_range(wanted, 100) == found


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,20}-\d{0,20}", fullmatch=True), st.integers(0, 10**12))
def test_whatever_range_is_asked_for_lies_within_the_log(wanted: str, size: int) -> None:
    found = byte_range(wanted, size)
    assert found is None or 0 <= found[0] <= found[1] <= size
