"""Pure: what a test puts in the place of a library or a server, whose faults are then of its own making."""

from __future__ import annotations

import re

# A test that puts something of its own in a library's place is told of a server's faults by that.
STAND_INS = (
    *("monkeypatch.setattr(", "side_effect", "mocker.patch", "mock.patch", ".throw(", "patch.object(", "@patch("),
    *("respx.", "responses.add", "@responses.", "requests_mock", "httpx_mock", "MockTransport(", "httpretty."),
)
_PLAYS = re.compile(
    r"unittest/mock\.py$|/(?:responses|requests_mock|respx|httpretty|vcr|pytest_httpx|pytest_socket|aioresponses|moto)/"
)


def plays(file: str) -> bool:
    """Whether a traceback's ``file`` is of a library that plays others to a test."""
    return _PLAYS.search(file) is not None


def stands_in(text: str) -> bool:
    """Whether a line of source puts something of a test's own in a library's place."""
    return any(word in text for word in STAND_INS)
