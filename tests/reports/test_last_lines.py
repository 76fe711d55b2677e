"""The end of a log, as a terminal would show it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.run import Attempt, Cause, Ending, Item, Outcome, Result, Results, Verdict
from trainci.model.tests import Test
from trainci.reports import items_of, last_lines, telling_lines


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


CAUSE = Diagnosis(Blame.CODE, "exception", "it raised", "ValueError: bad", 4)


def test_what_led_to_the_cause_is_shown_and_not_a_noisy_teardown(tmp_path: Path):
    log = tmp_path / "log"
    teardown = "\n".join(f"[rank{n}]: destroying the process group" for n in range(500))
    log.write_text(f"step 1\nTraceback\n  File 'x.py', line 3\nValueError: bad\nafter 1\nafter 2\n{teardown}\n")
    assert telling_lines(log, CAUSE, 7) == [
        "step 1",
        "Traceback",
        "  File 'x.py', line 3",
        "ValueError: bad",
        "after 1",
        "after 2",
        "… 500 more lines",
    ]


def test_of_several_ranks_that_say_the_same_the_first_counts(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("".join(f"[rank{n}]: frame of {n}\n[rank{n}]: ValueError: bad\n" for n in range(64)))
    assert telling_lines(log, CAUSE, 5)[:2] == ["[rank0]: frame of 0", "[rank0]: ValueError: bad"]


@pytest.mark.parametrize("diagnosis", [None, CAUSE, Diagnosis(Blame.CODE, "exit-code", "", "fact: exit code 1")])
def test_where_the_cause_is_near_the_end_or_not_in_the_log_its_last_lines_are_shown(tmp_path: Path, diagnosis):
    log = tmp_path / "log"
    log.write_text("".join(f"{n}\n" for n in range(100)))
    assert telling_lines(log, diagnosis, 3) == ["97", "98", "99"]
    log.write_text("".join(f"{n}\n" for n in range(100)) + "ValueError: bad\n")
    assert telling_lines(log, diagnosis, 3) == ["98", "99", "ValueError: bad"]


def test_a_reason_that_begins_in_one_line_and_goes_on_in_the_next_is_found(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("before\nAssertionError:\nNot equal to tolerance\n" + "after\n" * 90)
    cause = Diagnosis(Blame.CODE, "assertion", "", "AssertionError: Not equal to tolerance", 2)
    assert telling_lines(log, cause, 6)[:2] == ["before", "AssertionError:"]


def test_only_the_items_that_did_not_pass_are_said_to_be_more():
    items = tuple(Item(f"t[{n}]", "failed" if n % 10 == 0 else "passed", 0.1) for n in range(100))
    test, ending = Test("a.py"), Ending(Cause.EXITED, 1)
    attempt = Attempt(test, 1, 0.0, 0.0, 1.0, ending, "log", results=Results(items))
    result = Result("a.py", Verdict(Outcome.FAILED, "exit code 1"), (attempt,))
    assert [item.name for item in items_of(result, 3)[0]] == ["t[0]", "t[10]", "t[20]"]
    assert [items_of(result, most)[1] for most in (3, 10, 50, 200)] == [7, 0, 0, 0]


def test_a_line_that_is_data_is_cut_and_says_by_how_much(tmp_path):
    """10 MB without a line's end would be the whole report."""
    (tmp_path / "log").write_text("begin\n" + "x" * 5000 + "\nKeyError: 'no'\n")
    shown = ["begin", "x" * 2000 + "… 3,000 more characters", "KeyError: 'no'"]
    assert last_lines(tmp_path / "log", 10) == shown
    diagnosis = Diagnosis(Blame.CODE, "exception", "", "KeyError: 'no'", 3)
    assert telling_lines(tmp_path / "log", diagnosis, 10) == shown


@pytest.mark.parametrize("unseen", [b"\0", b"\x1b[A\x1b[B", b"\x1b[31m\x1b[0m", b"\x1b]0;x\x07", b"\xc2\x90"])
def test_lines_are_looked_for_behind_so_much_of_which_nothing_is_left_to_see_and_no_more(tmp_path: Path, unseen):
    log = tmp_path / "log"
    log.write_bytes(b"KeyError: 1\n" + unseen * (100_000 // len(unseen)) + b"\n")
    assert last_lines(log, 3) == ["KeyError: 1"]
    log.write_bytes(b"KeyError: 1\n" + unseen * ((1 << 22) // len(unseen)) + b"\n")
    assert last_lines(log, 3) == [], "a flood is not read for the sake of what no terminal shows any more"
