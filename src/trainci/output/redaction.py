"""Pure: keeps secrets out of what is shown."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property

from trainci.output.secret_forms import whole_forms
from trainci.output.secret_parts import Parts

MASK = b"***"
# What a terminal obeys or passes over instead of showing it, and which would then join what it had parted: colours,
# titles and other sequences (ECMA-48), control characters. NUL is one, so that UTF-16 and UTF-32 are seen, too.
_LONGEST_SEQUENCE = 1 << 12
_STRING = rb"(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d-\x9f])(?:[^\x07\x1b\xc2]|\xc2(?!\x9c)){0,%d}" % _LONGEST_SEQUENCE
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\v\f\r\x1b"})
_UNSHOWN = re.compile(
    rb"(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*[@-~]|%s(?:\x07|\x1b\\|\xc2\x9c)|\x1b[ -/]*[0-~]"
    rb"|\xc2[\x80-\x84\x86-\x9f]|\x1b|[%s]+" % (_STRING, re.escape(_CONTROLS))
)
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_BEGUN = re.compile(rb"(?:\x1b[ -/]*|\xc2|(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*|%s(?:\x1b|\xc2)?)\Z" % _STRING)
_FEW = 4
# However much of it stands in what may become a secret, no more than this is waited for.
_MOST_HELD = 1 << 16


class Redactor:
    """Replaces secrets in a stream of bytes, also when a read ends in the middle of one.

    What a program makes of a secret is replaced, too: quoted for a URL or a shell, in JSON, HTML or XML, as Python
    shows it, in hexadecimal digits, in base64 and base32 (wherever in the encoded text it stands), each line of
    several, reversed; and whatever stands between its characters that no terminal shows. So are its parts, where it
    is shown as ``'hf_Ab3xQ9...Rt5Yc1Je'`` or wrapped. Empty secrets are ignored: an unset variable read with a
    default of ``""`` must not mask everything.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = list(secrets)
        self._parts = Parts(secrets)
        found = {_UNSHOWN.sub(b"", form) for secret in secrets for form in whole_forms(secret)} - {b""}
        # The longest first, so that a secret that begins with another one is replaced whole.
        self._secrets = sorted(found, key=lambda form: (-len(form), form))
        self._longest = len(self._secrets[0]) if found else 0
        forms = [*self._secrets, *self._parts.forms]
        self._first_few = {form[:length] for form in forms for length in range(1, _FEW)}
        self._begun: dict[bytes, list[bytes]] = {}
        for form in sorted(forms, key=len, reverse=True):
            self._begun.setdefault(form[:_FEW], []).append(form)
        self._joined = b"\0".join(forms)
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown so far: all but an end that may turn out to begin a secret."""
        if not self._secrets:
            return data
        seen = _Seen(self._pending + data)
        found, opened = self._found(seen.text)
        undecided = min(opened, self._undecided_from(seen.text))
        shown, position = _masked(seen, found, undecided)
        held = max(position, seen.open_from(undecided))
        if len(seen.raw) - held > _MOST_HELD + 4 * self._longest:
            held = len(seen.raw)
        self._pending = seen.raw[held:]
        return shown + seen.raw[position:held]

    def flush(self) -> bytes:
        """The rest, once the stream has ended."""
        rest, self._pending = self._pending, b""
        return self._whole(rest)

    def mask(self, text: str) -> str:
        """``text``, which is no part of the stream, with every secret replaced."""
        return self._whole(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _whole(self, data: bytes) -> bytes:
        seen = _Seen(data)
        shown, position = _masked(seen, self._found(seen.text)[0], len(seen.text))
        return shown + data[position:]

    def _found(self, text: bytes) -> tuple[list[tuple[int, int]], int]:
        """Where the secrets and their parts in ``text`` begin and end, in order, and from where parts may go on."""
        whole = [place for form in self._secrets if form in text for place in _places(form, text)]
        parts, opened = self._parts.find(text)
        # A part of a whole one is nothing more; of two that overlap, the first is replaced.
        spans = sorted({*whole, *parts}, key=lambda span: (span[0], -span[1]))
        kept: list[tuple[int, int]] = []
        for start, end in spans:
            if not kept or start >= kept[-1][1]:
                kept.append((start, end))
            elif end > kept[-1][1] and (start, end) in parts:
                kept[-1] = (kept[-1][0], end)
        return kept, opened

    def _undecided_from(self, text: bytes) -> int:
        """Where the longest end of ``text`` that is the beginning of a secret starts, or of a part of one."""
        place = self._parts.open_from(text)
        for length in range(1, min(_FEW, len(text) + 1)):
            if text[-length:] in self._first_few:
                place = min(place, len(text) - length)
        if text[-_FEW:] not in self._joined:
            return place
        for first, forms in self._begun.items():
            at = text.find(first, max(0, len(text) - len(forms[0])))
            while 0 <= at < place:
                if any(form.startswith(text[at:]) for form in forms):
                    place = at
                at = text.find(first, at + 1)
        return place


def _masked(seen: _Seen, found: list[tuple[int, int]], end: int) -> tuple[bytes, int]:
    """What is shown up to behind the last that was found before ``end`` of the text, and where that is."""
    shown, position = [], 0
    for start, stop in found:
        if start >= end:
            break
        shown += [seen.raw[position : seen.place(start)], MASK]
        position = seen.place(stop - 1) + 1
    return b"".join(shown), position


def _places(form: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _uncoloured(raw: bytes) -> bytes:
    return _COLOUR.sub(b"", raw) if b"\x1b" in raw else raw


def _holds_more(text: bytes) -> bool:
    """Whether ``text`` holds anything that no terminal shows, or the beginning of it."""
    return len(text.translate(None, _CONTROLS + b"\x1b")) < len(text) or (
        b"\xc2" in text and (text.endswith(b"\xc2") or _C1.search(text) is not None)
    )


class _Seen:
    """The ``text`` that is seen of ``raw``, and where in ``raw`` each byte of it stands."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._end = len(raw)
        # Colours alone are common, and taken out a lot faster than the rest.
        self.text = _uncoloured(raw)
        if _holds_more(self.text):
            begun = _BEGUN.search(raw, max(0, len(raw) - _LONGEST_SEQUENCE))
            self._end = begun.start() if begun else len(raw)
            self.text = _uncoloured(raw[: self._end])
            if _holds_more(self.text):
                self.text = _UNSHOWN.sub(b"", raw[: self._end])

    def place(self, index: int) -> int:
        """Where the byte ``index`` of the text stands in ``raw``."""
        if self.text is self.raw:
            return index
        starts, ends = self._parts
        part = bisect_right(starts, index) - 1
        return ends[part] + index - starts[part]

    def open_from(self, index: int) -> int:
        """Where in ``raw`` all that follows is still open: what is seen from ``index`` on, and half a character."""
        rest = self.text[index:]
        if not rest:
            # It may be one of C1, which is not seen, or the first of a secret.
            return len(self.raw) - self.raw.endswith(b"\xc2")
        plain = self._end == len(self.raw) and self.raw.endswith(rest)
        return len(self.raw) - len(rest) if plain else self.place(index)

    @cached_property
    def _parts(self) -> tuple[list[int], list[int]]:
        """Where each part of the text begins, in it and in ``raw``: made where it is needed, which is seldom."""
        starts, ends, length = [0], [0], 0
        for found in _UNSHOWN.finditer(self.raw, 0, self._end):
            length += found.start() - ends[-1]
            starts.append(length)
            ends.append(found.end())
        return starts, ends


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret replaced."""
    return Redactor(secrets).mask(text)
