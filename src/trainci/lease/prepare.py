"""Prepares a host for all its users (``trainci host setup``): the lock directory and the locks of its devices."""

from __future__ import annotations

import grp
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainci.errors import MachineError, UsageError
from trainci.lease.store import settings
from trainci.lease.store.directory import ALL, FOLDERS, OWN, Directory, open_directory
from trainci.lease.store.files import open_regular
from trainci.lease.store.trust import DEFAULT, PREPARED
from trainci.model.device import Device
from trainci.text import counted

_TMPFILES = Path("/etc/tmpfiles.d/trainci.conf")


@dataclass(frozen=True)
class Wish:
    """How a host is to be: its lock directory (empty: the best place), and which groups may what (empty: all)."""

    lock_dir: str
    group: str
    high_priority_group: str


def prepare(wish: Wish, devices: Sequence[Device]) -> list[str]:
    """Do what is missing, as root; sentences that say what was done. It may be done again at any time.

    :raises UsageError: this is not root, or a group does not exist.
    :raises MachineError: it cannot be done.
    """
    if os.geteuid() != 0:
        raise UsageError("only root prepares a host: sudo trainci host setup")
    group = _gid(wish.group) if wish.group else 0
    if wish.high_priority_group:
        _gid(wish.high_priority_group)
    try:
        return _prepare(wish, group, devices)
    except OSError as error:
        raise MachineError(f"{error.filename}: {error.strerror}.") from None


def _prepare(wish: Wish, group: int, devices: Sequence[Device]) -> list[str]:
    path, linked = _place(wish.lock_dir)
    mode = 0o3770 if wish.group else 0o1777
    said = [f"the lock directory is {path}"]
    said += [f"{DEFAULT} leads there, for containers and older versions"] if linked else []
    Path(path).mkdir(mode=0o700, exist_ok=True)
    _share_folder(path, group, mode)
    directory = open_directory(path, may_be_private=True)
    _share_again(directory, group, mode)
    said.append(f"{f'group {wish.group}' if wish.group else 'everybody'} may use it (it is root's, mode {mode:o})")
    for device in devices:
        os.close(directory.open_lock(directory.join("devices", f"{device.uuid}.lock")))
    locks = f"{counted(len(devices), 'GPU')} found, the lock of each is there"
    said.append(locks if devices else "there is no GPU")
    settings.write(directory, settings.Settings(wish.high_priority_group))
    who = f"group {wish.high_priority_group}" if wish.high_priority_group else "everybody"
    said.append(f"--priority high is for {who}")
    said.append(_lasting(path, mode, wish.group or "root", linked))
    return said


def _place(wanted: str) -> tuple[str, bool]:
    """The path of the directory, and whether the old place is a link to it.

    Where the old place is a directory, leases may run in it: a second directory would be a second queue.
    """
    if wanted:
        return os.path.abspath(wanted), False
    if os.path.isdir(DEFAULT) and not os.path.islink(DEFAULT):
        return DEFAULT, False
    if not Path(PREPARED).parent.is_dir():
        return DEFAULT, False
    # The link first: it is there or not, and as long as it leads nowhere no other directory can be made.
    if not os.path.lexists(DEFAULT) and Path(DEFAULT).parent.is_dir():
        os.symlink(PREPARED, DEFAULT)
    return PREPARED, os.path.islink(DEFAULT) and os.readlink(DEFAULT) == PREPARED


# What others write, too; all the rest they read and lock.
_SHARED = {"queue": ALL, "health": ALL, "drained": ALL, "ledger": ALL}


def _share_again(directory: Directory, group: int, mode: int) -> None:
    """Whoever made it earlier, and for whom: its folders are root's, and all that lasts is as open as it."""
    directory.mend()
    for folder in FOLDERS:
        _share_folder(directory.join(folder), group, mode & 0o777 | 0o1000)
        for name in directory.names(folder):
            _share_file(directory.join(folder, name), group, _SHARED.get(folder, OWN) & mode)
    for name in directory.names(""):
        _share_file(directory.join(name), group, _SHARED.get(name, OWN) & mode)


def _share_folder(path: str, group: int, mode: int) -> None:
    # Whoever made it could put a link to another folder in its place at any moment before.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, 0, group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _share_file(path: str, group: int, mode: int) -> None:
    try:
        descriptor = open_regular(path)
    except OSError:
        # A folder, a pipe, or gone.
        return
    try:
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _lasting(path: str, mode: int, group: str, linked: bool) -> str:
    """See that it is there again after a boot."""
    if not path.startswith(("/run/", "/dev/shm/", "/tmp/")):
        return f"{path} stays over a boot"
    if not _TMPFILES.parent.is_dir():
        return f"there is no {_TMPFILES.parent} here: see that {path} is made again after each boot"
    lines = [f"d {path} {mode:o} root {group}", *([f"L {DEFAULT} - - - - {path}"] if linked else [])]
    _TMPFILES.write_text("# Written by `trainci host setup`.\n" + "".join(f"{line}\n" for line in lines))
    return f"{_TMPFILES} makes it again after each boot"


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!a} on this host: `groupadd {group}` makes it.") from None
