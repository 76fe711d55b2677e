"""Pure: exceptions that only say that what somebody sent is not what was asked for, and why it was not.

A gateway's page is no JSON, half a file no archive, and a library that gets none of it finds no key in what it got:
that a server did not answer as it should stands in another line, near by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from trainci.verdict.clients import EVERY
from trainci.verdict.drawn import HEADER
from trainci.verdict.hits import PAGE, Hit
from trainci.verdict.last_words import Tail
from trainci.verdict.pytest_report import CUT_OFF
from trainci.verdict.raised import Chain, Raised

# Libraries that speak to servers, and those that read what came from one.
_CLIENTS = re.compile(rf"-packages/datasets/|/(?:{EVERY})/")
_READERS = re.compile(
    r"(?:^|/)(?:json/|xml/|gzip\.py|zipfile|tarfile\.py|lzma\.py|zlib|pickle\.py|pyarrow/|safetensors/|pandas/"
    r"|torch/(?:serialization|hub)\.py|numpy/lib/)"
)
# What such a library raises itself, of what it was given, is none.
_MISTAKES = re.compile(r"(?:Key|Type|Attribute|Index|Value)Error\b|\w*(?:Decode|Pars|ContentType)\w*Error\b")
_ASKED_WRONGLY = re.compile(r"unexpected keyword|positional argument")
OF_SERVERS = frozenset(
    {
        *("hub-error", "hub-rate-limit", "hub-network", "network", "proxy", "dns", "remote-not-reached"),
        *("container-engine", "git-fetch", "package-index", PAGE),
    }
)
"""The rules of lines that say that a server did not give what it was asked for."""
_PAGES = frozenset({"remote-not-reached", "proxy", PAGE})
_NO_ANSWER = re.compile(r"(?i)\bupload|\bpush(?:ing|ed)?\b|\breport(?:ing)?\b|telemetry")
_OTHERS = re.compile(r"https?://(?!localhost|127\.|0\.0\.0\.0|\[::1\]|[\w-]+[:/])[\w-]+\.")
_FILE = re.compile(r"[\w-]{2,}\.[a-z]\w{0,11}(?![\w.-])")
_NEAR = 40
_ABOVE = 3


def why_unreadable(chain: Chain, raised: Raised, hits: Iterable[Hit], tail: Tail) -> Hit | None:
    """The line by which a server is why ``raised`` was, None where it is not about an answer or none tells."""
    asks = _CLIENTS.search(raised.inner_file) and _MISTAKES.match(raised.name)
    if raised.own or raised.played or not (asks or _READERS.search(raised.inner_file)):
        return None
    if _ASKED_WRONGLY.search(raised.text):
        return None
    through = asks or any(_CLIENTS.search(f"/{library}/") for library in raised.libraries)
    near = (hit for hit in hits if _is_near(hit, chain) and _is_of_server(hit, tail))
    return next((hit for hit in near if through or _is_about(hit, chain, tail)), None)


def _is_of_server(hit: Hit, tail: Tail) -> bool:
    if hit.rule.name not in OF_SERVERS or hit.again or _NO_ANSWER.search(hit.line.text):
        return False
    said = (*tail.before(hit.line.number).lines[-_ABOVE:], hit.line.text)
    return hit.rule.name != PAGE or any(map(_OTHERS.search, said))


def _is_near(hit: Hit, chain: Chain) -> bool:
    """Whether a line is of the output of the same test, or right above the traceback, and no work went on since.

    What was sent may be shown below it, too.
    """
    is_below = 0 < hit.line.number - chain.raised[-1].line <= _NEAR
    if chain.test:
        return is_below and (hit.captured or chain.test == CUT_OFF)
    return (is_below and hit.rule.name in _PAGES) or (
        hit.progress == chain.progress and -_NEAR <= hit.line.number - chain.line < 0
    )


def _is_about(hit: Hit, chain: Chain, tail: Tail) -> bool:
    """Whether a line is about the file that was read: it names it, as the traceback does, or stands right above."""
    below = tail.before(chain.line).lines[hit.line.number - chain.line + 1 :]
    if any(HEADER in said for said in below[:1]):
        return True
    shown = " ".join(below)
    told = (*tail.before(hit.line.number).lines[-_ABOVE:], hit.line.text)
    return any(name in shown for said in told for name in _FILE.findall(said))
