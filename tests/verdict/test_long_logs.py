"""Of a log of any length the first cause and the end are found, and what was not read is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from trainci import log_files
from trainci.log_files import packaged_rules, read_log
from trainci.model.diagnosis import Blame, Diagnosis, Facts
from trainci.verdict import log_reader
from trainci.verdict.diagnose import diagnose
from trainci.verdict.log_reader import LogReader
from trainci.verdict.triage import Triage

STALE = "OSError: [Errno 116] Stale file handle: '/mnt/nfs/shard-7.tar'"
CAUSE = ["Traceback (most recent call last):", '  File "/repo/data.py", line 4, in load', "    open(path)", STALE]
PEER = "[rank3]: torch.distributed.DistBackendError: NCCL error: remote process exited or there was a network error"
WAITS = "DEBUG rank {} waits, {} ms; connection to 10.0.0.2 up; heartbeat {:x}"


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_CHUNK", 1 << 12)
    monkeypatch.setattr(log_files, "_WHOLE", 1 << 13)
    monkeypatch.setattr(log_reader, "_MOST_ALIKE", 20)


def explained(folder: Path, before: int, cause: list[str], after: int) -> Diagnosis:
    lines = [f"step {n} loss 2.1" for n in range(before)]
    lines += [*cause, *(WAITS.format(n % 8, n, n) for n in range(after)), PEER]
    log = folder / "log"
    log.write_text("\n".join(lines) + "\n")
    return diagnose(read_log(log, packaged_rules()), Facts(exit_code=1))


@pytest.mark.usefixtures("_short")
def test_the_first_cause_is_found_in_the_middle_of_a_long_log_and_what_was_not_read_is_said(tmp_path: Path) -> None:
    found = explained(tmp_path, 1000, CAUSE, 1000)
    assert (found.blame, found.rule, found.line) == (Blame.MACHINE, "file-system-broken", 1004)
    unread = int(found.sentence.partition("(")[2].partition(" of ")[0])
    assert 500 < unread < 1000 and "of 2005 lines" in found.sentence


@pytest.mark.usefixtures("_short")
def test_of_lines_in_the_same_words_only_so_many_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    take = LogReader._take
    monkeypatch.setattr(LogReader, "_take", lambda self, line, among: (taken.append(line), take(self, line, among)))
    explained(tmp_path, 1000, CAUSE, 1000)
    assert len(taken) < 500


@pytest.mark.usefixtures("_short")
def test_both_ends_of_a_long_log_are_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[bool] = []
    feed = LogReader.feed

    def counted(self: LogReader, batch: Sequence[str], whole: bool = True) -> None:
        fed.extend([whole] * sum(len(line) + 1 for line in batch))
        feed(self, batch, whole)

    monkeypatch.setattr(LogReader, "feed", counted)
    explained(tmp_path, 1000, CAUSE, 1000)
    # A piece ends within a line, which is of the next one.
    ends = log_files._WHOLE - len(PEER)
    assert all(fed[:ends]) and all(fed[-ends:])
    assert not any(fed[2 * log_files._WHOLE : -2 * log_files._WHOLE])


def test_of_a_log_of_usual_length_every_line_is_read(tmp_path: Path) -> None:
    found = explained(tmp_path, 100, CAUSE, 300)
    assert found.rule == "file-system-broken" and "not read" not in found.sentence


def test_lines_that_differ_in_their_numbers_alone_are_looked_through_once_and_told_apart_by_them() -> None:
    numbers = {"errno 0": 1, "404": 2, "reset": 3}
    triage = Triage(["errno 28", "404", "reset"], lambda _, words: tuple(sorted(numbers[word] for word in words)))
    lines = [
        "status 200",
        "status 404",
        "step 1404",
        "errno 28",
        "errno 5",
        "Connection RESET by 7",
        "",
        "x\ny 404",
    ]
    found = triage.found(lines)
    assert {place: patterns for place, patterns in found.items() if patterns} == {
        1: (2,),
        2: (2,),
        3: (1,),
        4: (1,),
        5: (3,),
        7: (2,),
    }
    assert triage.found(lines) == found


def test_what_is_remembered_of_lines_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainci.verdict.triage._MOST_SHAPES", 50)
    triage = Triage(["reset"], lambda *_: (3,))
    for n in range(100):
        lines = [f"line {chr(97 + n % 26)} {k * 'q'} reset" for k in range(40)]
        assert list(triage.found(lines)) == list(range(40))
    assert len(triage._shapes) <= 90
