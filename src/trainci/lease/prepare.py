"""Prepares a host for all its users (``trainci host setup``): the lock directory and the locks of its devices."""

from __future__ import annotations

import grp
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainci.errors import MachineError, UsageError
from trainci.host.users import group_name
from trainci.lease.protocol import LOCK_DIR_VARIABLE
from trainci.lease.store import settings
from trainci.lease.store.directory import ALL, FOLDERS, OWN, Directory, open_directory
from trainci.lease.store.files import open_regular
from trainci.lease.store.trust import DEFAULT, PREPARED, group_of, refuse_unshared
from trainci.model.device import Device
from trainci.text import counted

_TMPFILES = Path("/etc/tmpfiles.d/trainci.conf")


@dataclass(frozen=True)
class Wish:
    """How a host is to be: its lock directory (empty: the best place), and which groups may what (empty: all).

    None for a group: as it is, so that whoever mends a host opens it to nobody new; all where nothing was set.
    """

    lock_dir: str = ""
    group: str | None = None
    high_priority_group: str | None = None


@dataclass(frozen=True)
class _Share:
    """For whom the lock directory is: a group, or (empty) everybody."""

    group: str
    gid: int
    kept: bool

    @property
    def mode(self) -> int:
        return 0o3770 if self.group else 0o1777


def prepare(wish: Wish, devices: Sequence[Device]) -> tuple[str, list[str]]:
    """Do what is missing, as root; the path, and sentences that say what was done. It may be done again.

    :raises UsageError: this is not root, a group does not exist, or the directory cannot be made there.
    :raises MachineError: it cannot be done.
    """
    if os.geteuid() != 0:
        raise UsageError("only root prepares a host: sudo trainci host setup")
    path = _place(wish.lock_dir)
    refuse_unshared(path, meant=bool(wish.lock_dir))
    share = _share(wish.group, path)
    if wish.high_priority_group:
        _gid(wish.high_priority_group)
    try:
        return path, _prepare(path, wish, share, devices)
    except OSError as error:
        raise MachineError(f"{error.filename}: {error.strerror}.") from None


def _prepare(path: str, wish: Wish, share: _Share, devices: Sequence[Device]) -> list[str]:
    linked = path == PREPARED and not wish.lock_dir and _is_led_to()
    said = [f"the lock directory is {path}"]
    said += [f"{DEFAULT} leads there, for containers and older versions"] if linked else []
    _make(path)
    _share_folder(path, share.gid, share.mode)
    directory = open_directory(path, may_be_private=True)
    _share_again(directory, share.gid, share.mode)
    who = f"group {share.group}" if share.group else "everybody"
    kept = ", as before" if share.kept else ""
    said.append(f"{who} may use it{kept} (it is root's, mode {share.mode:o})")
    if path not in (PREPARED, DEFAULT):
        said.append(f"it is used where --lock-dir or {LOCK_DIR_VARIABLE}={path} says so: set that for all users")
    for device in devices:
        os.close(directory.open_lock(directory.join("devices", f"{device.uuid}.lock")))
    locks = f"{counted(len(devices), 'GPU')} found, the lock of each is there"
    said.append(locks if devices else "there is no GPU")
    set_before = settings.read_settings(directory)
    urgent = set_before.high_priority_group if wish.high_priority_group is None else wish.high_priority_group
    settings.write(directory, settings.Settings(urgent))
    said.append(f"--priority high is for {f'group {urgent}' if urgent else 'everybody'}")
    said.append(_lasting(path, share, settings.Settings(urgent), linked))
    return said


def _place(wanted: str) -> str:
    """The path of the directory.

    Where the old place is a directory, leases may run in it: a second directory would be a second queue.
    """
    if wanted:
        return os.path.abspath(wanted)
    if os.path.isdir(DEFAULT) and not os.path.islink(DEFAULT):
        return DEFAULT
    return PREPARED if Path(PREPARED).parent.is_dir() else DEFAULT


def _is_led_to() -> bool:
    """Whether the old place is a link to the new one, which is made where nothing is there."""
    # The link first: it is there or not, and as long as it leads nowhere no other directory can be made.
    if not os.path.lexists(DEFAULT) and Path(DEFAULT).parent.is_dir():
        os.symlink(PREPARED, DEFAULT)
    return os.path.islink(DEFAULT) and os.readlink(DEFAULT) == PREPARED


def _share(wanted: str | None, path: str) -> _Share:
    """What is wanted; else how root shares the directory already, else with everybody.

    :raises UsageError: there is no such group.
    """
    if wanted is not None:
        return _Share(wanted, _gid(wanted) if wanted else 0, kept=False)
    group = group_of(path)
    if group is None:
        return _Share("", 0, kept=False)
    return _Share(group_name(group), group, kept=True)


def _make(path: str) -> None:
    """Make the directory, for nobody yet.

    :raises UsageError: it cannot be made there.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the lock directory {path} cannot be made: {error.strerror}. Name another with --lock-dir, on tmpfs "
            "or a local disk."
        ) from None


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


def _lasting(path: str, share: _Share, set_to: settings.Settings, linked: bool) -> str:
    """See that it is there again after a boot, with what was set."""
    if not path.startswith(("/run/", "/dev/shm/", "/tmp/")):
        return f"{path} stays over a boot"
    if not _TMPFILES.parent.is_dir():
        return f"there is no {_TMPFILES.parent} here: see that {path} is made again after each boot"
    group, mode = share.group or "root", share.mode
    lines = [
        f"d {_field(path)} {mode:o} root {group}",
        f"f {_field(f'{path}/settings')} {OWN & mode:o} root {group} - {_escaped(settings.text(set_to))}",
        *([f"L {DEFAULT} - - - - {path}"] if linked else []),
    ]
    _TMPFILES.write_text("# Written by `trainci host setup`.\n" + "".join(f"{line}\n" for line in lines))
    return f"{_TMPFILES} makes it again after each boot"


def _escaped(text: str) -> str:
    """As tmpfiles.d(5) reads it back: without specifiers and escapes."""
    return text.replace("\\", "\\\\").replace("%", "%%")


def _field(path: str) -> str:
    escaped = _escaped(path).replace('"', '\\"')
    return f'"{escaped}"' if any(ch.isspace() or ch in "\"'" for ch in path) else escaped


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!a} on this host: `groupadd {group}` makes it.") from None
