"""What the maintainer of a host has set for all (``trainci host setup``): the file ``settings``."""

from __future__ import annotations

import functools
import grp
import json
import os
import pwd
from dataclasses import asdict, dataclass

from trainci.errors import UsageError
from trainci.host.users import user_name
from trainci.lease.store.directory import OWN, Directory
from trainci.lease.store.files import open_regular, read, remove
from trainci.lease.store.records import BROKEN
from trainci.text import printable


@dataclass(frozen=True)
class Settings:
    """``high_priority_group``: only its members, and root, may be urgent; empty where everybody may."""

    high_priority_group: str = ""


def write(directory: Directory, settings: Settings) -> None:
    """Set them, as the owner of the directory or as root.

    :raises OSError: they cannot be written.
    """
    path = directory.join("settings")
    # Another's file would stay his.
    remove(path)
    directory.write(path, text(settings), OWN)


def text(settings: Settings) -> str:
    """What their file holds."""
    return json.dumps(asdict(settings))


def read_settings(directory: Directory) -> Settings:
    """What is set; nothing where the file is that of neither root nor the owner of the directory."""
    try:
        descriptor = open_regular(directory.join("settings"))
    except OSError:
        return Settings()
    try:
        if os.fstat(descriptor).st_uid not in (0, directory.owner):
            return Settings()
        return Settings(printable(json.loads(read(descriptor))["high_priority_group"]))
    except BROKEN:
        return Settings()
    finally:
        os.close(descriptor)


def refuse_urgency(directory: Directory) -> None:
    """Refuse ``--priority high`` to a user who may not have it.

    :raises UsageError: this user is not in the group that may.
    """
    if not may_be_urgent(directory, os.geteuid()):
        group, me = read_settings(directory).high_priority_group, user_name(os.geteuid())
        raise UsageError(f"--priority high is for members of the group {group} here, and {me} is none.")


def may_be_urgent(directory: Directory, uid: int) -> bool:
    """Whether this user may have ``--priority high``, by the user database of the system."""
    group = read_settings(directory).high_priority_group
    return not group or uid == 0 or _is_member(uid, group)


@functools.cache
def _is_member(uid: int, group: str) -> bool:
    """Asked once: the database may be that of another machine, and who asks keeps the queue."""
    try:
        user, wanted = pwd.getpwuid(uid), grp.getgrnam(group).gr_gid
    except KeyError:
        return False
    return wanted in os.getgrouplist(user.pw_name, user.pw_gid)
