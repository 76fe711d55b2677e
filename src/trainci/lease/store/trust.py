"""Whether a lock directory can be trusted: that its locks reach everybody, and that no stranger owns it."""

from __future__ import annotations

import os
import stat

from trainci.errors import UsageError
from trainci.host import mounts
from trainci.host.files import read_text
from trainci.host.users import group_name, user_name

# Where the lock directory is: what root has prepared (``trainci host setup``), else what the first user makes.
PREPARED = "/run/trainci"
DEFAULT = "/dev/shm/trainci"
# What user_namespaces(7) shows of users that it has no number for (/proc/sys/kernel/overflowuid).
_OVERFLOW_UID = 65534


def refuse_strangers(path: str) -> os.stat_result:
    """Refuse a directory whose owner could put what he likes in the place of our files; what it is, otherwise.

    :raises FileNotFoundError: there is none.
    :raises UsageError: it is no directory, not ours to write, or a stranger's.
    """
    link, found = os.lstat(path), os.stat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"the lock directory {path} is not a directory: remove it, or use another --lock-dir.")
    for owned in (link, found):
        if not is_trusted(owned, 0):
            raise UsageError(
                f"the lock directory {path} belongs to user {user_name(owned.st_uid)}, who could have jobs of "
                "others ended: remove it and let root make it "
                f"(`install -d -m 2770 -g GROUP {path}`; docs/lease.md), or use another --lock-dir."
            )
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise UsageError(
            f"the lock directory {path} is mounted read-only: have it mounted writable, or use another --lock-dir."
        )
    if not os.access(path, os.W_OK | os.X_OK):
        group = group_of(path)
        if group is not None:
            raise UsageError(_outsider(path, group))
        raise UsageError(
            f"the lock directory {path} cannot be written by this user (mode {found.st_mode & 0o7777:o}): "
            f"ask its owner for `chmod 1777 {path}` (or a common group and mode 2770), or use another --lock-dir."
        )
    return found


def group_of(path: str) -> int | None:
    """The group that root has made a directory for; None where there is no such directory, or it is for all."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    of_group = stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and found.st_mode & 0o022 == 0o020
    return found.st_gid if of_group else None


def _outsider(path: str, group: int) -> str:
    """What a user is told who is not in the group that a directory is for."""
    name, me = group_name(group), user_name(os.geteuid())
    return (
        f"the lock directory {path} is for the group {name}, which this process of {me} is not in: "
        f"`sudo usermod -aG {name} {me}` and a new login, or another --lock-dir."
    )


def is_trusted(found: os.stat_result, owner: int) -> bool:
    """Does it belong to root, to ``owner``, to us, or to a member of a group that we share it with?"""
    if found.st_uid in (0, owner, os.geteuid()) or _is_of_the_host(found.st_uid):
        return True
    if stat.S_ISLNK(found.st_mode) or found.st_mode & stat.S_IWOTH:
        return False
    return found.st_gid in (os.getegid(), *os.getgroups())


def _is_of_the_host(uid: int) -> bool:
    """In a user namespace (a container without root) root of the host looks like this, and so do all its users."""
    return uid == _OVERFLOW_UID and (read_text("/proc/self/uid_map") or "").split() != ["0", "0", "4294967295"]


def refuse_unshared(path: str, meant: bool, mountinfo: str | None = None, container: bool | None = None) -> None:
    """Refuse a directory where flock does not reach everybody who shares the GPUs.

    ``mountinfo`` (proc(5)) and ``container`` are read from this host unless given.

    :raises UsageError: it is such a directory.
    """
    mount = mounts.mount_of(path, mountinfo)
    if mount.is_network:
        raise UsageError(
            f"the lock directory {path} is on a network file system ({mount.kind}), where locks are not those of "
            "this host: choose a directory on tmpfs or a local disk with --lock-dir or $TRAINCI_LOCK_DIR."
        )
    if container is None:
        container = _in_container()
    if container and not meant and (mount.point == "/" or (mount.point == "/dev/shm" and mount.source == "shm")):
        raise UsageError(
            f"this is a container and its lock directory {path} is its own, not the host's: another container "
            f"could be given the same GPUs. Mount the host's directory (docker run -v {DEFAULT}:{DEFAULT}), or "
            f"say that it is meant with --lock-dir {path} or TRAINCI_LOCK_DIR={path}."
        )


def _in_container() -> bool:
    return (
        "container" in os.environ
        or "KUBERNETES_SERVICE_HOST" in os.environ
        or os.path.exists("/.dockerenv")
        or os.path.exists("/run/.containerenv")
    )
