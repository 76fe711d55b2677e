"""Nobody waits for whoever reads what a run prints."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wait_until

from trainci.console.excerpt import PAINTED, Excerpt
from trainci.console.painter import Painter
from trainci.console.plain import Console
from trainci.model import events
from trainci.model.run import Cause, Ending, Phase, Run

pytestmark = pytest.mark.slow

BOTH = Phase.BOTH
PASSED = Ending(Cause.EXITED, 0)
FINISHED = Run("run-1", "c", 0.0, 1.0, (), "no GPU", 0)


class Stuck(io.StringIO):
    """A stream that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.taking = threading.Event()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.taking.set()
        assert self.free.wait(60)
        return super().write(text)


def skipping(stream: io.StringIO, clock: Callable[[], float]) -> Console:
    return Console(stream, clock, skips=True)


def output(data: bytes, test_id: str = "a.py") -> events.Output:
    return events.Output(0.0, test_id, 1, BOTH, data)


def stuck_in_a_write(
    console: Callable[[io.StringIO, Callable[[], float]], Console] = Console,
) -> tuple[Painter, Stuck]:
    stream = Stuck()
    painter = Painter(console(stream, lambda: 0.0))
    painter.__enter__()
    painter.note("first")
    assert stream.taking.wait(60)
    return painter, stream


def test_all_is_painted_in_its_order_and_no_line_is_lost():
    painter, stream = stuck_in_a_write()
    for number in range(1000):
        painter(output(b"line %d\nhalf" % number))
        painter(output(b" and half\n"))
    painter(events.Ended(0.0, "a.py", 1, BOTH, Ending(Cause.LOST, detail="gone")))
    painter.summary(FINISHED, Path())
    stream.free.set()
    painter.__exit__()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "first"
    expected = [text for number in range(1000) for text in (f"a.py | line {number}", "a.py | half and half")]
    assert lines[1:2001] == expected
    assert "a.py: attempt 1 was lost: gone" in lines[2001]
    assert lines[-1].startswith("no tests")


def test_who_has_more_output_is_told_to_keep_it_while_the_reader_is_behind():
    painter, stream = stuck_in_a_write()
    taken = 0
    while painter.has_room():
        painter(output(b"x" * 9999 + b"\n"))
        taken += 10_000
    assert taken < 1 << 22
    stream.free.set()
    wait_until(painter.has_room, "room, once somebody reads")
    painter.__exit__()
    assert stream.getvalue().count("x") == taken // 10_000 * 9999


def test_who_waits_for_room_is_told_as_soon_as_there_is_some():
    painter, stream = stuck_in_a_write()
    while painter.has_room():
        painter(output(b"x" * 9999 + b"\n"))
    assert not painter.has_room(0.01), "nobody reads"
    with ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        room = threads.submit(painter.has_room, 60)
        stream.free.set()
        assert room.result()
        assert time.monotonic() - began < 50, "it waited no longer than it had to"
    painter.__exit__()


def test_what_nobody_can_read_is_counted_and_not_painted():
    painter, stream = stuck_in_a_write(skipping)
    for number in range(100_000):
        painter(output(b"line %05d\n" % number))
        assert painter.has_room()
    stream.free.set()
    painter.__exit__()
    _, note, *lines = stream.getvalue().splitlines()
    assert lines[-1] == "a.py | line 99999"
    assert note == f"a.py | … {100_000 - len(lines):,} lines more in the log"
    assert len(lines) < 20_000


def test_a_bar_that_nobody_could_follow_is_bounded_too():
    painter, stream = stuck_in_a_write(skipping)
    for number in range(100_000):
        painter(output(b"\r%05d it/s" % number))
    painter(events.Ended(0.0, "a.py", 1, BOTH, PASSED))
    stream.free.set()
    painter.__exit__()
    assert stream.getvalue().splitlines() == ["first", "a.py | 99999 it/s"]


def test_a_reader_that_takes_nothing_is_given_up_once_the_run_was_interrupted():
    painter, _ = stuck_in_a_write()
    while painter.has_room():
        painter(output(b"x" * 10_000))
    painter.hurry()
    assert painter.has_room(), "nothing is held back any more"
    painter(output(b"x" * 10_000))
    painter.summary(FINISHED, Path())
    began = time.monotonic()
    painter.__exit__()
    assert time.monotonic() - began < 30


def test_a_console_that_fails_holds_nothing_up_and_is_told_afterwards():
    class Fails(Console):
        def _on(self, event: events.Event) -> None:
            raise KeyError("a bug")

    painter = Painter(Fails(io.StringIO(), lambda: 0.0))
    with painter:
        while painter.error is None:
            painter(output(b"x\n"))
        assert painter.has_room()
    assert isinstance(painter.error, KeyError)


LINE = b"step %07d " + b"x" * 60 + b"\n"


def long_output(lines: int, piece: int = 1000) -> Iterator[bytes]:
    """In pieces that end in the middle of a line."""
    text = b"".join(LINE % number for number in range(lines))
    size = piece * len(LINE % 0) + 7
    return (text[place : place + size] for place in range(0, len(text), size))


def painted(
    pieces: Iterable[bytes], *, log: str = "runs/1/a.log", change: Callable[[Console], object] = lambda _: None
) -> list[str]:
    stream = io.StringIO()
    console = Console(stream, lambda: 0.0)
    change(console)
    with Painter(console) as painter:
        painter(events.Queued(0.0, "a.py", 1, log, 0))
        for data in pieces:
            assert painter.has_room(60)
            painter(output(data))
        painter(events.Ended(0.0, "a.py", 1, BOTH, Ending(Cause.LOST, detail="gone")))
    return stream.getvalue().splitlines()


def test_of_a_long_output_the_beginning_and_the_end_are_painted_and_the_rest_is_counted():
    lines = 400_000
    said = painted(long_output(lines))
    (told,) = (index for index, line in enumerate(said) if "the rest is in" in line)
    assert said[told] == "a.py | … the rest is in runs/1/a.log; its end follows when the test ends"
    expected = [f"a.py | {(LINE % number).decode().rstrip()}" for number in range(lines)]
    assert said[:told] == expected[:told]
    assert PAINTED <= told * len(LINE % 0) < PAINTED + len(LINE % 0)
    end = said[told + 2 : -1]
    assert len(end) > 100 and end == expected[-len(end) :]
    assert said[told + 1] == f"a.py | … {lines - told - len(end):,} lines more in runs/1/a.log"
    assert "gone" in said[-1], "the end of the test comes after the end of its output"


def test_an_output_that_is_hardly_too_long_is_painted_whole():
    lines = PAINTED // len(LINE % 0) + 100
    said = painted(long_output(lines))
    assert [line for line in said if "step" in line] == [
        f"a.py | {(LINE % number).decode().rstrip()}" for number in range(lines)
    ]
    assert not any("more in" in line for line in said)


def test_verbose_paints_all_of_a_long_output():
    lines = PAINTED // len(LINE % 0) * 2
    said = painted(long_output(lines), change=lambda console: setattr(console, "whole", True))
    assert len(said) == lines + 1


@pytest.mark.parametrize("end", [b"", b"\r"], ids=["one line", "a bar"])
def test_of_a_long_output_without_line_ends_the_bytes_are_counted(end):
    last = b"\nTraceback\nKeyError: 1"
    said = painted([(b"x" * 79 + end) * 1000] * 400 + [last])
    only_in_log = (79 + len(end)) * 400_000 + len(last) - PAINTED - (1 << 16)
    assert [line for line in said if "…" in line] == [
        "a.py | … the rest is in runs/1/a.log; its end follows when the test ends",
        f"a.py | … {only_in_log / (1 << 20):.1f} MiB more in runs/1/a.log",
    ]
    assert said[-3:-1] == ["a.py | Traceback", "a.py | KeyError: 1"]


def test_each_attempt_of_each_test_has_an_excerpt_of_its_own():
    stream = io.StringIO()
    names = ("a.py", "b.py")
    with Painter(Console(stream, lambda: 0.0)) as painter:
        for attempt in (1, 2):
            for name in names:
                painter(events.Queued(0.0, name, attempt, f"{name}-{attempt}.log", 0))
            for data in long_output(300_000):
                for name in names:
                    painter(output(data, name))
                    assert painter.has_room(60)
            for name in names:
                painter(events.Ended(0.0, name, attempt, BOTH, PASSED))
    told = [line for line in stream.getvalue().splitlines() if "…" in line]
    for name in names:
        of_it = [line for line in told if line.startswith(f"{name} | ")]
        assert [line.partition(" in ")[2].partition(";")[0] for line in of_it] == [
            f"{name}-{attempt}.log" for attempt in (1, 1, 2, 2)
        ]


def test_what_is_in_no_log_is_painted_however_long_it_is():
    """The disk is full: what a reader of the stream does not get is lost."""
    stream = io.StringIO()
    with Painter(Console(stream, lambda: 0.0)) as painter:
        for data in long_output(300_000):
            painter(output(data))
        for _ in range(300):
            assert painter.has_room(60)
            painter(replace(output((b"lost " + b"x" * 60 + b"\n") * 1000), logged=False))
        painter(events.Ended(0.0, "a.py", 1, BOTH, PASSED))
    lines = stream.getvalue().splitlines()
    assert sum(line.startswith("a.py | lost") for line in lines) == 300_000
    first = next(index for index, line in enumerate(lines) if line.startswith("a.py | lost"))
    assert lines[first - 1].startswith("a.py | step 0299999 ")


class OneWriter(io.StringIO):
    """No text stream of Python's may be written to by two threads at once; this one notices."""

    crowded = False

    def __init__(self) -> None:
        super().__init__()
        self._in_use = False

    def write(self, text: str) -> int:
        self.crowded |= self._in_use
        self._in_use = True
        time.sleep(0.0001)
        self._in_use = False
        return super().write(text)


def test_output_of_many_threads_stays_whole_lines():
    stream = OneWriter()

    def talk(test_id: str) -> None:
        for number in range(100):
            for half in (b"%03d-half" % number, b"-of-%03d\n" % number):
                painter(output(half, test_id))

    with Painter(Console(stream, lambda: 0.0)) as painter, ThreadPoolExecutor(4) as threads:
        list(threads.map(talk, [f"t{i}.py" for i in range(4)]))
    expected = {f"t{i}.py | {number:03}-half-of-{number:03}" for i in range(4) for number in range(100)}
    lines = stream.getvalue().splitlines()
    assert set(lines) == expected and len(lines) == len(expected)
    assert not stream.crowded


def test_two_bars_side_by_side_are_one_line_each():
    stream = io.StringIO()
    with Painter(Console(stream, lambda: 0.0)) as painter:
        for number in range(1001):
            for test_id in ("a.py", "b.py"):
                painter(output(b"\r%d%%" % number, test_id))
        for test_id in ("a.py", "b.py"):
            painter(output(b"\n", test_id))
    assert sorted(stream.getvalue().splitlines()) == ["a.py | 1000%", "b.py | 1000%"]


def test_characters_that_are_cut_at_the_border_of_two_pieces_are_whole():
    stream = io.StringIO()
    with Painter(Console(stream, lambda: 0.0)) as painter:
        for byte in "loss → 0 ✓\n".encode():
            painter(output(bytes([byte])))
    assert stream.getvalue() == "a.py | loss → 0 ✓\n"


def test_nothing_that_a_terminal_would_obey_reaches_it():
    stream = io.StringIO()
    evil = "\x1b]52;c;ZXZpbA==\x07\x1bP+q\x1b\\\x9d0;t\x9c\x1b[2Jtext\n".encode()
    with Painter(Console(stream, lambda: 0.0)) as painter:
        painter(output(evil))
        painter(events.Ended(0.0, "a.py", 1, BOTH, Ending(Cause.LOST, detail="\x1b]52;c;x\x07\x9b2J")))
    assert stream.getvalue().startswith("a.py | text\n")
    assert not {"\x1b", "\x07", "\x9d", "\x9b"} & set(stream.getvalue())


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([b"\n", b"x", b"ab\n", b"x" * 5000 + b"\n"]), st.integers(1, 40_000))
    ),
    most=st.integers(0, 100_000),
)
def test_an_excerpt_loses_nothing_and_keeps_little(pieces, most):
    text = b"".join((piece * count)[:300_000] for piece, count in pieces)
    excerpt = Excerpt(most)
    begin = b"".join(excerpt.begin((piece * count)[:300_000]) for piece, count in pieces)
    between, end = excerpt.end()
    left = text[len(begin) : len(text) - len(end)]
    assert text.startswith(begin) and text.endswith(end)
    assert len(begin) <= most + (1 << 12) and len(end) <= 1 << 16
    assert bool(between) == bool(left)
    if lines := left.count(b"\n"):
        assert between == f"{lines:,} lines"
