"""How long a server that refuses a request asks to be left alone, as its answer's headers say. Pure.

``Retry-After`` is RFC 9110, section 10.2.3. What says when a rate limit's window ends is in all the forms of
draft-ietf-httpapi-ratelimit-headers: ``RateLimit: "api";r=0;t=240`` (from its version 08, the Hub's form),
``RateLimit: limit=100, remaining=0, reset=240`` (07), ``RateLimit-Reset: 240`` (to 06); and before it came
``X-RateLimit-Reset``, in seconds, or the time in seconds or milliseconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

TOO_MANY_REQUESTS = 429
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PARAMETER = re.compile(r"\b(r|t|remaining|reset)\s*=\s*([0-9]{1,18})\b")
# No window lasts for thirty years, so such a number is a time; and seconds never come this far.
_A_TIME = 1e9
_IN_MILLISECONDS = 1e11


def asked_wait(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """The seconds until all that an answer names is over, or None if it asks for no wait.

    ``status`` is the answer's code: only with 429 is a window what refuses. ``now`` is the time, in seconds since
    1970; where the answer has a ``Date``, that is the clock that its times are of.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    here = _time(named.get("date", "")) or now
    waits = [_retry_after(named.get("retry-after", ""), here)]
    if status == TOO_MANY_REQUESTS:
        waits += _windows(named.get("ratelimit", ""))
        waits += [_reset(named, prefix, here) for prefix in ("ratelimit", "x-ratelimit")]
    longest = max(waits)
    return longest if longest > 0 else None


def _retry_after(value: str, now: float) -> float:
    return _number(value) or (_time(value) or now) - now


def _windows(value: str) -> Iterator[float]:
    """The ends of the windows that are used up."""
    # Names may hold anything, commas too.
    text = _QUOTED.sub("", value)
    # Version 07 has one window, of which each member is a part.
    for window in [text] if "remaining" in text else text.split(","):
        found = dict(_PARAMETER.findall(window))
        if int(found.get("r") or found.get("remaining") or 0) == 0:
            yield float(found.get("t") or found.get("reset") or 0)


def _reset(named: Mapping[str, str], prefix: str, now: float) -> float:
    if _number(named.get(f"{prefix}-remaining", "")):
        return 0.0
    reset = _number(named.get(f"{prefix}-reset", ""))
    if reset > _IN_MILLISECONDS:
        reset /= 1000
    return reset - now if reset > _A_TIME else reset


def _number(value: str) -> float:
    return float(value) if re.fullmatch("[0-9]{1,18}", value) else 0.0


def _time(value: str) -> float | None:
    """The time of an HTTP-date (RFC 9110, section 5.6.7)."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
