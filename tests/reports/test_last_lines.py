"""The end of a log, as a terminal would show it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainci.reports import last_lines


def test_a_bar_of_any_length_leaves_the_lines_before_it_in_sight(tmp_path: Path):
    log = tmp_path / "log"
    bar = b"".join(b"\r%4d/9999 it" % number for number in range(9999))
    log.write_bytes(b"Traceback\nKeyError: 1\n" + bar + b"\n")
    assert log.stat().st_size > 100_000
    assert last_lines(log, 3) == ["Traceback", "KeyError: 1", "9998/9999 it"]


def test_bars_that_are_painted_one_above_the_other_are_a_line_each(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"a 0%\n" + b"".join(b"b %d%%\x1b[A\ra %d%%\n" % (n, n) for n in range(2002)) + b"\nend\n")
    assert last_lines(log, 15) == ["a 2001%", "b 2001%", "end"]


def test_the_lines_are_plain_and_whole(tmp_path: Path):
    """Colours, blank lines and the half of a line where the window begins are left out."""
    log = tmp_path / "log"
    log.write_bytes("\n".join(f"\x1b[31mé{number:05}\x1b[0m\n" for number in range(20_000)).encode())
    assert last_lines(log, 900) == [f"é{number:05}" for number in range(19_100, 20_000)]


@pytest.mark.parametrize("what", ["nothing", "a pipe", "a folder"])
def test_what_is_no_log_has_no_lines(tmp_path: Path, what: str):
    log = tmp_path / "log"
    if what == "a pipe":
        os.mkfifo(log)
    elif what == "a folder":
        log.mkdir()
    assert last_lines(log, 3) == []
