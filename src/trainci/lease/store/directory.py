"""The lock directory: where it is, that it can be trusted, and how its files are opened by several users.

format          the version of this layout
queue/lock      the mutex of a scheduling cycle (``locks``)
queue/reservations  what the last cycle decided (``cycle``)
queue/foreign   the devices that foreign holders keep
queue/watcher.lock, queue/watcher.fifo  who watches for unclean deaths, and how to wake it (``watcher``)
devices/ID.lock the truth about a device: flocked while any process of the job lives; holds the lease's id
leases/ID       the record of a running lease, flocked by its wrapper and its supervisor; removed at a clean end
tickets/N-ID    a waiting request, flocked by its owner; N-ID.fifo wakes that owner
health/ID       why a device is quarantined, and since when
inventory/KEY   what NVML said about the devices, for one driver and one view of them
"""

from __future__ import annotations

import os
import stat

from trainci.errors import MachineError, UsageError
from trainci.host.files import read_text
from trainci.lease.protocol import LOCK_DIR_VARIABLE

DEFAULT = "/dev/shm/trainci"
FORMAT = 2
# Its files are never removed, and nobody may remove those of another user.
_STICKY = ("devices",)
_OPEN = ("queue", "leases", "tickets", "health", "inventory")
_NETWORK_FILE_SYSTEMS = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "fuse.ceph",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.gcsfuse",
        "fuse.s3fs",
        "fuse.juicefs",
        "9p",
        "afs",
        "ocfs2",
        "gfs2",
        "wekafs",
        "virtiofs",
    )
)


class Directory:
    """An opened lock directory. ``file_mode`` is the mode of every file made in it."""

    def __init__(self, path: str, directory_mode: int, group: int) -> None:
        self.path = path
        self._group = group
        self.directory_mode = directory_mode & 0o777
        self.file_mode = directory_mode & 0o666

    def join(self, *parts: str) -> str:
        """A path inside the directory."""
        return "/".join((self.path, *parts))

    def open_lock(self, path: str) -> int:
        """Open a file that is there to be locked, making it if need be; usable by all who may use the directory.

        An existing file that may only be read is good enough: flock(2) asks for no write access.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY
        while True:
            # Without O_CREAT first: fs.protected_regular forbids it on another user's file in a sticky directory.
            try:
                return os.open(path, flags)
            except FileNotFoundError:
                pass
            except PermissionError:
                return _open_unwritable(path)
            try:
                descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, self.file_mode)
            except FileExistsError:
                continue
            self.share(descriptor)
            return descriptor

    def share(self, descriptor: int) -> None:
        """Give a file that was just made the directory's mode and group, whatever the umask was."""
        os.fchmod(descriptor, self.file_mode)
        if os.fstat(descriptor).st_gid != self._group and not self.file_mode & 0o006:
            try:
                os.fchown(descriptor, -1, self._group)
            except PermissionError:
                return

    def make_folder(self, name: str, mode: int) -> None:
        """Make one of the folders, with the directory's group."""
        path = self.join(name)
        _make(path, mode)
        if not mode & 0o007 and os.stat(path).st_gid != self._group:
            try:
                os.chown(path, -1, self._group)
            except PermissionError:
                return

    def create(self, path: str, text: str) -> int:
        """Make a new file with this text and return its descriptor; the caller closes it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file_mode)
        self.share(descriptor)
        os.write(descriptor, text.encode())
        return descriptor

    def replace(self, path: str, text: str) -> None:
        """Write a file whole or not at all."""
        temporary = f"{path}.{os.urandom(4).hex()}"
        os.close(self.create(temporary, text))
        os.rename(temporary, path)

    def names(self, folder: str) -> list[str]:
        """The names in one of the folders, sorted; none while the folder is not there."""
        try:
            return sorted(os.listdir(self.join(folder)))
        except FileNotFoundError:
            return []


def _open_unwritable(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        raise MachineError(
            f"the lock file {path} may not be opened by this user: ask its owner for `chmod 666 {path}`."
        ) from None


def locate(given: str | None) -> str:
    """The path of the lock directory: ``given`` (``--lock-dir``), else $TRAINCI_LOCK_DIR, else DEFAULT."""
    return os.path.abspath(given or os.environ.get(LOCK_DIR_VARIABLE) or DEFAULT)


def open_directory(given: str | None, *, may_be_private: bool = False) -> Directory:
    """Open the lock directory, making it and its folders where they are missing.

    :raises UsageError: it is on a network file system, of another format, not ours to write, or private to this
        container (unless --lock-dir or $TRAINCI_LOCK_DIR names it, or ``may_be_private``: no GPU is at stake).
    """
    path = locate(given)
    refuse_unshared(path, may_be_private or bool(given or os.environ.get(LOCK_DIR_VARIABLE)))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        _make(path, 0o1777)
        found = os.stat(path)
    mode = _shared_mode(path, found)
    directory = Directory(path, mode, found.st_gid)
    version = read_text(directory.join("format"))
    if version is None:
        _lay_out(directory)
    elif version.strip() != str(FORMAT):
        raise UsageError(
            f"{path} is a lock directory of format {version.strip()[:20]!r}, this trainci knows format {FORMAT}: "
            f"use the same version of trainci everywhere on this host, remove {path} once no lease of the "
            "other runs, or use another --lock-dir for all."
        )
    return directory


def refuse_unshared(path: str, meant: bool, mountinfo: str | None = None, container: bool | None = None) -> None:
    """Refuse a directory where flock does not reach everybody who shares the GPUs.

    ``mountinfo`` (proc(5)) and ``container`` are read from this host unless given.
    """
    if mountinfo is None:
        mountinfo = read_text("/proc/self/mountinfo") or ""
    file_system, source, point = _mount_of(os.path.realpath(path), mountinfo)
    if file_system in _NETWORK_FILE_SYSTEMS:
        raise UsageError(
            f"the lock directory {path} is on a network file system ({file_system}), where locks are not those of "
            "this host: choose a directory on tmpfs or a local disk with --lock-dir or $TRAINCI_LOCK_DIR."
        )
    if container is None:
        container = _in_container()
    if container and not meant and (point == "/" or (point == "/dev/shm" and source == "shm")):
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


def _mount_of(path: str, mountinfo: str) -> tuple[str, str, str]:
    """File system type, source and mount point of the mount that ``path`` is on."""
    best = ("", "", "")
    for line in mountinfo.splitlines():
        point = line.split(" ", 5)[4]
        if "\\" in point:
            # Blanks are written in octal.
            point = point.encode().decode("unicode_escape")
        # Of two mounts on one point the later covers the earlier.
        if len(point) >= len(best[2]) and (path == point or path.startswith(point.rstrip("/") + "/")):
            kind = line.partition(" - ")[2].split(" ")
            best = (kind[0], kind[1], point)
    return best


def _shared_mode(path: str, found: os.stat_result) -> int:
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"the lock directory {path} is not a directory: remove it, or use another --lock-dir.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(
            f"the lock directory {path} cannot be written by this user (mode {found.st_mode & 0o7777:o}): "
            f"ask its owner for `chmod 1777 {path}` (or a common group and mode 2770), or use another --lock-dir."
        )
    if found.st_mode & 0o002:
        return 0o777
    return 0o770 if found.st_mode & 0o020 else 0o700


def _make(path: str, mode: int) -> None:
    """Make a directory with exactly this mode at once, so that no other user meets it half made."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        try:
            os.makedirs(parent, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the lock directory {path} cannot be made: {error.strerror}.") from None
    before = os.umask(0)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except OSError as error:
        raise UsageError(f"the lock directory {path} cannot be made: {error.strerror}.") from None
    finally:
        os.umask(before)


def _lay_out(directory: Directory) -> None:
    for name in _STICKY:
        directory.make_folder(name, directory.directory_mode | 0o1000)
    for name in _OPEN:
        directory.make_folder(name, directory.directory_mode)
    make_fifo(directory, directory.join("queue", "watcher.fifo"))
    try:
        directory.replace(directory.join("format"), f"{FORMAT}\n")
    except (PermissionError, FileExistsError):
        # Somebody else wrote it a moment ago, and the sticky bit keeps it his.
        if read_text(directory.join("format")) is None:
            raise MachineError(f"{directory.path}/format cannot be written: remove {directory.path}.") from None


def make_fifo(directory: Directory, path: str) -> None:
    """Make a named pipe that all who may use the directory can write to."""
    before = os.umask(0)
    try:
        os.mkfifo(path, directory.file_mode)
    except FileExistsError:
        return
    finally:
        os.umask(before)
