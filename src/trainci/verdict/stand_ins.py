"""Pure: what is of a test's own making: what it puts in others' place, and what it quotes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A test that puts something of its own in a library's place, or ends what it speaks to, is told of faults by that.
_WORDS = (
    *("monkeypatch.setattr(", "side_effect", "patch.object(", "@patch("),
    *("os.kill(", "ray.kill(", "remove_node(", ".send_signal("),
    *("patch.setenv(", "patch.delenv(", "patch.dict("),
    *("respx.", "responses.add", "@responses.", "httpretty."),
)
# What is named after mocks (``mock.patch``, ``respx_mock.get``, ``MockTransport``), or is a server's fake, is one
# where it is used; so is what throws, but contextlib.
_SERVERS = "hub|server|http|client|api|registry|store|s3|backend|service|endpoint|session"
_FAKE = rf"(?:mock|(?:fake|stub|dummy)_?(?:{_SERVERS}))"
_MOCK = re.compile(rf"(?i){_FAKE}\w{{0,40}}(?:\.\w|\()|def \w+\(.*{_FAKE}|(?<!self\.gen)\.throw\(")
STAND_INS = (*_WORDS, "mock", "fake", "stub", "dummy", ".throw(")
"""Texts of which a line that puts something in a library's place holds one."""
# Of what a test sets in its environment this says which devices and servers there are for it.
_SETS = re.compile(r"patch\.(?:setenv|delenv|dict)\(")
_PLACES = re.compile(r"(?i)VISIBLE_DEVICES|_PROXY\b|OFFLINE|ENDPOINT|_URL\b")
_PLAYS = re.compile(
    r"unittest/mock\.py$|/(?:responses|requests_mock|respx|httpretty|vcr|pytest_httpx|pytest_socket|aioresponses|moto)/"
)


def plays(file: str) -> bool:
    """Whether a traceback's ``file`` is of a library that plays others to a test."""
    return _PLAYS.search(file) is not None


def stands_in(text: str) -> bool:
    """Whether a line of source puts something of a test's own in a library's place."""
    if not any(map(text.lower().__contains__, STAND_INS)):
        return False
    if _SETS.search(text):
        return _PLACES.search(text) is not None
    return any(word in text for word in _WORDS) or _MOCK.search(text) is not None


# A test's name may hold what it is about, as may what tells how it ended, a line of its source, and what it got and
# did not want.
_NAME = re.compile(r"\S+\.py::[^\s\[]*(?:\[.*?\])?(?=\s|$)")
_GOT, _WANTED = r"\b(?i:got|actual|received|but was|have)\b", r"\b(?i:want(?:ed)?|expected|should be)\b"
_SHOWS = re.compile(
    r"\s*raise |[+\s]*(?:echo|printf) |.*\((?:want|wanted|expected) [\"'`]"
    r"|\s*(?:ok|not ok|PASS(?:ED)?|[✓✔✗✕]|--- (?:PASS|FAIL):|\[ +(?:OK|RUN|FAILED) +\]|test \S+ \.\.\.)\s"
    rf"|.*{_GOT}\W{{0,3}}[\"'`].*[\"'`].{{0,9}}{_WANTED}|.*{_WANTED}\W{{0,3}}[\"'`].*[\"'`].{{0,9}}{_GOT}"
)


def quotes(text: str) -> bool:
    """Whether a line tells what a test got and did not want, how one ended, or is one of a source that says it."""
    return _SHOWS.match(text) is not None


# What a test or a tool says of faults that it brings about itself.
_BRINGS = re.compile(
    r"(?i)\b(?:injected|injector|fault[ -]?inject\w*|on purpose|deliberate(?:ly)?|chaos|faked)\b|[\[(]fake\b"
)


def brings(lines: Iterable[str]) -> bool:
    """Whether one of ``lines`` says that a fault is brought about by whoever writes the log."""
    return any(map(_BRINGS.search, lines))


def without_name(text: str) -> str:
    """``text`` without the name of a test of pytest's that it begins with."""
    return _NAME.sub("", text, count=1)
