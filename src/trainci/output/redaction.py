"""Pure: keeps secrets out of what is shown."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from functools import cached_property
from xml.sax import saxutils

MASK = b"***"
# Colours and the like (ECMA-48, SGR), which a reader takes out, and which would then join what they had parted.
_SGR = rb"\x1b\[[0-9;:]*m"

_SGR_OR_ITS_BEGIN = _SGR + rb"|\x1b(?:\[[0-9;:]*)?\Z"
# How many bytes of colours may stand in a secret that a read ends in.
_COLOURS = 64


def _parted(secret: bytes) -> bytes:
    """A pattern of ``secret`` with colours between its bytes."""
    return (b"(?:%s)*" % _SGR).join(re.escape(bytes([byte])) for byte in secret)


class Redactor:
    """Replaces secrets in a stream of bytes, also when a read ends in the middle of one.

    What a program makes of a secret is replaced, too: quoted for a URL or a shell, in JSON, HTML or XML, as Python
    shows it, in hexadecimal digits, in base64 (wherever in the encoded text it stands), each line of several. Empty
    secrets are ignored: an unset variable read with a default of ``""`` must not mask everything.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first, so that a secret that begins with another one is replaced whole.
        found = {form for secret in secrets for form in _forms(secret)}
        self._secrets = sorted(found, key=lambda form: (-len(form), form))
        self._first = re.compile(b"|".join(re.escape(byte) for byte in {form[:1] for form in found}))
        self._pending = b""

    @cached_property
    def _plain(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(map(re.escape, self._secrets)))

    @cached_property
    def _coloured(self) -> re.Pattern[bytes]:
        """Made where it is needed: it takes ten times as long as all else here."""
        return re.compile(b"|".join(map(_parted, self._secrets)))

    def feed(self, data: bytes) -> bytes:
        """What can be shown so far: all but an end that may turn out to begin a secret."""
        if not self._secrets:
            return data
        buffer = self._pending + data
        undecided = self._undecided_from(buffer)
        pattern = self._pattern_for(buffer)
        if pattern is None:
            self._pending = buffer[undecided:]
            return buffer[:undecided]
        shown, position = [], 0
        for match in pattern.finditer(buffer):
            if match.start() >= undecided:
                break
            shown += [buffer[position : match.start()], MASK]
            position = match.end()
        shown.append(buffer[position:undecided])
        self._pending = buffer[max(position, undecided) :]
        return b"".join(shown)

    def flush(self) -> bytes:
        """The rest, once the stream has ended."""
        rest, self._pending = self._pending, b""
        return self._masked(rest)

    def mask(self, text: str) -> str:
        """``text``, which is no part of the stream, with every secret replaced."""
        return self._masked(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _masked(self, data: bytes) -> bytes:
        pattern = self._pattern_for(data)
        return pattern.sub(MASK, data) if pattern else data

    def _pattern_for(self, buffer: bytes) -> re.Pattern[bytes] | None:
        """What finds the secrets of ``buffer``; nearly always it holds none, which is far cheaper to see."""
        if any(secret in buffer for secret in self._secrets):
            return self._coloured if b"\x1b" in buffer else self._plain
        if b"\x1b" not in buffer:
            return None
        plain = re.sub(_SGR, b"", buffer)
        return self._coloured if any(secret in plain for secret in self._secrets) else None

    def _undecided_from(self, buffer: bytes) -> int:
        """Where the longest end of ``buffer`` that is the beginning of a secret starts."""
        for first in self._first.finditer(buffer, max(0, len(buffer) - len(self._secrets[0]) - _COLOURS + 1)):
            end = buffer[first.start() :]
            if b"\x1b" in end:
                end = end[:1] + re.sub(_SGR_OR_ITS_BEGIN, b"", end[1:])
            if any(secret.startswith(end) for secret in self._secrets):
                return first.start()
        return len(buffer)


# Of less, base64 leaves too little that is the secret's alone.
_SHORTEST_ENCODED = 6


def _forms(secret: str) -> Iterator[bytes]:
    """The ways in which a program may write ``secret``, as GitHub's runner masks them, and some more."""
    for text in {secret, *(line for line in secret.splitlines() if len(line) >= _SHORTEST_ENCODED)} - {""}:
        plain = text.encode("utf-8", "surrogateescape")
        yield plain
        for form in {*_quoted(text, plain), *_in_json(text)}:
            yield form.encode("utf-8", "surrogateescape")
        if len(plain) >= _SHORTEST_ENCODED:
            yield plain.hex().encode()
            yield plain.hex().upper().encode()
            yield from _in_base64(plain)
            yield from _in_base64(next(_in_base64(plain)))


def _quoted(text: str, plain: bytes) -> Iterator[str]:
    """For a URL, HTML or XML, a shell, and as Python shows it."""
    for url in (urllib.parse.quote(plain, safe=""), urllib.parse.quote(plain), urllib.parse.quote_plus(plain)):
        yield url
        yield re.sub("%..", lambda code: code[0].lower(), url)
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
