"""Pure: lines as a terminal would show them in the end, read from the bytes that a program writes.

A progress bar that overwrites itself is the one line that is left of it; colours are kept or dropped, and whatever
else a terminal would obey (titles, the clipboard, queries) is dropped (ECMA-48; "XTerm Control Sequences").
"""

from __future__ import annotations

import codecs
import re
from collections import deque

from trainci.output.line import STYLE, Line

# A terminal wraps; a line this long is not read, and memory has an end.
LONGEST_LINE = 1 << 14
_LONGEST_SEQUENCE = 1 << 12
_PLAIN = bytes({*range(0x20, 0x100)} - {0x7F}) + b"\t\n\r"
# What a terminal passes over, wherever it stands.
_IGNORED = bytes({*range(0x07), *range(0x0E, 0x18), 0x19, *range(0x1C, 0x20), 0x7F})
# What makes a terminal show a line's characters in another order than they have (Unicode's bidi controls).
_ORDER = re.compile(rb"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_COLOR = re.compile(STYLE.pattern.encode())
# CSI with its parameters; a string that BEL or ST ends (OSC, DCS, SOS, PM, APC); any other escape; a character.
_TOKEN = re.compile(
    "(?:\x1b\\[|\x9b)(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    f"|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]{{0,{_LONGEST_SEQUENCE}}}(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-~]"
    "|(?P<control>[\x00-\x08\x0a-\x1f\x7f-\x9f])"
)
# The beginning of a sequence whose end has not come yet.
_UNFINISHED = re.compile(
    "(?:\x1b|(?:\x1b\\[|\x9b)[0-?]*[ -/]*|\x1b[ -/]+"
    f"|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]{{0,{_LONGEST_SEQUENCE}}}\x1b?)\\Z"
)
# Each thing of which nothing is left to see: blanks, controls and escapes.
_UNSEEN = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\n\x07\x1b]{0,4096}\x07?|\x1b[ -/]*[0-Z\\^-~]"
    rb"|\xc2[\x80-\x9f]|[\x00-\x20\x7f]+"
)
_CUT_ESCAPE = 8


def is_unseen(data: bytes) -> bool:
    """Whether nothing of ``data`` is left to see; what it begins with may be the end of an escape."""
    return len(_UNSEEN.sub(b"", data)) <= _CUT_ESCAPE


class Screen:
    """Takes bytes as they come, in pieces of any size, and gives the lines that are finished.

    ``held``: how many finished lines can still be overwritten by a program that moves the cursor up, and are given
    that much later. What is written above them is a repainting of lines that were given already, and is dropped.
    ``colors``: keep the colours (SGR) of lines that were not overwritten.
    """

    def __init__(self, *, held: int = 0, colors: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._colors = colors
        self._held = held
        self._above: deque[Line] = deque()
        self._line = Line()
        self._up = 0
        self._unread = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are finished with ``data``, without their line ends."""
        return [line.rstrip(" ") for line in self.feed_bytes(data).decode().split("\n")[:-1]]

    def feed_bytes(self, data: bytes) -> bytes:
        """As ``feed``, in UTF-8: each line with its end, and some with the blanks before it.

        Most output passes through it in a few large pieces, so that it costs less.
        """
        begin, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        before, whole = self._feed(data[:begin]), data[begin:end]
        at_begin = not (self._unread or self._up or self._held)
        shown = self._seen_at_once(whole) if whole and at_begin else None
        if shown is None:
            shown = _joined(self._feed(whole))
        return _in_order(_joined(before) + shown + _joined(self._feed(data[end:])))

    def _seen_at_once(self, lines: bytes) -> bytes | None:
        """What is seen of whole lines, None where more than colours and line ends is to be obeyed."""
        lines = lines.replace(b"\r\n", b"\n") if b"\r" in lines else lines
        uncolored = _COLOR.sub(b"", lines) if b"\x1b" in lines else lines
        if not (_is_plain(uncolored) and b"\r" not in lines and _has_short_lines(lines) and _is_utf8(lines)):
            return None
        if not self._colors or uncolored is lines:
            return uncolored
        return b"\n".join([line + b"\x1b[0m" if b"\x1b" in line else line for line in lines.split(b"\n")])

    def _feed(self, data: bytes) -> list[str]:
        found: list[str] = []
        data = data.translate(None, _IGNORED)
        if not data:
            return found
        text, self._unread = self._unread + self._decoder.decode(data), ""
        if not (self._up or self._held):
            begin = _unfinished_from(text)
            uncolored = _uncolored(text[:begin])
            if "\x1b" not in uncolored and not _has_c1(uncolored.encode()):
                self._unread = text[begin:]
                text = text[:begin]
                self._take_lines(text.split("\n") if "\n" in text else [text], found)
                return found
        self._obey(text, found)
        return found

    def partial(self) -> str:
        """The line that is not finished yet, as it looks now."""
        return _in_order(self._line.text().encode()).decode()

    def finish(self) -> list[str]:
        """What is left at the end of the output."""
        found: list[str] = []
        self._unread = ""
        self._obey(self._decoder.decode(b"", final=True), found)
        found += [line.text() for line in self._above]
        self._above.clear()
        if last := self._line.text():
            found.append(last)
        self._line = Line()
        return [_in_order(line.encode()).decode() for line in found]

    def _take_lines(self, parts: list[str], found: list[str]) -> None:
        """The first and the last may not be whole."""
        last = parts.pop()
        for number, part in enumerate(parts):
            line = self._line_of(part) if number and len(part) <= LONGEST_LINE else None
            if line is not None:
                found.append(line)
                continue
            self._take_part(part, found)
            self._newline(found)
        self._take_part(last, found)

    def _take_part(self, part: str, found: list[str]) -> None:
        """What is no whole line; of a progress bar only what can be seen in the end is written."""
        head, returned, rest = part.partition("\r")
        if not returned and _is_plain(head.encode()):
            self._write(head, found)
            return
        if returned and _is_plain(part.encode()):
            text = _overwritten(rest)
            if len(text) <= LONGEST_LINE:
                self._write(head, found)
                self._line.column = 0
                self._write(text, found)
                self._line.column = len(rest) - rest.rfind("\r") - 1
                return
        self._obey(part, found)

    def _line_of(self, part: str) -> str | None:
        """A whole line, None if it takes more than colours and carriage returns to read it."""
        uncolored = _uncolored(part)
        if not _is_plain(uncolored.encode()) or ("\r" in part and uncolored != part):
            return None
        return part + "\x1b[0m" if self._colors and uncolored != part else _overwritten(uncolored).rstrip(" ")

    def _obey(self, text: str, found: list[str]) -> None:
        if (unfinished := _UNFINISHED.search(text)) and len(text) - unfinished.start() <= _LONGEST_SEQUENCE:
            text, self._unread = text[: unfinished.start()], text[unfinished.start() :]
        end = 0
        for token in _TOKEN.finditer(text):
            self._write(text[end : token.start()], found)
            end = token.end()
            if token["control"] is not None:
                self._control(token["control"], found)
            elif token["final"] is not None:
                self._sequence(token["final"], token["parameters"], token[0])
        self._write(text[end:], found)

    def _control(self, control: str, found: list[str]) -> None:
        if control in "\n\x0b\x0c\x85":
            self._newline(found)
        elif control == "\r":
            self._row().column = 0
        elif control == "\b":
            row = self._row()
            row.column = max(0, row.column - 1)

    def _sequence(self, final: str, parameters: str, whole: str) -> None:
        first = parameters.partition(";")[0]
        count = int(first) if first.isdecimal() and len(first) < 6 else 0
        row = self._row()
        if final == "m":
            style = whole.replace("\x9b", "\x1b[")
            if self._colors and STYLE.fullmatch(style):
                row.style(style)
        elif final == "K":
            row.erase(count)
        elif final in "AF":
            self._move(max(1, count), row.column if final == "A" else 0)
        elif final in "BE":
            self._move(-max(1, count), row.column if final == "B" else 0)
        elif final == "C":
            row.column = min(LONGEST_LINE, row.column + max(1, count))
        elif final == "D":
            row.column = max(0, row.column - max(1, count))
        elif final == "G":
            row.column = min(LONGEST_LINE, max(1, count) - 1)

    def _move(self, up: int, column: int) -> None:
        self._up = min(LONGEST_LINE, max(0, self._up + up))
        self._row().column = column

    def _row(self) -> Line:
        """The line of the cursor; for one that was given already a new one each time, so that nothing stays."""
        if not self._up:
            return self._line
        return self._above[-self._up] if self._up <= len(self._above) else Line()

    def _write(self, text: str, found: list[str]) -> None:
        begin = 0
        while begin < len(text):
            row = self._row()
            room = max(0, LONGEST_LINE - row.column)
            row.write(text[begin : begin + room])
            if self._up:
                return
            begin += room
            if begin < len(text):
                self._newline(found)

    def _newline(self, found: list[str]) -> None:
        if self._up:
            self._move(-1, 0)
            return
        self._above.append(self._line)
        self._line = Line()
        while len(self._above) > self._held:
            found.append(self._above.popleft().text())


def _unfinished_from(text: str) -> int:
    """Where the beginning of a sequence starts whose end has not come yet."""
    start = text.rfind("\x1b", -_LONGEST_SEQUENCE)
    return start if start >= 0 and _UNFINISHED.match(text, start) else len(text)


def _joined(lines: list[str]) -> bytes:
    return "".join([f"{line}\n" for line in lines]).encode()


def _has_short_lines(data: bytes) -> bool:
    """Whether no line is too long, told from places that are half as far apart."""
    half = LONGEST_LINE // 2
    return all(data.find(b"\n", place, place + half) >= 0 for place in range(0, len(data) - half, half))


def _uncolored(text: str) -> str:
    return STYLE.sub("", text) if "\x1b" in text else text


def _is_plain(data: bytes) -> bool:
    """Whether there is no control character in ``data``, in UTF-8, but tabs, line ends and carriage returns."""
    return not data.translate(None, _PLAIN) and not _has_c1(data)


def _has_c1(data: bytes) -> bool:
    # A search for one byte is a lot faster than the pattern.
    return b"\xc2" in data and bool(_C1.search(data))


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _overwritten(line: str) -> str:
    """What carriage returns leave of ``line``, which has no other control character."""
    *earlier, text = line.split("\r")
    if max(map(len, earlier), default=0) > len(text):
        for segment in reversed(earlier):
            if len(segment) > len(text):
                text += segment[len(text) :]
    return text


def _in_order(shown: bytes) -> bytes:
    """``shown``, with what would reorder its characters in words."""
    if b"\xe2" not in shown:
        return shown
    return _ORDER.sub(lambda control: control[0].decode().encode("ascii", "backslashreplace"), shown)
