"""A test's output is read as a terminal would show it."""

from __future__ import annotations

import itertools
import time

import pyte
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import examples

from trainci.output.screen import LONGEST_LINE, Screen


def shown(data: bytes, **options: object) -> list[str]:
    screen = Screen(**options)  # type: ignore[arg-type]
    return [*screen.feed(data), *screen.finish()]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"no end", ["no end"]),
        (b"\n\n", ["", ""]),
        (b"a\0b\x1b[\x003mc\x7f\n" + b"\0" * 9, ["abc"]),
        (b" 10%|#  |\r 50%|## |\r100%|###|\n", ["100%|###|"]),
        (b"long line\rshort\n", ["shortline"]),
        (b"long line\r\x1b[Kshort\n", ["short"]),
        (b"abc\b\bX\n", ["aXc"]),
        (b"\x1b[31mred\x1b[0m\n", ["red"]),
        (b"\x1b]0;a title\x07text\n", ["text"]),
        (b"\x1b]52;c;ZXZpbA==\x1b\\text\n", ["text"]),
        (b"\x1bP1$r0m\x1b\\text\n", ["text"]),
        ("\x9b31mred\x9c".encode(), ["red"]),
        (b"tab\there\n", ["tab\there"]),
        (b"bell\x07\x00\n", ["bell"]),
        ("Zürich\n".encode(), ["Zürich"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
    ],
)
def test_lines_are_those_that_a_terminal_would_show(data, lines):
    assert shown(data) == lines


def test_a_bar_above_another_is_one_line_however_often_it_is_painted():
    bars = b"first 0%\n" + b"".join(b"second %d%%\x1b[A\rfirst %d%%\n" % (i, i) for i in range(50)) + b"\nend\n"
    assert shown(bars, held=10) == ["first 49%", "second 49%", "end"]


def test_repainting_what_was_given_already_gives_no_line_again():
    bars = b"first 0%\n" + b"".join(b"second %d%%\x1b[A\rfirst %d%%\n" % (i, i) for i in range(50)) + b"\nend\n"
    assert shown(bars) == ["first 0%", "second 49%", "end"]


def test_colours_are_kept_where_they_are_wanted_and_end_with_the_line():
    assert shown(b"\x1b[31mred\nplain\n", colors=True) == ["\x1b[31mred\x1b[0m", "plain"]


def test_nothing_but_colours_reaches_a_terminal():
    evil = "\x1b[31mred\x1b]52;c;x\x07\x1b[2J\x1b[6n\x1bc\x9d52;c;y\x9c\n"
    assert shown(evil.encode(), colors=True) == ["\x1b[31mred\x1b[0m"]


def test_no_line_is_shown_in_another_order_than_it_has():
    data = "a\u202ederf\u202c \u2066b\u2069\n".encode()
    assert shown(data) == ["a\\u202ederf\\u202c \\u2066b\\u2069"] == shown(data[:-1])
    screen = Screen()
    assert screen.feed(data[:-1]) == [] and screen.partial() == shown(data)[0]
    assert shown("│ “é” 宽\n".encode()) == ["│ “é” 宽"]


def test_a_line_that_never_ends_is_given_in_pieces():
    lines = shown(b"x" * (3 * LONGEST_LINE + 5))
    assert [len(line) for line in lines] == [LONGEST_LINE] * 3 + [5]


@pytest.mark.parametrize("length", [10, LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 3 * LONGEST_LINE])
def test_lines_of_any_length_are_the_same_as_text(length):
    data = b"".join(b"%d" % (number % 10) * (length - number % 3) + b"\n" for number in range(40))
    screen = Screen()
    text = b"".join(screen.feed_bytes(data[place : place + 100_000]) for place in range(0, len(data), 100_000))
    assert text.decode().split("\n")[:-1] + screen.finish() == shown(data)


def test_an_unfinished_line_can_be_looked_at():
    screen = Screen()
    screen.feed(b"50%\r60%")
    assert screen.partial() == "60%"


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_pieces_of_any_size_give_the_same_lines(data, cuts):
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    screen = Screen(held=3)
    lines = [line for a, b in itertools.pairwise(places) for line in screen.feed(data[a:b])]
    assert lines + screen.finish() == shown(data, held=3)


@given(st.binary(max_size=400))
def test_no_line_holds_what_a_terminal_would_obey(data):
    for line in shown(data):
        assert all(
            character == "\t" or not (ord(character) < 32 or 127 <= ord(character) < 160) for character in line
        )


PIECES = [
    "a",
    "bc",
    "\r",
    "\n",
    "\b",
    "\x1b[K",
    "\x1b[1K",
    "\x1b[2K",
    "\x1b[A",
    "\x1b[2C",
    "\x1b[D",
    "\x1b[5G",
    "\x1b[31m",
    "é",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_a_terminal_shows_the_same(pieces):
    """Held against pyte, a terminal emulator; its screen is large enough that nothing scrolls."""
    terminal = pyte.Screen(200, 80)
    terminal.set_mode(pyte.modes.LNM)
    text = "\n" * 40 + "".join(pieces)
    pyte.Stream(terminal).feed(text)
    expected = [line.rstrip(" ") for line in terminal.display]
    lines = [line.rstrip(" ") for line in shown(text.encode(), held=100)]
    lines += [""] * (len(expected) - len(lines))
    assert lines == expected


@settings(max_examples=examples(400))
@given(
    st.lists(
        st.sampled_from(
            [*(piece for piece in PIECES if piece != "\x1b[A"), "\t", " ", "wörd", "\x9b1m", "\x1b[?1m", "\x0b"]
        )
    ),
    st.integers(1, 20),
    st.booleans(),
)
@example(["a", "\x9b1m", "\r", "a", "a"], 1, True)
@example(["a", "\x1b[?1m", "\r", "a", "a"], 1, True)
def test_the_short_ways_show_what_the_long_way_shows(pieces, size, colors):
    """Without lines that are held back, most output is read line by line, and not character by character."""
    data = "".join(pieces).encode()
    screen = Screen(colors=colors)
    lines = [line for place in range(0, len(data), size) for line in screen.feed(data[place : place + size])]
    expected = shown(data, held=100, colors=colors)
    assert lines + screen.finish() == expected
    other = Screen(colors=colors)
    text = b"".join(other.feed_bytes(data[place : place + size]) for place in range(0, len(data), size))
    assert [line.rstrip(" ") for line in text.decode().split("\n")[:-1]] + other.finish() == expected


HOSTILE = [
    b"a plain line\n", b"with a blank at its end \n", b"\n", b"\r\n", b" 50%\r", b"\t", b"\x07", b"\b", b"\x7f",
    "wörd █\n".encode(), "\x9b1mbold\n".encode(), "\x85".encode(), b"\xc3", b"\xa9", b"\xc2", b"\x9b", b"\xff",
    b"\0", b"\x1b[31mred\x1b[0m\n", b"\x1b", b"[31m", b"[", b"1", b"m", b"\x1b[K", b"\x1b]0;title", b"\x1b\\",
    b"\x9d0;t",
    b"y" * (LONGEST_LINE // 2 - 1), b"x" * (LONGEST_LINE + 1),
]  # fmt: skip
# Few kinds at a time: most output is plain, or all of one kind.
FEW = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).flatmap(
    lambda few: st.lists(st.sampled_from([HOSTILE[0], *few]), max_size=20)
)


@settings(max_examples=examples(400))
@given(FEW, st.lists(st.floats(0, 1), max_size=4), st.booleans())
def test_any_bytes_cut_anywhere_show_what_the_long_way_shows(pieces, cuts, colors):
    """Whole lines of a piece are taken at once where nothing in them is to be obeyed."""
    data = b"".join(pieces)
    places = [0, *sorted(int(cut * len(data)) for cut in cuts), len(data)]
    screen = Screen(colors=colors)
    text = b"".join(screen.feed_bytes(data[a:b]) for a, b in itertools.pairwise(places)).decode()
    lines = [line.rstrip(" ") for line in text.split("\n")[:-1]] + screen.finish()
    assert lines == shown(data, held=100, colors=colors)


def _seconds(data: bytes, size: int = 65536) -> float:
    screen = Screen()
    began = time.process_time()
    for place in range(0, len(data), size):
        screen.feed(data[place : place + size])
    return time.process_time() - began


@pytest.mark.parametrize(
    "line", [b"x" * 1000, b"loss 0.1\n" * 100, b" 50%|###|\r" * 100, b"\x1b[31m", b"\x1b]0;", b"\x1b[A"]
)
def test_time_grows_with_the_output_and_not_with_its_square(line):
    small, large = line * 100, line * 1600
    ratio = _seconds(large) / max(_seconds(small), 0.002)
    assert ratio < 16 * 6, "16 times the output may not take 256 times the time"


def test_a_bar_costs_no_more_in_one_piece_than_in_many():
    """A run that is interrupted looks for lines in the last 4 MiB of a log, which are one piece."""
    data = b"\r 50%|##########          | 12345/24690 [00:10<00:10, 1234.5it/s]" * 40_000
    many, one = (min(_seconds(data, size) for _ in range(3)) for size in (65536, len(data)))
    assert one < 5 * many
