"""What the maintainer of a host has set for all (``trainci host setup``): the file ``settings``."""

from __future__ import annotations

import grp
import json
import os
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
    directory.write(path, json.dumps(asdict(settings)), OWN)


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
    """Refuse ``--priority high`` to whoever may not have it.

    :raises UsageError: this user is not in the group that may.
    """
    group = read_settings(directory).high_priority_group
    if not group or os.geteuid() == 0:
        return
    try:
        may = grp.getgrnam(group).gr_gid in (os.getegid(), *os.getgroups())
    except KeyError:
        may = False
    if not may:
        me = user_name(os.geteuid())
        raise UsageError(f"--priority high is for members of the group {group} here, and {me} is none.")
