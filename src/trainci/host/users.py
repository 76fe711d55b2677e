"""The names of users and groups."""

from __future__ import annotations

import grp
import pwd


def user_name(uid: int) -> str:
    """What to call a user: his name, else his number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """What to call a group: its name, else its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
