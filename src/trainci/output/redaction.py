"""Pure: keeps secrets out of what is shown."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
import urllib.parse
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from xml.sax import saxutils

MASK = b"***"
# What a terminal obeys or passes over instead of showing it, and which would then join what it had parted: colours,
# titles and other sequences (ECMA-48), control characters. NUL is one, so that UTF-16 and UTF-32 are seen, too.
_LONGEST_SEQUENCE = 1 << 12
_STRING = rb"(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d-\x9f])(?:[^\x07\x1b\xc2]|\xc2(?!\x9c)){0,%d}" % _LONGEST_SEQUENCE
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\v\f\r\x1b"})
_UNSHOWN = re.compile(
    rb"(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*[@-~]|%s(?:\x07|\x1b\\|\xc2\x9c)|\x1b[ -/]*[0-~]"
    rb"|\xc2[\x80-\x84\x86-\x9f]|[\x1b%s]+" % (_STRING, re.escape(_CONTROLS))
)
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_BEGUN = re.compile(rb"(?:\x1b[ -/]*|\xc2|(?:\x1b\[|\xc2\x9b)[0-?]*[ -/]*|%s(?:\x1b|\xc2)?)\Z" % _STRING)
# However much of it stands in what may become a secret, no more than this is waited for.
_MOST_HELD = 1 << 16


class Redactor:
    """Replaces secrets in a stream of bytes, also when a read ends in the middle of one.

    What a program makes of a secret is replaced, too: quoted for a URL or a shell, in JSON, HTML or XML, as Python
    shows it, in hexadecimal digits, in base64 and base32 (wherever in the encoded text it stands), each line of
    several, reversed; and whatever stands between its characters that no terminal shows. So are the two ends of one
    that is shown as ``'hf_Ab3xQ9...Rt5Yc1Je'``. Empty secrets are ignored: an unset variable read with a default of
    ``""`` must not mask everything.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = list(secrets)
        # The longest first, so that a secret that begins with another one is replaced whole.
        found = {_UNSHOWN.sub(b"", form) for secret in secrets for form in _forms(secret)} - {b""}
        self._secrets = sorted(found, key=lambda form: (-len(form), form))
        self._cut = [form for secret in secrets for form in _cut_forms(secret)]
        first = {form[:1] for form in found} | ({sign[:1] for sign in _LEFT_OUT} if self._cut else set())
        self._first = re.compile(b"|".join(map(re.escape, first)))
        self._part_starts = (*_LEFT_OUT, *(form[:_SHORTEST_ENCODED] for form in self._cut))
        self._near_parts = {
            end for form in self._cut for end in (form[:_SHORTEST_ENCODED], form[-_SHORTEST_ENCODED:])
        }
        self._longest = max([len(self._secrets[0]) if self._secrets else 0, *(2 * len(form) for form in self._cut)])
        self._pending = b""

    @cached_property
    def _any(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(map(re.escape, self._secrets)))

    @cached_property
    def _any_or_part(self) -> re.Pattern[bytes]:
        return re.compile(self._any.pattern + b"|" + self._parts.pattern)

    @cached_property
    def _parts(self) -> re.Pattern[bytes]:
        """The beginning or the end of a secret beside the sign for what is left out, or both."""
        lengths = [
            (form, range(min(_LONGEST_PART, len(form) - 1), _SHORTEST_ENCODED - 1, -1)) for form in self._cut
        ]
        begun = b"|".join(re.escape(form[:length]) for form, each in lengths for length in each)
        ended = b"|".join(re.escape(form[-length:]) for form, each in lengths for length in each)
        signs = b"|".join(map(re.escape, _LEFT_OUT))
        return re.compile(rb"(?:%s)(?:%s)(?:%s)?|(?:%s)(?:%s)" % (begun, signs, ended, signs, ended))

    def feed(self, data: bytes) -> bytes:
        """What can be shown so far: all but an end that may turn out to begin a secret."""
        if not self._secrets:
            return data
        seen = _Seen(self._pending + data)
        undecided = self._undecided_from(seen.text)
        shown, position = self._masked(seen, undecided)
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
        shown, position = self._masked(seen, len(seen.text))
        return shown + data[position:]

    def _masked(self, seen: _Seen, end: int) -> tuple[bytes, int]:
        """What is shown up to behind the last secret that begins before ``end`` of the text, and where that is."""
        # Nearly always it holds none, which is far cheaper to see than with the pattern.
        part = self._holds_part(seen.text)
        if not part and not any(secret in seen.text for secret in self._secrets):
            return b"", 0
        shown, position = [], 0
        for match in (self._any_or_part if part else self._any).finditer(seen.text):
            if match.start() >= end:
                break
            shown += [seen.raw[position : seen.place(match.start())], MASK]
            position = seen.place(match.end() - 1) + 1
        return b"".join(shown), position

    def _undecided_from(self, text: bytes) -> int:
        """Where the longest end of ``text`` that is the beginning of a secret starts."""
        for first in self._first.finditer(text, max(0, len(text) - self._longest + 1)):
            end = text[first.start() :]
            if any(secret.startswith(end) for secret in self._secrets) or (self._cut and self._begins_part(end)):
                return first.start()
        return len(text)

    def _holds_part(self, text: bytes) -> bool:
        near = any(sign in text for sign in _LEFT_OUT) and any(end in text for end in self._near_parts)
        return near and self._parts.search(text) is not None

    def _begins_part(self, end: bytes) -> bool:
        """Whether ``end`` may go on as the beginning of a secret, the sign for what is left out, and its end."""
        if not end.startswith(self._part_starts):
            return any(sign.startswith(end) for sign in _LEFT_OUT)
        for sign in _LEFT_OUT:
            begun, said, rest = end.partition(sign)
            begun = begun if said else begun.rstrip(sign)
            if any(form.startswith(begun) and rest in form for form in self._cut):
                return True
        return False


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


# Of less, base64 leaves too little that is the secret's alone.
_SHORTEST_ENCODED = 6
# What pytest, reprlib and others write for the middle of a long text, and how much they show of it beside that at
# the most (`saferepr`: 240 characters in all). What is shorter than the least is shown whole.
_LEFT_OUT = (b"...", "\N{HORIZONTAL ELLIPSIS}".encode())
_LONGEST_PART = 120
_SHORTEST_CUT = 16
# How many characters of base64 programs write in one line: PEM's (RFC 7468), MIME's (RFC 2045).
_LINES = (64, 76)


def _forms(secret: str) -> Iterator[bytes]:
    """The ways in which a program may write ``secret``, as GitHub's runner masks them, and some more."""
    for text in _texts(secret):
        plain = text.encode("utf-8", "surrogateescape")
        yield plain
        for form in {*_quoted(text, plain), *_in_json(text)}:
            yield form.encode("utf-8", "surrogateescape")
        if len(plain) >= _SHORTEST_ENCODED:
            yield text[::-1].encode("utf-8", "surrogateescape")
            yield from _in_lines(plain)
            yield from _in_hex(plain.hex())
            yield from _in_hex(plain.hex().upper())
            yield from _in_base64(plain)
            yield from _in_base32(plain)
            yield from _in_base64(next(_in_base64(plain)))


def _texts(secret: str) -> set[str]:
    """It, and what programs make of it as they read it: nothing around it, line breaks in it, its lines alone."""
    read = secret.replace("\\n", "\n")
    parts = {part.strip().strip("\"'") for part in (secret, read, *read.splitlines())}
    return {secret, *(part for part in parts if len(part) >= _SHORTEST_ENCODED)} - {""}


def _cut_forms(secret: str) -> Iterator[bytes]:
    """What may be shown without its middle: it, and as Python shows it."""
    if len(secret) >= _SHORTEST_CUT:
        yield from {text.encode("utf-8", "surrogateescape") for text in (secret, repr(secret)[1:-1])}


def _quoted(text: str, plain: bytes) -> Iterator[str]:
    """For a URL, HTML or XML, a shell, and as Python shows it."""
    for url in (urllib.parse.quote(plain, safe=""), urllib.parse.quote(plain), urllib.parse.quote_plus(plain)):
        yield url
        yield re.sub("%..", lambda code: code[0].lower(), url)
        # An address in an address.
        yield urllib.parse.quote(url, safe="")
    yield html.escape(text)
    for escaped in (saxutils.escape(text), html.escape(text).replace("&#x27;", "'")):
        yield escaped
        yield escaped.replace("\n", "&#10;").replace("\r", "&#13;")
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "'\\''")
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", text, flags=re.ASCII)
    yield re.sub(r'([\\"$`])', r"\\\1", text)
    yield ascii(plain)[2:-1]
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]


def _in_json(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        form = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield form
        yield form.replace("/", "\\/")
        # As programs write it whose JSON may stand in a page.
        for unsafe in ("<>&", "<>&'"):
            yield "".join(f"\\u{ord(one):04x}" if one in unsafe else one for one in form)
        # A document in a document's text.
        yield json.dumps(form, ensure_ascii=ascii_only)[1:-1]


def _in_hex(digits: str) -> Iterator[bytes]:
    """Together, and as a fingerprint or a dump has them."""
    pairs = [digits[place : place + 2] for place in range(0, len(digits), 2)]
    for between in ("", ":", " ", "%", "\\x", ", 0x", ",0x"):
        yield between.join(pairs).encode()


def _in_lines(plain: bytes) -> Iterator[bytes]:
    """Each line of what is too long for one: of base64 (`base64`, PEM), and of quoted-printable (RFC 2045)."""
    encoded = next(_in_base64(plain))
    for width in _LINES if len(encoded) > min(_LINES) else ():
        lines = (encoded[place : place + width] for place in range(0, len(encoded), width))
        yield from (line for line in lines if len(line) >= _SHORTEST_ENCODED)
    yield from (line for line in quopri.encodestring(plain).split(b"=\n") if len(line) >= _SHORTEST_ENCODED)


def _in_base32(plain: bytes) -> Iterator[bytes]:
    """What is the secret's alone of its base32, at each of the five places where it can begin (RFC 4648)."""
    for before in range(5):
        encoded = base64.b32encode(b"\0" * before + plain)
        yield encoded[-(-before * 8 // 5) : (before + len(plain)) * 8 // 5]


def _in_base64(plain: bytes) -> Iterator[bytes]:
    """What is the secret's alone of its base64, at each of the three places where it can begin (RFC 4648)."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain)
        whole = encoded[-(-before * 8 // 6) : (before + len(plain)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret replaced."""
    return Redactor(secrets).mask(text)
