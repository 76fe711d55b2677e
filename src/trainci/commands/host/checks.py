"""What ``trainci host check`` looks at: one function each, in the order in which they are printed."""

from __future__ import annotations

import ctypes
import enum
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trainci import __version__
from trainci.errors import TrainciError
from trainci.host import cgroup, devices
from trainci.host.files import read_text
from trainci.host.processes import owner, processes
from trainci.host.users import group_name, user_name
from trainci.lease.protocol import LOCK_DIR_VARIABLE
from trainci.lease.store.directory import FORMAT, locate
from trainci.lease.store.trust import DEFAULT, PREPARED, group_of, refuse_strangers, refuse_unshared
from trainci.text import counted, listed, printable

_GIB = 1 << 30
_FREE_DISK = 10 * _GIB
_SHARED_MEMORY = 1 * _GIB
_OPEN_FILES = 4096
_RUNNER = "Runner.Listener"
_SETUP = "sudo trainci host setup"
# Of two files of one name the one in the later place counts (logind.conf(5)).
_LOGIND = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")


class State(enum.Enum):
    """What a line of the table says; only what is wrong is a fault."""

    RIGHT = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and how it is mended (empty: it need not be)."""

    state: State
    what: str
    said: str
    mend: str = ""


def check_host(lock_dir: str | None) -> list[Finding]:
    """Everything."""
    path = locate(lock_dir)
    meant = bool(lock_dir or os.environ.get(LOCK_DIR_VARIABLE))
    found = [*_driver(), *_directory(path, meant), *_two_queues(lock_dir), *_removal(path)]
    for look in _LOOKS:
        found += look()
    return found


def beside(path: str) -> list[Finding]:
    """What a lock directory that was just made depends on, and that only the host's maintainer sets."""
    return [*_limits(), *_removal(path)]


def _right(what: str, said: str) -> list[Finding]:
    return [Finding(State.RIGHT, what, said)]


def _note(what: str, said: str, mend: str = "") -> list[Finding]:
    return [Finding(State.NOTE, what, said, mend)]


def _wrong(what: str, said: str, mend: str) -> list[Finding]:
    return [Finding(State.WRONG, what, said, mend)]


def _driver() -> list[Finding]:
    what = "driver"
    try:
        found = devices.discover()
    except TrainciError as error:
        return _wrong(what, str(error), "look at `nvidia-smi`; install the driver again, or load its module again")
    if not found:
        return _note(what, "no NVIDIA driver, so no GPU: tests run on virtual devices (--devices cpu:N)")
    ill = [device for device in found if device.fault]
    mend = "look at `nvidia-smi` and `dmesg`; reset the GPU or the host"
    broken = [Finding(State.WRONG, f"GPU {device.index}", device.fault, mend) for device in ill]
    return [*_right(what, f"NVML reaches {counted(len(found) - len(ill), 'GPU')}"), *broken]


def _directory(path: str, meant: bool) -> list[Finding]:
    what = "lock directory"
    try:
        refuse_unshared(path, meant)
    except TrainciError as error:
        return _wrong(what, str(error), f"in a container: mount the host's; else, on the host: {_SETUP}")
    if not Path(path).is_dir():
        return _note(what, f"{path} is not there yet; the first user makes it, for that user alone", _SETUP)
    try:
        found = refuse_strangers(path)
    except TrainciError as error:
        me = user_name(os.geteuid())
        group = group_of(path)
        mend = _SETUP if group is None else f"sudo usermod -aG {group_name(group)} {me}, and a new login"
        return _wrong(what, str(error), mend)
    version = (read_text(f"{path}/format") or "").strip()
    if version not in ("", str(FORMAT)):
        said = f"{path} is of format {printable(version[:20])}, and trainci {__version__} knows {FORMAT}"
        return _wrong(what, said, f"use one version everywhere; remove {path} once no lease of the other runs")
    whose = user_name(found.st_uid) if found.st_uid == 0 else f"user {found.st_uid}"
    said = f"{path}, {whose}'s, mode {found.st_mode & 0o7777:o}"
    if not found.st_mode & 0o022:
        return _note(what, f"{said}: for one user alone", _SETUP)
    return _right(what, said)


def _two_queues(lock_dir: str | None) -> list[Finding]:
    prepared, first = Path(PREPARED), Path(DEFAULT)
    if lock_dir or not (prepared.is_dir() and first.is_dir()) or prepared.samefile(first):
        return []
    said = f"{PREPARED} and {DEFAULT} are two directories, so two queues share the GPUs"
    return _wrong("one queue", said, f"once no lease runs: rm -r {DEFAULT}; {_SETUP}")


def _removal(path: str) -> list[Finding]:
    """systemd-logind empties /dev/shm of a user's files when his last session ends."""
    what = "RemoveIPC"
    if not os.path.realpath(path).startswith("/dev/shm/"):
        return _right(what, f"logind removes nothing below {path}")
    if not Path("/run/systemd/system").is_dir():
        return _right(what, "there is no logind that would remove files")
    if _removes_nothing():
        return _right(what, "logind removes no files of users")
    mend = f"RemoveIPC=no in /etc/systemd/logind.conf; or, once no lease runs: rm -r {path}; {_SETUP}"
    return _note(what, f"logind may remove files of users below {path}", mend)


def _removes_nothing() -> bool:
    """As systemd reads it: the last word counts, and that of a drop-in is later than that of the file."""
    drop_ins = {at.name: at for place in _LOGIND for at in Path(place, "logind.conf.d").glob("*.conf")}
    files = [Path("/etc/systemd/logind.conf"), *(drop_ins[name] for name in sorted(drop_ins))]
    lines = [line.partition("=") for file in files for line in (read_text(str(file)) or "").splitlines()]
    said = [value.strip().lower() for name, _, value in lines if name.strip() == "RemoveIPC"]
    return bool(said) and said[-1] in ("no", "n", "0", "false", "f", "off")


def _cgroup() -> list[Finding]:
    if cgroup.path_for("check"):
        return _right("cgroup", "each job gets one of its own, so nothing of it gets away")
    return _note("cgroup", "none of its own for a job: its processes are found as its children", "docs/lease.md")


def _ptrace() -> list[Finding]:
    scope = (read_text("/proc/sys/kernel/yama/ptrace_scope") or "0").strip()
    if scope in ("0", "1"):
        return _right("ptrace", "stacks of a test that hangs can be taken")
    said = f"ptrace_scope is {printable(scope)}: no debugger sees a test that hangs"
    return _note("ptrace", said, "sysctl kernel.yama.ptrace_scope=1")


def _container_engine() -> list[Finding]:
    engine = next((name for name in ("docker", "podman") if shutil.which(name)), None)
    if engine is None:
        return _note("containers", "neither docker nor podman is installed; suites with an image need one")
    done = _answer([engine, "info"])
    if done is None or done.returncode:
        mend = "start it" + (f"; usermod -aG {engine} {user_name(os.geteuid())}" if os.geteuid() else "")
        return _wrong("containers", f"{engine} does not answer this user", mend)
    return _right("containers", f"{engine} answers")


def _disk() -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    if free < _FREE_DISK:
        return _wrong("disk", f"{free / _GIB:.1f} GiB are free here", "`trainci clean`, `docker system prune`")
    return _right("disk", f"{free / _GIB:.0f} GiB are free here")


def _shared_memory() -> list[Finding]:
    try:
        size = shutil.disk_usage("/dev/shm").total
    except OSError:
        return _wrong("/dev/shm", "it is not there; data loaders and NCCL need it", "mount -t tmpfs shm /dev/shm")
    if size < _SHARED_MEMORY:
        mend = "mount -o remount,size=50% /dev/shm; for a container --shm-size=8g or --ipc=host"
        return _wrong("/dev/shm", f"{size >> 20} MiB, too little for data loaders and NCCL", mend)
    return _right("/dev/shm", f"{size / _GIB:.0f} GiB")


def _limits() -> list[Finding]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files != resource.RLIM_INFINITY and files < _OPEN_FILES:
        return _wrong(
            "limits", f"{files} open files at most", f"`* hard nofile {1 << 20}` in /etc/security/limits.conf"
        )
    return _right("limits", f"{'any number of' if files == resource.RLIM_INFINITY else files} open files")


def _clock() -> list[Finding]:
    # adjtimex(2): with modes 0 it only tells; TIME_ERROR: not synchronised.
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    if state == 5:
        return _note("clock", "not synchronised: times of hosts cannot be compared", "timedatectl set-ntp true")
    return _right("clock", "synchronised") if state >= 0 else []


def _versions() -> list[Finding]:
    places = dict.fromkeys(os.path.realpath(f"{folder}/trainci") for folder in os.get_exec_path())
    programs = [place for place in places if os.access(place, os.X_OK) and Path(place).is_file()]
    said = {place: done.stdout.strip() for place in programs if (done := _answer([place, "--version"]))}
    others = [f"{place} is {version}" for place, version in said.items() if version != f"trainci {__version__}"]
    if others:
        return _note("versions", f"this is trainci {__version__}; {listed(others)}", "docs/operating.md")
    return _right("versions", f"trainci {__version__}")


def _runner() -> list[Finding]:
    """Whoever runs the jobs of GitHub here must have access, too."""
    users = {uid for each in processes() if (uid := owner(each.pid)) is not None and _name(each.pid) == _RUNNER}
    if not users:
        return _note("runner", "no runner of GitHub's runs here")
    names = [user_name(uid) for uid in users]
    if 0 in users:
        said = "a runner of GitHub's runs as root: so does whatever a pull request brings"
        return _wrong("runner", said, "run it as a user of its own")
    return _right("runner", f"runs as {listed(names)}")


def _name(pid: int) -> str:
    return (read_text(f"/proc/{pid}/comm") or "").strip()


def _answer(words: list[str]) -> subprocess.CompletedProcess[str] | None:
    """What a program says within a few seconds."""
    try:
        return subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=10, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


_LOOKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    _cgroup,
    _ptrace,
    _container_engine,
    _disk,
    _shared_memory,
    _limits,
    _clock,
    _versions,
    _runner,
)
