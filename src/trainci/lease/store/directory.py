"""The lock directory: where it is, and how its files are made and opened by several users.

format          the version of this layout
queue/lock.N    the mutex of a scheduling cycle: the file of the highest number (``mutex``)
queue/reservations  what the last cycle decided (``cycle``)
queue/foreign   the devices that foreign holders keep
queue/watcher.lock, queue/watcher.fifo  who watches for unclean deaths, and how to wake it (``watcher``)
devices/ID.lock flocked while any process of the job lives
leases/ID       the record of a running lease, flocked by its wrapper and its supervisor; removed at a clean end
tickets/N-ID    a waiting request, flocked by its owner; N-ID.fifo wakes that owner
queue/outside   the devices that somebody uses outside the queue (``outside``)
health/ID       why a device is quarantined, and since when
drained/ID      who drained a device, why, and since when
ledger          who did what by hand (``ledger``)
settings        what the host's maintainer has set (``settings``)
inventory/KEY   what NVML said about the devices, for one driver and one view of them
ports/PORT      a block of ports, flocked by who has it
nested/ID       the lock directory of the leases within a lease
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from trainci import __version__
from trainci.errors import MachineError, UsageError
from trainci.host.files import NO_LOCKS
from trainci.host.users import user_name
from trainci.lease.protocol import LOCK_DIR_VARIABLE
from trainci.lease.store import trust
from trainci.lease.store.files import open_regular, overwrite, read_text
from trainci.lease.store.trust import is_trusted, refuse_strangers, refuse_unshared

FORMAT = 3
# No user may remove or replace the files of another in them.
FOLDERS = ("queue", "devices", "leases", "tickets", "health", "drained", "inventory", "nested", "ports")
_STICKY = 0o1000
# What one user writes and others only read, or lock: who may only read a file can lock it, too (flock(2)).
OWN = 0o644
ALL = 0o666
FULL = (errno.ENOSPC, errno.EDQUOT)
# What a file system says that is of no use for leases; ESTALE: its server has forgotten a file.
UNFIT = (*NO_LOCKS, errno.ESTALE)


class Directory:
    """An opened lock directory. ``file_mode`` is the mode of every file in it that all may write."""

    def __init__(self, path: str, mode: int, group: int, owner: int) -> None:
        self.path = path
        self._group = group
        self.owner = owner
        self.directory_mode = mode & 0o777
        self.file_mode = mode & 0o666
        # Is it that of the leases within a lease?
        self.nested = False
        # Records that do not count (``leases.identity``): of the lease that we give back, and of the dead of whom
        # nothing is left, where they are not ours to remove.
        self.void: set[tuple[int, int]] = set()

    def join(self, *parts: str) -> str:
        """A path inside the directory."""
        return "/".join((self.path, *parts))

    def open_lock(self, path: str) -> int:
        """Open a file that is there to be locked, making it if need be.

        :raises MachineError: something else is in its place, or it may not be opened.
        """
        return self.open_shared(path, os.O_RDONLY, OWN)

    def open_shared(self, path: str, flags: int, mode: int) -> int:
        """Open a file of ours for more than its lock, making it if need be. Errors as of ``open_lock``."""
        while True:
            try:
                return open_regular(path, flags)
            except FileNotFoundError:
                pass
            except PermissionError:
                raise MachineError(
                    f"the lock file {path} may not be opened by this user: ask {_owner(path)} for "
                    f"`chmod {mode & self.file_mode:o} {path}`."
                ) from None
            except OSError:
                self.set_aside(path)
            try:
                return self.create(path, "", mode)
            except FileExistsError:
                continue

    def set_aside(self, path: str) -> None:
        """Rename what is in the place of a file of ours, and is none.

        :raises MachineError: it is another user's, and stays.
        """
        try:
            os.rename(path, f"{os.path.dirname(path)}/.broken-{os.urandom(4).hex()}")
        except FileNotFoundError:
            return
        except OSError:
            raise MachineError(
                f"{path} is not what belongs there: {_owner(path)} or root must remove it."
            ) from None

    def share(self, descriptor: int, mode: int) -> None:
        """Give a file that was just made this mode, as far as the directory's goes, and the directory's group."""
        os.fchmod(descriptor, mode & self.file_mode)
        if os.fstat(descriptor).st_gid != self._group and not self.file_mode & 0o006:
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, -1, self._group)

    def create(self, path: str, text: str, mode: int = OWN) -> int:
        """Make a new file with this text and return its descriptor; the caller closes it.

        :raises OSError: it cannot be made; nothing is left of it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & self.file_mode)
        try:
            self.share(descriptor, mode)
            if text:
                overwrite(descriptor, text)
        except BaseException:
            os.close(descriptor)
            os.unlink(path)
            raise
        return descriptor

    def write(self, path: str, text: str, mode: int = ALL) -> None:
        """Write a file in place, because no user may replace another's.

        Who is killed meanwhile leaves half a file, which is read as none.

        :raises OSError: it cannot be written, wholly.
        :raises MachineError: something else is in its place, or it is another user's.
        """
        descriptor = self.open_shared(path, os.O_RDWR, mode)
        try:
            overwrite(descriptor, text)
        finally:
            os.close(descriptor)

    def make_pipe(self, path: str) -> None:
        """Make a named pipe that all who may use the directory can write to, where there is none.

        :raises MachineError: something else is in its place.
        """
        try:
            if stat.S_ISFIFO(os.lstat(path).st_mode):
                return
            self.set_aside(path)
        except FileNotFoundError:
            pass
        before = os.umask(0)
        try:
            os.mkfifo(path, self.file_mode)
        except FileExistsError:
            return
        finally:
            os.umask(before)

    def names(self, folder: str) -> list[str]:
        """The names in one of the folders, sorted; none while the folder is not there."""
        try:
            return sorted(os.listdir(self.join(folder)))
        except OSError:
            return []

    def mend(self) -> None:
        """Make what is missing of the folders.

        :raises MachineError: the directory is gone, or a stranger has made one of them.
        """
        for name in FOLDERS:
            path = self.join(name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                self._make_folder(path)
                continue
            if not stat.S_ISDIR(found.st_mode):
                self.set_aside(path)
                self._make_folder(path)
            elif not is_trusted(found, self.owner):
                self._take_over(path)

    def _take_over(self, path: str) -> None:
        """Own the folder that another user has made, who came first: leases of his may run in it.

        :raises MachineError: we are not root.
        """
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fchown(folder, os.geteuid(), self._group)
                os.fchmod(folder, self.directory_mode | _STICKY)
            finally:
                os.close(folder)
        except OSError:
            raise MachineError(
                f"{path} is of {_owner(path)}, who came before root had prepared {self.path}: "
                f"`sudo trainci host setup --lock-dir {self.path}` makes it everybody's."
            ) from None

    def _make_folder(self, path: str) -> None:
        if not os.path.isdir(self.path):
            raise MachineError(f"the lock directory {self.path} is gone: somebody has removed it.")
        _make(path, self.directory_mode | _STICKY)
        if not self.directory_mode & 0o007 and os.lstat(path).st_gid != self._group:
            with contextlib.suppress(PermissionError):
                os.chown(path, -1, self._group, follow_symlinks=False)


def _owner(path: str) -> str:
    try:
        return f"user {user_name(os.lstat(path).st_uid)}"
    except OSError:
        return "its owner"


def locate(given: str | None) -> str:
    """The path of the lock directory: ``given`` (``--lock-dir``), else $TRAINCI_LOCK_DIR, else that of the host."""
    host = trust.PREPARED if os.path.isdir(trust.PREPARED) else trust.DEFAULT
    return os.path.abspath(given or os.environ.get(LOCK_DIR_VARIABLE) or host)


def open_directory(given: str | None, *, may_be_private: bool = False) -> Directory:
    """Open the lock directory, making it and its folders where they are missing.

    :raises UsageError: it is on a network file system, of another format, not ours to write, a stranger's, or
        private to this container (unless --lock-dir or $TRAINCI_LOCK_DIR names it, or ``may_be_private``: no GPU is
        at stake).
    :raises MachineError: something else is in the place of a file or a folder of it, or its file system is full.
    """
    path = locate(given)
    refuse_unshared(path, may_be_private or bool(given or os.environ.get(LOCK_DIR_VARIABLE)))
    try:
        found = refuse_strangers(path)
    except FileNotFoundError:
        _make(path, 0o777 | _STICKY)
        found = refuse_strangers(path)
    directory = Directory(path, _shared_mode(found), found.st_gid, found.st_uid)
    try:
        _complete(directory)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise MachineError(
            f"the file system of the lock directory {path} is full ({error.strerror}); nothing was leased: make "
            "room, or use another --lock-dir for all."
        ) from None
    return directory


def _complete(directory: Directory) -> None:
    """Make what is missing, where it is a directory of this format."""
    path, version = directory.path, read_text(directory.join("format"))
    if version is None:
        _lay_out(directory)
    elif version.strip() != str(FORMAT):
        raise UsageError(
            f"{path} is a lock directory of format {version.strip()[:20]!r}, trainci {__version__} knows format "
            f"{FORMAT}: use the same version of trainci everywhere on this host, remove {path} once no lease of "
            "the other runs, or use another --lock-dir for all."
        )
    directory.mend()


def open_nested(directory: Directory, id: str) -> Directory:
    """The lock directory of the leases within the lease ``id``, made where it is missing."""
    found = open_directory(directory.join("nested", id), may_be_private=True)
    found.nested = True
    return found


def remove_nested(directory: Directory, id: str) -> None:
    """Remove what the leases within a lease have left."""
    path = directory.join("nested", id)
    if os.path.lexists(path):
        # Few leases have any, and it takes long to import.
        import shutil

        shutil.rmtree(path, ignore_errors=True)


def _shared_mode(found: os.stat_result) -> int:
    if found.st_mode & 0o002:
        return 0o777
    return 0o770 if found.st_mode & 0o020 else 0o700


def _make(path: str, mode: int) -> None:
    """Make a directory with exactly this mode at once, so that no other user meets it half made."""
    parent = os.path.dirname(path)
    before = os.umask(0)
    try:
        if not os.path.isdir(parent):
            os.umask(before)
            os.makedirs(parent, exist_ok=True)
            os.umask(0)
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except OSError as error:
        raise UsageError(f"the lock directory {path} cannot be made: {error.strerror}.") from None
    finally:
        os.umask(before)


def _lay_out(directory: Directory) -> None:
    path = directory.join("format")
    unfinished = f"{path}.{os.urandom(4).hex()}"
    os.close(directory.create(unfinished, f"{FORMAT}\n"))
    try:
        if os.path.lexists(path) and read_text(path) is None:
            directory.set_aside(path)
        os.rename(unfinished, path)
    except PermissionError:
        # Another user wrote it a moment ago.
        os.unlink(unfinished)
