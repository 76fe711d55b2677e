"""Pure: who may read the pages: by the name that the browser asked for, and by a token."""

from __future__ import annotations

import hmac
import re
from http.cookies import CookieError, SimpleCookie

COOKIE = "trainci_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PORT = re.compile(r":\d{1,5}\Z")


def is_our_name(host: str) -> bool:
    """Whether a ``Host`` header names this host itself.

    A page of somebody else's, whose name was made to lead to 127.0.0.1 (DNS rebinding), asks by its own name.
    """
    return _PORT.sub("", host).strip("[]").lower() in LOOPBACK


def has_token(token: str, authorization: str, cookie: str) -> bool:
    """Whether one of the two headers holds ``token``."""
    scheme, _, given = authorization.partition(" ")
    return is_token(token, given if scheme.lower() == "bearer" else "") or is_token(token, _in_cookie(cookie))


def is_token(token: str, given: str) -> bool:
    """Compared in a time that tells nothing of ``token``."""
    return hmac.compare_digest(token.encode(), given.strip().encode("utf-8", "replace"))


def _in_cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
