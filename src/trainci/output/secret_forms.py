"""Pure: what programs make of a secret as they write it."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
import urllib.parse
from collections.abc import Iterator
from xml.sax import saxutils

# Of less, base64 leaves too little that is the secret's alone.
SHORTEST_ENCODED = 6
# What is shorter is shown whole, or not at all.
SHORTEST_CUT = 16
# The beginning or end of one beside the sign for what is left out. Of less, programs show it on purpose.
SHORTEST_END = 6
# How a byte is written, and what stands between two: digits alone, a fingerprint, a dump, a URL, C, a list, XML.
_BYTE_BY_BYTE = (
    ("%02x", ""), ("%02x", ":"), ("%02x", " "), ("%%%02x", ""), ("\\x%02x", ""), ("0x%02x", ", "), ("0x%02x", ","),
    ("%d", ", "), ("%d", ","), ("&#%d;", ""), ("&#x%02x;", ""), ("\\u%04x", ""),
)  # fmt: skip


def whole_forms(secret: str) -> Iterator[bytes]:
    """The ways in which a program may write ``secret``, as GitHub's runner masks them, and some more."""
    for text in _texts(secret):
        plain = text.encode("utf-8", "surrogateescape")
        yield plain
        for form in {*_quoted(text, plain), *_in_json(text)}:
            yield form.encode("utf-8", "surrogateescape")
        if len(plain) >= SHORTEST_ENCODED:
            yield text[::-1].encode("utf-8", "surrogateescape")
            yield from (line for line in quopri.encodestring(plain).split(b"=\n") if len(line) >= SHORTEST_ENCODED)
            yield from _byte_by_byte(plain)
            if len(plain) < SHORTEST_CUT:
                yield from _in_base64(plain)
            yield from _in_base32(plain)
            yield from _in_base64(next(_in_base64(plain)))
            # What is whole of it: five characters are four bytes.
            yield from (encode(plain)[: len(plain) // 4 * 5] for encode in (base64.b85encode, base64.a85encode))


def parted_forms(secret: str) -> Iterator[tuple[bytes, list[bytes]]]:
    """Those that may be shown in parts, and by what each is looked for: its ends, and what each line has of it.

    Of base64 and of what is wrapped for a reader, a line has at least 31 bytes.
    """
    if len(secret) < SHORTEST_CUT:
        return
    plain = secret.encode("utf-8", "surrogateescape")
    for form in {plain, repr(secret)[1:-1].encode("utf-8", "surrogateescape")}:
        yield form, [form[:SHORTEST_END], *_spread(form, 16), form[-SHORTEST_END:]]
    for form in {*_in_base64(plain)}:
        yield form, _spread(form, 16)


def dumped_forms(secret: str) -> Iterator[tuple[bytes, list[bytes]]]:
    """Those that ``hexdump -C``, ``curl --trace`` and ``xxd`` show in lines of 16 bytes."""
    if len(secret) < SHORTEST_CUT:
        return
    plain = secret.encode("utf-8", "surrogateescape")
    yield plain, _spread(plain, 8)
    for dump in (plain.hex(" "), plain.hex(" ", -2), f"{plain[:1].hex()} {plain[1:].hex(' ', -2)}"):
        for form in (dump.encode(), dump.upper().encode()):
            yield form, _spread(form, 8)


def _spread(form: bytes, length: int) -> list[bytes]:
    """Pieces of ``form``, of which each line of it has one: the more of them, the slower is what looks for them."""
    between = min(max(len(form) // 8, length), 44) if length > 8 else length
    return [form[place : place + length] for place in range(0, len(form) - length + 1, between)]


def _texts(secret: str) -> set[str]:
    """It, and what programs make of it as they read it: nothing around it, line breaks in it, its lines alone."""
    read = secret.replace("\\n", "\n")
    parts = {part.strip().strip("\"'") for part in (secret, read, *read.splitlines())}
    return {secret, *(part for part in parts if len(part) >= SHORTEST_ENCODED)} - {""}


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
    # `$'...'` of a shell's trace.
    escaped = text.translate({39: "\\'", 92: "\\\\", 9: "\\t", 10: "\\n", 13: "\\r"})
    yield escaped
    yield "".join(f"\\{byte:o}" if byte > 126 else chr(byte) for byte in escaped.encode("utf-8", "surrogateescape"))
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


def _byte_by_byte(plain: bytes) -> Iterator[bytes]:
    for small, between in _BYTE_BY_BYTE:
        for byte in {small, small.replace("2x", "2X").replace("4x", "4X")}:
            # Of the first it is the digits alone that are always there.
            yield between.join(byte % one for one in plain).lstrip("%\\0x").encode()


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
