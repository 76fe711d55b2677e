"""The names of users."""

from __future__ import annotations

import pwd


def user_name(uid: int) -> str:
    """What to call a user: his name, else his number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
