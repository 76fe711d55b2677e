"""A log is read once, whatever is in it, in memory that does not grow with it."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict.cases import cases

from trainci.log_files import packaged_rules, read_log
from trainci.model.diagnosis import Facts
from trainci.verdict import log_reader
from trainci.verdict.diagnose import diagnose
from trainci.verdict.log_reader import LogReader, Reading

ASSERTION = ["Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "AssertionError: no"]


def _read(lines: list[str], size: int = 1000) -> Reading:
    reader = LogReader(packaged_rules())
    for start in range(0, len(lines), size):
        reader.feed(lines[start : start + size])
    return reader.finish()


@pytest.mark.slow  # over all logs
def test_how_a_log_is_cut_into_pieces_changes_nothing() -> None:
    for case in cases():
        lines = case.log.decode("utf-8", "replace").split("\n")
        whole, by_line = (diagnose(_read(lines, size), case.facts) for size in (1 << 30, 1))
        assert whole == by_line, case.name


@given(
    st.lists(
        st.sampled_from([*ASSERTION, "", "E   x", "=== FAILURES ===", "___ t ___", "OSError: [Errno 28] x"])
        | st.text()
    )
)
def test_no_text_breaks_it(lines: list[str]) -> None:
    diagnosis = diagnose(_read([line.replace("\n", "") for line in lines]), Facts())
    assert 0 <= diagnosis.line <= len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [64, 4096])
def test_memory_does_not_grow_with_the_log(tmp_path, monkeypatch, streams) -> None:
    monkeypatch.setattr(log_reader, "_MOST_STREAMS", streams)
    line = "[rank{}]: OSError: [Errno 28] No space left on device; Traceback (most recent call last):\n"
    peaks = []
    for count in (1, 6_000, 8_000):  # the first reading makes the rules ready
        log = tmp_path / "log"
        log.write_text("".join(line.format(number) for number in range(count)))
        tracemalloc.start()
        read_log(log, packaged_rules())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.3 * peaks[1] and peaks[2] < 30e6


@pytest.mark.slow
def test_one_line_of_any_length_is_read_to_an_end(tmp_path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (20 << 20) + b"\n" + "\n".join(ASSERTION).encode())
    assert diagnose(read_log(log, packaged_rules()), Facts()).evidence == "AssertionError: no"


def test_an_exception_that_work_went_on_after_does_not_decide() -> None:
    handled = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "OSError: [Errno 28] No space left on device",
    ]
    steps = [f"step {number} loss 1.0" for number in range(4)]
    assert diagnose(_read([*handled, *steps, *ASSERTION]), Facts()).rule == "assertion"
    assert diagnose(_read([*ASSERTION[:2], "KeyError: 'a'", *steps, *handled]), Facts()).rule == "disk-full"


def test_the_first_cause_of_several_ranks_is_named() -> None:
    def of(rank: int, text: str) -> list[str]:
        return [f"[rank{rank}]: {line}" for line in (*ASSERTION[:2], text)]

    closed = "RuntimeError: [x/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.1]:4"
    diagnosis = diagnose(_read([*of(0, closed), *of(3, "KeyError: 'reward'"), *of(1, closed)]), Facts())
    assert (diagnosis.blame.value, diagnosis.evidence, diagnosis.line) == ("code", "KeyError: 'reward'", 6)


def test_exceptions_of_ranks_whose_lines_are_mixed_are_told_apart() -> None:
    one = [f"[rank0]: {line}" for line in (*ASSERTION[:2], "OSError: [Errno 28] No space left on device")]
    other = [f"[rank1]: {line}" for line in (*ASSERTION[:2], "ConnectionResetError: [Errno 104] reset")]
    mixed = [line for pair in zip(one, other, strict=True) for line in pair]
    assert diagnose(_read(mixed), Facts()).rule == "disk-full"


def test_a_traceback_whose_head_was_cut_off_is_read() -> None:
    reading = _read(
        [
            '[rank8]:   File "/repo/checkpoint.py", line 11, in make',
            "[rank8]:     os.makedirs(directory)",
            "[rank8]: FileExistsError: [Errno 17] File exists: 'out'",
            "[rank0]:[E1201] [Rank 0] Watchdog caught collective operation timeout",
        ]
    )
    said = diagnose(reading, Facts(exit_code=1), "/repo")
    assert (said.blame.value, said.line, str(said.frame)) == ("code", 3, "checkpoint.py:11")


def test_a_stack_that_is_shown_is_no_exception() -> None:
    shown = ["Stack (most recent call last):", '  File "/repo/a.py", line 1, in f', "    g()", "Loss: 3.2"]
    assert not _read([*shown, "Killed"]).chains


def test_what_was_not_there_counts_no_more_than_what_was_made_instead() -> None:
    absent = [
        "Traceback (most recent call last):",
        '  File "setup.py", line 1, in run',
        "urllib.error.HTTPError: HTTP Error 404: Not Found",
    ]
    link = ["", "During handling of the above exception, another exception occurred:", ""]
    built = [
        "Traceback (most recent call last):",
        '  File "setup.py", line 9, in build',
        "subprocess.CalledProcessError: Command 'ninja' returned non-zero exit status 1.",
    ]
    facts = Facts(exit_code=1)
    assert diagnose(_read(absent), facts).blame.value == "config"
    assert diagnose(_read([*absent, *link, *built]), facts).blame.value == "code"


def test_what_is_said_to_be_tried_again_is_over_once_work_went_on() -> None:
    said = "Network error (ConnectTimeout), entering retry loop."
    tries, over = _read([said, *ASSERTION]), _read([said, "step 3 loss 2.0", *ASSERTION])
    assert (tries.chains[0].retried, over.chains[0].retried) == (True, False)
